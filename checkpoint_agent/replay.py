"""Read a recording without sending anything: what would the agent have reported?"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from checkpoint_agent.capture import open_source, shows_stills
from checkpoint_agent.clock import Clock, ClockState
from checkpoint_agent.config import CameraConfig, PassageConfig
from checkpoint_agent.frames import Frame
from checkpoint_agent.outbox_values import Entry
from checkpoint_agent.pipeline import Pipeline
from checkpoint_agent.pipeline_values import Reader
from server.wire import Models, Passage

_TABLE = "{:<24}  {:<9}  {:<7}  {:<16}  {:>5}  {:>5}  {:>5}  {:<11}  {:>4}"
_HEAD = _TABLE.format(
    "captured_at", "plate", "state", "kind", "score", "reads", "votes", "direction", "lane"
)


@dataclass(frozen=True, slots=True)
class Replayed:
    """One passage, and how many frames had been read when it was reported."""

    entry: Entry
    frames: int


def replay(
    camera: CameraConfig,
    rules: PassageConfig,
    reader: Reader,
    clock: Clock,
    *,
    watch: Callable[[Frame, Sequence[Entry]], None] | None = None,
) -> Iterator[Replayed]:
    """The passages of a recording, in the order in which they are reported.

    Args:
        camera: The recording, with region and lanes.
        rules: When reads become a passage.
        reader: Finds and reads plates.
        clock: Tells the time.
        watch: Told of every frame, and of the passages reported with it.

    Raises:
        SourceError: if the recording cannot be read.
        anpr.AnprError: if a model fails.
    """
    source = open_source(camera, None, clock, idle_exit_s=None)
    pipeline = Pipeline(
        camera,
        rules,
        reader,
        models=Models(
            agent=version("kakou"),
            detector=reader.detector_name,
            recogniser=reader.recogniser_name,
        ),
        clock_state=lambda: ClockState(synchronised=None),
        stills=shows_stills(camera),
        kept=None,
    )
    frames = 0
    for item in source.frames(threading.Event()):
        if isinstance(item, Frame):
            frames += 1
            entries = pipeline.see(item).entries
            if watch is not None:
                watch(item, entries)
            yield from (Replayed(entry, frames) for entry in entries)
    yield from (Replayed(entry, frames) for entry in pipeline.flush().entries)


def table_head() -> str:
    """The first line of the table."""
    return _HEAD


def table_row(passage: Passage) -> str:
    """A passage as a line for people."""
    return _TABLE.format(
        passage.captured_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        passage.plate.text or "-",
        passage.plate.state,
        passage.plate.kind,
        f"{passage.plate.score:.2f}",
        passage.track.reads,
        passage.track.votes,
        passage.direction,
        passage.lane or "-",
    ).rstrip()


def write_pictures(entry: Entry, folder: Path) -> None:
    """Write a passage's pictures as ``<passage id>-<role>.jpg``."""
    folder.mkdir(parents=True, exist_ok=True)
    for evidence, picture in zip(entry.passage.evidence, entry.pictures, strict=True):
        path = folder / f"{entry.passage.passage_id}-{evidence.role}.jpg"
        path.write_bytes(picture.content)
