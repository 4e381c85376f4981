"""One measured run of the real agent, in a process of its own: ``python -m benchmarks.agent_run``.

Reads a plan (JSON) from standard input and writes what it measured to standard output. The agent
is the product's own; only the edges are the benchmark's: videos stand in for cameras, the server
is answered in place, and the outbox notes when each passage was committed.
"""

import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import IO, Any

import cv2
import httpx
import numpy as np

from checkpoint_agent import agent, camera
from checkpoint_agent.capture import Feed
from checkpoint_agent.clock import Clock
from checkpoint_agent.config import AgentConfig, CameraConfig
from checkpoint_agent.frames import Frame, FrameSource, Idle
from checkpoint_agent.outbox import Outbox
from checkpoint_agent.outbox_values import Entry
from checkpoint_agent.pipeline import Outcome, Pipeline
from checkpoint_agent.recordings import Video
from server.wire import Receipt, Result

START_AT = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
_SAMPLE_S = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run."""

    cameras: list[dict[str, Any]]
    """Camera tables of the configuration; ``source`` is a video."""
    reader: dict[str, Any]
    passage: dict[str, Any] = field(default_factory=dict)
    live: bool = False
    """Frames come at the pace of the recording and do not wait, as a camera's."""
    loops: int = 1
    """So often each video is played, one time after the other."""
    seconds: float | None = None
    """Of each video, only so much."""
    pictures: str | None = None
    """A folder to keep the evidence in."""


@dataclass(slots=True)
class Measured:
    """What a camera's stages did."""

    decoded: int = 0
    processed: int = 0
    searched: int = 0
    dropped: int = 0
    finished_s: float = 0.0
    """When its last frame was processed, on the run's clock."""


@dataclass(slots=True)
class Probe:
    """Everything noted while the agent runs."""

    cameras: dict[str, Measured] = field(default_factory=dict)
    decoded_s: dict[tuple[str, int], float] = field(default_factory=dict)
    last_seen: dict[str, Frame] = field(default_factory=dict)
    frame_to_outbox_ms: list[float] = field(default_factory=list)
    moment_to_outbox_s: list[float] = field(default_factory=list)
    """By the recording's clock, plus the time the work took."""
    passages: IO[str] | None = None
    """A line of JSON each: kept in memory they would count as the agent's."""
    rss_mb: list[tuple[float, float]] = field(default_factory=list)
    feeds: list[Any] = field(default_factory=list)
    began: tuple[float, float] | None = None
    """Wall and processor time when the first frame was there; the models are loaded by then."""
    ended_cpu_s: float = 0.0
    pictures: Path | None = None


PROBE = Probe()


class Played:
    """A video in place of a camera; noted is when each frame was there."""

    def __init__(self, config: CameraConfig, plan: Plan, clock: Clock) -> None:
        """Play ``config.source`` as planned."""
        self._config, self._plan, self._clock = config, plan, clock
        self.recorded = not plan.live
        self.broken = 0
        self.fault: str | None = None
        self.wanted: Callable[[], bool] = lambda: True
        self._origin_s: float | None = None

    def frames(self, stop: Event) -> Iterator[Frame | Idle]:
        """The frames of all loops, numbered and timed as one recording."""
        measured = PROBE.cameras.setdefault(self._config.id, Measured())
        number, offset = 0, timedelta(0)
        for _ in range(self._plan.loops):
            started_at = START_AT + offset
            last_at = started_at
            for frame in self._one_loop(started_at, stop):
                at_s = (frame.captured_at - started_at).total_seconds()
                if self._plan.seconds is not None and at_s > self._plan.seconds:
                    break
                last_at = frame.captured_at
                PROBE.began = PROBE.began or (time.monotonic(), time.process_time())
                PROBE.decoded_s[self._config.id, number] = time.monotonic()
                yield replace(frame, number=number, name=str(number), before="", after=str(number))
                number += 1
            offset = last_at - START_AT + timedelta(milliseconds=40)
        if not self._plan.live:
            measured.decoded = number

    def _one_loop(self, started_at: datetime, stop: Event) -> Iterator[Frame]:
        config = self._config.model_copy(update={"started_at": started_at})
        if self._plan.live:
            yield from self._at_its_pace(started_at, stop)
            return
        for item in Video(config, None, self._clock).frames(stop):
            if isinstance(item, Frame):
                yield item

    def _at_its_pace(self, started_at: datetime, stop: Event) -> Iterator[Frame]:
        """As a live camera: every frame is decoded when it is due, those wanted are unpacked."""
        measured = PROBE.cameras[self._config.id]
        capture = cv2.VideoCapture(self._config.source)
        interval_s = 1.0 / (capture.get(cv2.CAP_PROP_FPS) or 25.0)
        self._origin_s = self._origin_s or time.monotonic()
        number = 0
        try:
            while not stop.is_set() and capture.grab():
                captured_at = started_at + timedelta(seconds=number * interval_s)
                due_s = self._origin_s + (captured_at - START_AT).total_seconds()
                stop.wait(max(0.0, due_s - time.monotonic()))
                measured.decoded += 1
                number += 1
                if not self.wanted():
                    measured.dropped += 1
                    continue
                known, image = capture.retrieve()
                if known:
                    yield Frame(np.asarray(image, np.uint8), captured_at, number, str(number))
        finally:
            capture.release()


