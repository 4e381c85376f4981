"""``make demo``: server, agents and footage on this machine until Ctrl-C."""

import argparse
import contextlib
import functools
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from demo.city import CHECKPOINTS
from demo.footage import Footage, film
from demo.processes import ChildDiedError
from demo.show import Show
from demo.stage import LOGIN, Stage, county_seed, own_seed, write_agent, write_server
from demo.traffic import Background, Feeder, ask_for_clones, background, keep_telling

PAST_S = 330.0
"""The county's footage begins so long ago, so that there is something to see at once."""


def main(arguments: list[str] | None = None) -> int:
    """Run the demo; the exit code."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data/demo"), help="folder for all data")
    parser.add_argument("--source", help="own footage: a video, a folder of pictures or rtsp://…")
    parser.add_argument("--port", type=int, default=8080, help="0 = any free one")
    parser.add_argument(
        "--no-traffic", action="store_true", help="the four filmed checkpoints alone, no history"
    )
    chosen = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stage = Stage(chosen.data)
    show = Show(stage, say=_say)
    try:
        if chosen.source:
            _own(show, chosen.source, chosen.port, stop)
        else:
            _county(show, chosen.port, stop, simulated=not chosen.no_traffic)
    except ChildDiedError as error:
        _say(f"✗ {error}")
        return 1
    finally:
        _say("· 停止 stopping …")
        killed = show.end()
        _say(f"  {'全部停止 all stopped' if not killed else 'killed: ' + ', '.join(killed)}")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _set_up(show: Show, seed: dict[str, Any], port: int, register_csv: str = "") -> None:
    stage = show.stage
    write_server(stage, port, register_csv)
    stage.seed_file.touch(mode=0o600)
    stage.seed_file.write_text(json.dumps(seed, ensure_ascii=False, indent=1), encoding="utf-8")
    show.prepare()
    show.start_server()


def _tell(show: Show) -> None:
    _say("")
    _say(f"  打开 open      {show.url}")
    _say(f"  用户 user      {LOGIN}")
    _say(f"  密码 password  {show.stage.password()}")
    _say(f"  日志 logs      {show.stage.root / 'logs'}")
    _say("  Ctrl-C 停止 stops everything")
    _say("")


def _county(show: Show, port: int, stop: threading.Event, *, simulated: bool) -> None:
    stage = show.stage
    seed = county_seed(stage.password())
    traffic = background(stage.traffic_file, datetime.now(UTC)) if simulated else None
    if traffic is not None:
        for table, rows in traffic.seed.items():
            seed[table] += rows
    _set_up(show, seed, port, "" if traffic is None else traffic.register_csv())
    feeder = _fed(show, traffic, stop) if traffic is not None else None
    for place in CHECKPOINTS:
        folder = stage.frames_dir(place.camera_id)
        clear(folder)
        config = write_agent(
            stage,
            place.agent_id,
            place.camera_id,
            show.url,
            {"source": folder.absolute(), "follow": True},
        )
        show.start_agent(place.agent_id, config)
    _tell(show)
    start_at = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=PAST_S)
    footage = Footage(int(start_at.timestamp()), start_at)
    with _watched(show, stop), _telling(feeder, stop):
        film(footage, stage.frames_dir, stop=stop.is_set, reached=_Progress(start_at))


def _fed(show: Show, traffic: Background, stop: threading.Event) -> Feeder:
    """The simulated past, and a search for clones in it, so that the analyses have something to show."""
    stage = show.stage
    feeder = Feeder(traffic, show.url, stage.tokens_dir, stage.traffic_file)
    began = time.monotonic()

    def progress(share: float) -> None:
        if stop.is_set():
            raise ChildDiedError("stopped")
        _say(f"· 模拟车流 simulated traffic {100 * share:.0f} %")

    count = feeder.tell_past(datetime.now(UTC), progress)
    _say(f"· 模拟车流 {count} simulated passages in {time.monotonic() - began:.0f} s")
    if count:
        ask_for_clones(show.url, LOGIN, stage.password(), traffic.start_at)
    return feeder


@contextlib.contextmanager
def _telling(feeder: Feeder | None, stop: threading.Event) -> Iterator[None]:
    """Posts the simulated present beside the footage."""
    if feeder is None:
        yield
        return
    failed = functools.partial(_say_with, "! 模拟车流 simulated traffic: ")
    thread = threading.Thread(
        target=keep_telling, args=(feeder, stop, failed), name="traffic", daemon=True
    )
    thread.start()
    yield
    stop.set()
    thread.join(5)
    feeder.close()


def _say_with(prefix: str, text: str) -> None:
    _say(prefix + text)


def clear(folder: Path) -> None:
    """Make an empty drop folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.jpg"):
        path.unlink()


class _Progress:
    """Tells how far the past has been filmed, until the present is reached."""

    def __init__(self, start_at: datetime) -> None:
        self._start_at = start_at
        self._told = -1
        self._live = False

    def __call__(self, at: datetime) -> None:
        now = datetime.now(UTC)
        if self._live:
            return
        if at >= now:
            self._live = True
            _say("· 画面已是实时 the footage is live now")
            return
        done = int(10 * (at - self._start_at) / (now - self._start_at))
        if done > self._told:
            self._told = done
            _say(f"· 渲染画面 filming the last minutes {10 * done} %")


@contextlib.contextmanager
def _watched(show: Show, stop: threading.Event) -> Iterator[None]:
    """Ends the demo when one of its processes ends."""
    died: list[ChildDiedError] = []

    def watch() -> None:
        while not stop.wait(1.0):
            try:
                show.check()
            except ChildDiedError as error:
                died.append(error)
                stop.set()

    thread = threading.Thread(target=watch, name="watch", daemon=True)
    thread.start()
    yield
    stop.set()
    thread.join(3)
    if died:
        raise died[0]


def _own(show: Show, source: str, port: int, stop: threading.Event) -> None:
    stage = show.stage
    live = "://" in source or source.isdigit()
    if not live and not Path(source).exists():
        raise ChildDiedError(f"SOURCE={source}: 没有这个文件或文件夹 no such file or folder")
    _set_up(show, own_seed(stage.password()), port)
    camera: dict[str, object] = {"source": source if live else Path(source).absolute()}
    if not live:
        camera["started_at"] = "now"
    config = write_agent(stage, "own-box", "own-c1", show.url, camera)
    show.start_agent("own-box", config)
    _tell(show)
    with _watched(show, stop):
        while not stop.is_set():
            time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
