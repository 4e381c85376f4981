"""Is a camera good enough? Measures the plates it shows, lane by lane, and draws what it measured."""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import dist
from pathlib import Path
from statistics import median
from typing import Literal

import cv2
import numpy as np

from anpr import ImageError
from anpr.picture import annotated, load_picture
from anpr.types import Image, PlateRead, Quad
from checkpoint_agent.capture import Feed, open_source
from checkpoint_agent.clock import Clock
from checkpoint_agent.config import CameraConfig
from checkpoint_agent.crossing import Scene
from checkpoint_agent.errors import CameraLost, SourceError
from checkpoint_agent.frames import Frame
from checkpoint_agent.pipeline_values import Reader
from checkpoint_agent.recordings import is_picture
from checkpoint_agent.sight import BLACK_BELOW, SOFT_ABOVE_PX, Look, look_at

NEEDED_PX = 80
"""Width of a plate from which it is read reliably."""
DOUBTFUL_PX = 60
"""Below this width plates are hardly read at all."""
_LOOK_EVERY_S = 0.2
_FIRST_FRAME_LIMIT_S = 20.0
_TYPICAL_PERCENT = 90
"""Plates grow as they come nearer; what counts is how wide they get."""

Verdict = Literal["good", "doubtful", "too_small", "no_plate", "black", "defocused"]

SAID: dict[Verdict, tuple[str, str]] = {
    "good": (
        "车牌宽 {width} px，满足 {needed} px 的要求",
        "plates are {width} px wide here; {needed} are needed",
    ),
    "doubtful": (
        "车牌宽 {width} px，需要 {needed} px：远端车牌可能读不准",
        "plates are {width} px wide here; {needed} are needed: some will be misread",
    ),
    "too_small": (
        "车牌宽 {width} px，需要 {needed} px：请拉近镜头或提高分辨率",
        "plates are {width} px wide here; {needed} are needed: zoom in or raise the resolution",
    ),
    "no_plate": (
        "未见车牌：请在有车通过时重试",
        "no plate was seen: try again while vehicles pass",
    ),
    "black": ("画面全黑：请检查镜头盖、补光和光圈", "the picture is black: lens cap, light, iris"),
    "defocused": (
        "画面模糊（最清晰的边缘宽 {edge} px）：请对焦或清洁镜头",
        "the picture is soft (its sharpest edges are {edge} px wide): focus, or clean the lens",
    ),
}
"""What a verdict says to the installer: Chinese and English."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One plate in one frame."""

    width_px: float
    lane: int | None
    """``None`` outside all lanes, or if none are configured."""
    inside: bool
    """Whether it lies in the region of interest."""
    read: bool
    """Whether every character could be read."""
    quad: Quad


@dataclass(frozen=True, slots=True)
class LaneVerdict:
    """What was measured in a lane."""

    lane: int | None
    """``None`` for the whole picture."""
    plates: int
    """Plates measured, the same one in several frames counted each time."""
    read: int
    """How many of them were read."""
    width_px: int | None
    """How wide plates get: nine in ten are narrower."""
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Calibration:
    """The outcome."""

    frames: int
    size_px: tuple[int, int]
    """Width and height of the frames."""
    bright_share: float
    edge_px: float | None
    lanes: tuple[LaneVerdict, ...]
    picture: Verdict
    """good, black or defocused."""
    drawing: Image

    @property
    def good(self) -> bool:
        """Whether the camera is good enough in every lane."""
        return self.picture == "good" and all(lane.verdict == "good" for lane in self.lanes)