class NotingPipeline(Pipeline):
    """Notes which frame was seen last."""

    def see(self, frame: Frame) -> Outcome:
        """Take in the next frame."""
        name = self._camera.id
        measured = PROBE.cameras[name]
        PROBE.last_seen[name] = frame
        outcome = super().see(frame)
        measured.processed += 1
        measured.searched = self.searched
        measured.finished_s, PROBE.ended_cpu_s = time.monotonic(), time.process_time()
        if not outcome.entries:
            PROBE.decoded_s.pop((name, frame.number), None)
        for number in [k for k in list(PROBE.decoded_s) if k[0] == name and k[1] < frame.number]:
            del PROBE.decoded_s[number]
        return outcome


class NotingOutbox(Outbox):
    """Notes when passages are committed."""

    def put(self, entries: Sequence[Entry], positions: Mapping[str, str] | None = None) -> int:
        """Store passages."""
        count = super().put(entries, positions)
        now_s = time.monotonic()
        for entry in entries:
            passage = entry.passage
            if PROBE.passages is not None:
                PROBE.passages.write(passage.model_dump_json(by_alias=True) + "\n")
            if PROBE.pictures is not None:
                for picture in entry.pictures:
                    (PROBE.pictures / f"{picture.sha256}.jpg").write_bytes(picture.content)
            frame = PROBE.last_seen[passage.camera_id]
            decoded_s = PROBE.decoded_s.get((passage.camera_id, frame.number))
            if decoded_s is not None:
                took_s = now_s - decoded_s
                PROBE.frame_to_outbox_ms.append(1000 * took_s)
                waited_s = (frame.captured_at - passage.captured_at).total_seconds()
                PROBE.moment_to_outbox_s.append(waited_s + took_s)
        return count


class NotingFeed(Feed):
    """Known to the probe, for its count of dropped frames."""

    def __init__(self, camera_id: str, source: FrameSource, ready: threading.Event) -> None:
        """As the product's."""
        super().__init__(camera_id, source, ready)
        if isinstance(source, Played) and not source.recorded:
            source.wanted = self._wants_more
        PROBE.feeds.append((camera_id, self))


def _answer(request: httpx.Request) -> httpx.Response:
    """A server that takes everything."""
    if request.method == "PUT":
        return httpx.Response(201)
    if request.url.path.endswith("passages"):
        sent = json.loads(request.content)["passages"]
        results = tuple(Result(passage_id=p["passage_id"], outcome="accepted") for p in sent)
        receipt = Receipt(results=results, received_at=datetime.now(UTC))
        return httpx.Response(200, content=receipt.model_dump_json())
    return httpx.Response(204)


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _watch_memory(stop: Event, started_s: float) -> None:
    while not stop.wait(_SAMPLE_S):
        PROBE.rss_mb.append((time.monotonic() - started_s, _rss_mb()))


def _put_in_place(name: str, substitute: object) -> None:
    """Let the agent's stages build the benchmark's variant of a part."""
    users = [module for module in (agent, camera) if hasattr(module, name)]
    if not users:
        raise LookupError(f"no stage of the agent uses {name} any more")
    for module in users:
        setattr(module, name, substitute)


def run(plan: Plan) -> dict[str, Any]:
    """Run the agent to the end of the videos; what was measured."""
    PROBE.pictures = Path(plan.pictures) if plan.pictures else None
    _put_in_place("Pipeline", NotingPipeline)
    _put_in_place("Outbox", NotingOutbox)
    _put_in_place("Feed", NotingFeed)
    _put_in_place("open_source", lambda config, _place, clock, **_: Played(config, plan, clock))
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as passages:
        PROBE.passages = passages
        token = Path(folder) / "token"
        token.write_text("benchmark")
        config = AgentConfig.model_validate(
            {
                "agent_id": "benchmark",
                "data_dir": str(Path(folder) / "data"),
                "exit_when_done": True,
                "server": {"url": "http://127.0.0.1:9", "token_file": str(token)},
                "health": {"listen": ""},
                "reader": plan.reader,
                "passage": plan.passage,
                "camera": plan.cameras,
            }
        )
        stop, started_s = Event(), time.monotonic()
        memory = threading.Thread(target=_watch_memory, args=(stop, started_s), daemon=True)
        memory.start()
        code = agent.Agent(config, transport=httpx.MockTransport(_answer)).run()
        stop.set()
        memory.join()
        passages.seek(0)
        seen = [json.loads(line) for line in passages]
    return {**_figures(started_s), "passages": seen, "exit_code": code}


def _figures(started_s: float) -> dict[str, Any]:
    for camera_id, feed in PROBE.feeds:
        PROBE.cameras[camera_id].dropped += feed.dropped
    began_s, began_cpu_s = PROBE.began or (started_s, 0.0)
    return {
        "cameras": {name: asdict(m) for name, m in PROBE.cameras.items()},
        "wall_s": max(m.finished_s for m in PROBE.cameras.values()) - began_s,
        "cpu_s": PROBE.ended_cpu_s - began_cpu_s,
        "rss_mb": PROBE.rss_mb,
        "frame_to_outbox_ms": PROBE.frame_to_outbox_ms,
        "moment_to_outbox_s": PROBE.moment_to_outbox_s,
    }


def main() -> int:
    """Run the plan on standard input."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    plan = Plan(**json.loads(sys.stdin.read()))
    sys.stdout.write(json.dumps(run(plan)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
