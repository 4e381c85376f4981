"""``make smoke``: the demo without a screen, held against the truth of its scenes.

Prints one JSON line ``{"passages", "reads_correct", "alerts", "route_legs", "lost", "ok"}`` and
exits with 0 only if the truth was met: every vehicle that drove past a camera is a passage there,
no vehicle is two, the plates are right, every watched one raised its alert, and its route has
every leg.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx

from demo.__main__ import clear
from demo.city import CHECKPOINTS
from demo.footage import Footage, film
from demo.processes import ChildDiedError
from demo.show import Show
from demo.stage import LOGIN, Stage, county_seed, write_agent, write_server
from demo.timeline import Trip

SEED = 20
FILM_S = 320.0
"""Length of the film in the county's time; the first watched vehicle has left by then."""
LIMIT_S = 85.0
"""Everything is over after so long, however slow the machine."""
NEAR_S = 4.0
"""A passage belongs to a sighting at most so far away in time."""
LEAST_RIGHT = 0.95
"""Share of plates that must be read right, all characters."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A vehicle in front of a camera, as it was, or as it was reported."""

    camera_id: str
    at: datetime
    plate: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the smoke run found."""

    passages: int
    """Stored by the server."""
    reads_correct: int
    """Sightings whose passage carries exactly the right plate."""
    alerts: int
    route_legs: int
    """Of the first watched vehicle."""
    lost: int
    """Sightings without a passage."""
    ok: bool
    expected: dict[str, int]
    wrong: tuple[str, ...]
    """Every deviation, in words."""


def truth_of(trips: Sequence[Trip], until: datetime) -> list[Seen]:
    """Every sighting up to a moment in which nobody stands before a camera."""
    return [
        Seen(CHECKPOINTS[s.checkpoint].camera_id, s.at, trip.plate)
        for trip in trips
        for s in trip.sightings
        if s.at <= until
    ]


def quiet_moment(trips: Sequence[Trip], about: datetime) -> datetime:
    """The middle of the longest pause of the whole county in the half minute before ``about``."""
    begin = about - timedelta(seconds=30)
    times = sorted(s.at for trip in trips for s in trip.sightings if begin <= s.at <= about)
    gaps = [(b - a, a) for a, b in pairwise([begin, *times, about])]
    length, start = max(gaps)
    return start + length / 2


def judge(
    truth: Sequence[Seen],
    stored: Sequence[Seen],
    alerts: Sequence[tuple[str, str]],
    route: Sequence[str],
    watched: Sequence[str],
) -> Verdict:
    """Hold what the server says against what was filmed.

    Args:
        truth: What drove past.
        stored: The server's passages.
        alerts: Camera and plate of each alert.
        route: Checkpoints of the first watched plate's route, in order.
        watched: Plates on the watchlist.
    """
    left = list(stored)
    wrong = []
    correct = lost = 0
    for seen in sorted(truth, key=lambda s: s.at):
        near = [p for p in left if p.camera_id == seen.camera_id and _apart_s(p, seen) <= NEAR_S]
        if not near:
            lost += 1
            wrong.append(f"lost: {seen.plate} at {seen.camera_id}")
            continue
        match = min(near, key=lambda p: (p.plate != seen.plate, _apart_s(p, seen)))
        left.remove(match)
        if match.plate == seen.plate:
            correct += 1
        else:
            wrong.append(f"misread: {seen.plate} as {match.plate or 'unread'}")
    wrong += [f"not on the road: {p.plate or 'unread'} at {p.camera_id}" for p in left]
    due = sorted({(s.camera_id, s.plate) for s in truth if s.plate in watched})
    wrong += [
        f"no alert: {plate} at {camera}" for camera, plate in due if (camera, plate) not in alerts
    ]
    first = [s.camera_id for s in sorted(truth, key=lambda s: s.at) if s.plate == watched[0]]
    legs_due = len(first) - 1
    cameras_on_route = [f"{checkpoint}-c1" for checkpoint in route]
    if cameras_on_route != first:
        wrong.append(f"route: {' → '.join(route) or 'none'}")
    ok = (
        lost == 0
        and not left
        and correct >= LEAST_RIGHT * len(truth)
        and sorted(alerts) == due
        and cameras_on_route == first
        and legs_due >= 2
    )
    expected = {"passages": len(truth), "alerts": len(due), "route_legs": legs_due}
    legs = max(0, len(route) - 1)
    return Verdict(len(stored), correct, len(alerts), legs, lost, ok, expected, tuple(wrong))


def _apart_s(a: Seen, b: Seen) -> float:
    return abs((a.at - b.at).total_seconds())


def run(root: Path) -> Verdict:
    """Film, read, send, store, ask, judge.

    Raises:
        ChildDiedError: a process ended or never answered.
    """
    deadline = time.monotonic() + LIMIT_S
    stage = Stage(root)
    show = Show(stage, say=lambda text: print(text, file=sys.stderr, flush=True))
    start_at = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=FILM_S + 30)
    end_at = start_at + timedelta(seconds=FILM_S)
    footage = Footage(SEED, start_at)
    try:
        write_server(stage, 0)
        seed = county_seed(stage.password())
        stage.seed_file.write_text(json.dumps(seed, ensure_ascii=False), encoding="utf-8")
        show.prepare()
        show.start_server()
        for place in CHECKPOINTS:
            folder = stage.frames_dir(place.camera_id)
            clear(folder)
            camera: dict[str, object] = {"source": folder.absolute(), "follow": True}
            config = write_agent(stage, place.agent_id, place.camera_id, show.url, camera)
            show.start_agent(place.agent_id, config)
        film(footage, stage.frames_dir, stop=lambda: time.monotonic() > deadline, until=end_at)
        until = quiet_moment(footage.driven, end_at - timedelta(seconds=NEAR_S))
        truth = truth_of(footage.driven, until)
        show.say(f"· 过车 {len(truth)} vehicles filmed, waiting for their passages")
        watched = [e["plate"] for e in seed["watchlist"]]
        return _ask_until_met(show, truth, watched, until, deadline)
    finally:
        show.end()


def _ask_until_met(
    show: Show,
    truth: Sequence[Seen],
    watched: Sequence[str],
    until: datetime,
    deadline: float,
) -> Verdict:
    """Ask the server until everything is there and stays so, or the time is over."""
    with httpx.Client(base_url=show.url, timeout=20) as client:
        login = {"name": LOGIN, "password": show.stage.password()}
        client.post("/api/v1/login", json=login).raise_for_status()
        quiet = 0
        known = -1
        while True:
            show.check()
            stored = [p for p in _passages(client) if p.at <= until]
            quiet = quiet + 1 if len(stored) == known else 0
            known = len(stored)
            if (known >= len(truth) and quiet >= 3) or time.monotonic() > deadline:
                return judge(truth, stored, _alerts(client), _route(client, watched[0]), watched)
            time.sleep(1.0)


def _passages(client: httpx.Client) -> list[Seen]:
    found = []
    cursor: str | None = None
    while True:
        parameters = {"limit": "200"} | ({"cursor": cursor} if cursor else {})
        page = _get(client, "/api/v1/passages", parameters)
        found += [
            Seen(p["camera_id"], datetime.fromisoformat(p["captured_at"]), p["plate"])
            for p in page["passages"]
        ]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def _alerts(client: httpx.Client) -> list[tuple[str, str]]:
    return [(a["camera_id"], a["plate"]) for a in _get(client, "/api/v1/alerts", {})["alerts"]]


def _route(client: httpx.Client, plate: str) -> list[str]:
    reason = {"purpose": "system_test", "case_number": "SMOKE"}
    route = _get(client, f"/api/v1/trajectories/{plate}", reason)
    return [stop["place"]["id"] for stop in route["stops"]]


def _get(client: httpx.Client, path: str, parameters: dict[str, str]) -> Any:
    answer = client.get(path, params=parameters)
    answer.raise_for_status()
    return answer.json()


def main(arguments: list[str] | None = None) -> int:
    """Run the smoke test; the exit code."""
    parser = argparse.ArgumentParser(prog="demo.smoke", description=__doc__)
    parser.add_argument("--keep", type=Path, help="leave everything in this folder")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="kakou-smoke-") as temporary:
        try:
            verdict = run(chosen.keep or Path(temporary))
        except ChildDiedError as error:
            print(error, file=sys.stderr)
            print(json.dumps({"ok": False, "error": str(error).splitlines()[0]}))
            return 1
    for deviation in verdict.wrong:
        print(deviation, file=sys.stderr)
    print(json.dumps({k: v for k, v in asdict(verdict).items() if k != "wrong"}))
    return 0 if verdict.ok else 1


if __name__ == "__main__":
    sys.exit(main())