def calibrate(camera: CameraConfig, reader: Reader, clock: Clock, *, seconds: float) -> Calibration:
    """Look at a camera, a recording or a single picture for a while.

    Args:
        camera: With its region, lanes and trip line.
        reader: Finds and reads the plates.
        clock: Tells the time.
        seconds: How long, in the time of the frames.

    Raises:
        SourceError: if there is no frame.
        anpr.AnprError: if a model fails.
    """
    scene = Scene.of(camera)
    looks: list[Look] = []
    seen: list[Measured] = []
    best: tuple[float, Image, list[PlateRead]] | None = None
    for frame in _frames(camera, clock, seconds):
        looks.append(look_at(frame.image))
        try:
            reads = reader.read_detections(frame.image, reader.detect(frame.image))
        except ImageError:
            reads = []
        found = [measured(read, scene, frame.image) for read in reads]
        seen += found
        worth = max((m.width_px for m in found if m.inside), default=0.0)
        if best is None or worth >= best[0]:
            best = (worth, frame.image, reads)
    if best is None:
        raise SourceError(f"{camera.source}: holds no picture")
    edges = [look.edge_px for look in looks if look.edge_px is not None]
    bright_share = median(look.bright_share for look in looks)
    edge_px = median(edges) if edges else None
    lanes = verdicts(seen, [lane.number for lane in camera.lane])
    return Calibration(
        frames=len(looks),
        size_px=(best[1].shape[1], best[1].shape[0]),
        bright_share=bright_share,
        edge_px=edge_px,
        lanes=lanes,
        picture=picture_verdict(bright_share, edge_px),
        drawing=drawn(best[1], best[2], camera, seen, lanes),
    )


def _frames(camera: CameraConfig, clock: Clock, seconds: float) -> Iterator[Frame]:
    """Frames a fifth of a second apart, for so many seconds of their own time."""
    path = Path(camera.source)
    if not camera.live and is_picture(path.name) and not os.path.isdir(path):  # noqa: PTH112
        try:
            yield Frame(load_picture(path), clock.now(), 0, path.name)
        except ImageError as error:
            raise SourceError(str(error)) from error
        return
    ready = threading.Event()
    feed = Feed(camera.id, open_source(camera, None, clock, idle_exit_s=0.0), ready)
    first_at: datetime | None = None
    last_at: datetime | None = None
    began_s = time.monotonic()
    feed.start()
    try:
        while not feed.ended:
            ready.clear()
            item = feed.take()
            if isinstance(item, Frame):
                first_at = first_at or item.captured_at
                if item.captured_at - first_at > timedelta(seconds=seconds):
                    return
                if last_at is None or item.captured_at - last_at >= timedelta(
                    seconds=_LOOK_EVERY_S
                ):
                    last_at = item.captured_at
                    yield item
            elif item is None:
                clock.wait(ready, 0.2)
            waited_s = time.monotonic() - began_s
            if camera.live and waited_s > _FIRST_FRAME_LIMIT_S + seconds:
                break
            if camera.live and last_at is None and feed.source.fault:
                raise CameraLost(feed.source.fault)
    finally:
        feed.stop(timeout_s=2.0)


def width_px(quad: Quad) -> float:
    """The width of a plate along its upper and lower edge, on the mean."""
    corners = quad.as_tuple()
    return (dist(corners[0], corners[1]) + dist(corners[3], corners[2])) / 2


def measured(read: PlateRead, scene: Scene, image: Image) -> Measured:
    """A plate's width and place."""
    height, width = image.shape[:2]
    box = read.quad.box()
    x_share, y_share = (box.x1 + box.x2) / 2 / width, (box.y1 + box.y2) / 2 / height
    return Measured(
        width_px=width_px(read.quad),
        lane=scene.lane(x_share, box.y2 / height),
        inside=scene.contains(x_share, y_share),
        read=bool(read.text),
        quad=read.quad,
    )


def verdicts(seen: Sequence[Measured], lanes: Sequence[int]) -> tuple[LaneVerdict, ...]:
    """One verdict a lane, or one for the whole picture if there are no lanes."""
    inside = [plate for plate in seen if plate.inside]
    if not lanes:
        return (_verdict(None, inside),)
    return tuple(
        _verdict(number, [plate for plate in inside if plate.lane == number]) for number in lanes
    )


def _verdict(lane: int | None, plates: Sequence[Measured]) -> LaneVerdict:
    if not plates:
        return LaneVerdict(lane, 0, 0, None, "no_plate")
    width = round(float(np.percentile([plate.width_px for plate in plates], _TYPICAL_PERCENT)))
    verdict: Verdict = "too_small"
    if width >= NEEDED_PX:
        verdict = "good"
    elif width >= DOUBTFUL_PX:
        verdict = "doubtful"
    return LaneVerdict(lane, len(plates), sum(plate.read for plate in plates), width, verdict)


def picture_verdict(bright_share: float, edge_px: float | None) -> Verdict:
    """Whether the picture as a whole is fit to read plates in."""
    if bright_share < BLACK_BELOW:
        return "black"
    return "defocused" if edge_px is None or edge_px > SOFT_ABOVE_PX else "good"


def said(verdict: Verdict, *, width_px: int | None, edge_px: float | None) -> tuple[str, str]:
    """A verdict in words, Chinese and English."""
    edge = "-" if edge_px is None else f"{edge_px:.1f}"
    chinese, english = (
        text.format(width=width_px, needed=NEEDED_PX, edge=edge) for text in SAID[verdict]
    )
    return chinese, english


# ---------------------------------------------------------------------- drawing

_REGION, _LINE, _GOOD, _BAD, _OUTSIDE = (
    (0, 220, 255),
    (0, 0, 255),
    (60, 255, 60),
    (80, 80, 255),
    (160, 160, 160),
)
_LANES = ((255, 160, 0), (255, 0, 200), (160, 220, 0), (0, 140, 255))


def scene_drawn(image: Image, camera: CameraConfig) -> Image:
    """A copy of the picture with region, lanes and trip line."""
    canvas = image.copy()
    thick = _thickness(image)
    size = np.array([image.shape[1], image.shape[0]], np.float64)

    def place(
        corners: Sequence[tuple[float, float]],
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
        return (np.array(corners) * size).round().astype(np.int32)

    if camera.region:
        cv2.polylines(canvas, [place(camera.region)], isClosed=True, color=_REGION, thickness=thick)
    for lane in camera.lane:
        color = _LANES[lane.number % len(_LANES)]
        outline = place(lane.outline)
        cv2.polylines(canvas, [outline], isClosed=True, color=color, thickness=thick)
        middle = outline.mean(axis=0).round().astype(int)
        _write(canvas, f"lane {lane.number}", (int(middle[0]), int(middle[1])), color)
    if camera.trip_line:
        first, last = place(camera.trip_line)
        ends = (int(first[0]), int(first[1])), (int(last[0]), int(last[1]))
        cv2.line(canvas, *ends, _LINE, 2 * thick)
        _write(canvas, "trip line", ends[0], _LINE)
    return canvas


def drawn(
    image: Image,
    reads: Sequence[PlateRead],
    camera: CameraConfig,
    seen: Sequence[Measured],
    lanes: Sequence[LaneVerdict],
) -> Image:
    """The frame with the widest plate, and all that was measured in the others, too."""
    canvas = annotated(scene_drawn(image, camera), reads)
    thick = _thickness(image)
    for plate in _apart(seen):
        box = plate.quad.box()
        color = _GOOD if plate.width_px >= NEEDED_PX else _BAD
        corners = np.array(plate.quad.as_tuple()).round().astype(np.int32)
        shade = color if plate.inside else _OUTSIDE
        cv2.polylines(canvas, [corners], isClosed=True, color=shade, thickness=thick)
        at = (round(box.x1), round(box.y2) + 20 * thick)
        _write(canvas, f"{plate.width_px:.0f} px", at, shade)
    for n, lane in enumerate(lanes):
        name = "picture" if lane.lane is None else f"lane {lane.lane}"
        wide = "no plate" if lane.width_px is None else f"{lane.width_px} px, {NEEDED_PX} needed"
        color = _GOOD if lane.verdict == "good" else _BAD
        _write(canvas, f"{name}: {wide}", (8 * thick, (n + 1) * 26 * thick), color)
    return canvas


def _apart(seen: Sequence[Measured]) -> list[Measured]:
    """The widest plates, none of which covers another."""
    chosen: list[tuple[float, float, Measured]] = []
    for plate in sorted(seen, key=lambda plate: -plate.width_px):
        box = plate.quad.box()
        x, y = (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2
        if all(dist((x, y), (u, v)) >= plate.width_px for u, v, _ in chosen):
            chosen.append((x, y, plate))
    return [plate for _, _, plate in chosen]


def _thickness(image: Image) -> int:
    return max(1, round(int(max(image.shape[:2])) / 900))


def _write(canvas: Image, text: str, at: tuple[int, int], color: tuple[int, int, int]) -> None:
    thick = _thickness(canvas)
    for ink, width in (((0, 0, 0), 5 * thick), (color, 2 * thick)):
        cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_DUPLEX, 0.65 * thick, ink, width)
