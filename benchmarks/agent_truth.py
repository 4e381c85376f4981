"""Passages held against what a rendered clip really showed. Pure, but for reading the video.

A passage belongs to the vehicle that stands where its evidence says, in the frame that its
evidence is of; what it claims is judged against that vehicle, never the other way round.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from anpr.plate import distance
from anpr.types import Box

LEAST_WIDTH_PX = 24.0
"""A plate that never gets wider than this is too far away to count."""
_MIXED_APART = 2.0
_SAME_TEXT = 0.5
_AT_PLATE_WIDTHS = 0.6
_LEAST_IOU = 0.2
_HIDDEN_FRAMES = 12
_FREELY_S = 10.0
"""A vehicle that is in view for longer has stopped: it has no one speed."""
_COLOR_OF = {"silver": "grey"}


@dataclass(frozen=True, slots=True)
class Judged:
    """One passage and the vehicle that its evidence shows."""

    passage: Mapping[str, Any]
    frame: int
    vehicle_id: str | None
    """``None``: its evidence shows no vehicle where it should be."""
    vehicle_iou: float | None
    """Of ``vehicle_box_px`` with the truth; ``None`` without one."""

    @property
    def text(self) -> str:
        """What was read."""
        return str(self.passage["plate"]["text"])


def judge(truth: Mapping[str, Any], passages: Sequence[Mapping[str, Any]]) -> list[Judged]:
    """Each passage with the vehicle in its evidence, by time of capture."""
    start = datetime.fromisoformat(truth["start_at"])
    judged = []
    for passage in sorted(passages, key=lambda p: str(p["captured_at"])):
        at = datetime.fromisoformat(passage["captured_at"])
        number = round((at - start) / timedelta(seconds=1) * truth["fps"])
        judged.append(_judged(truth, passage, number))
    return judged


def _judged(truth: Mapping[str, Any], passage: Mapping[str, Any], number: int) -> Judged:
    frames = truth["frames"]
    if not 0 <= number < len(frames):
        return Judged(passage, number, None, None)
    frame = frames[number]
    scene = next(e for e in passage["evidence"] if e["role"] == "scene")
    scale = truth["size_px"][0] / scene["width_px"]
    box = passage.get("vehicle_box_px")
    box = None if box is None else Box(*(v * scale for v in box))
    ious = {} if box is None else {n: Box(*b).iou(box) for n, b in frame["vehicles"].items()}
    quad = passage.get("plate_quad_px")
    if quad is not None:
        plates = _hidden_plates(frames, number) | frame["plates"]
        vehicle = _plate_at(plates, [(x * scale, y * scale) for x, y in quad])
    else:
        vehicle = max(ious, key=ious.__getitem__, default=None)
        if vehicle is not None and ious[vehicle] < _LEAST_IOU:
            vehicle = None
    return Judged(passage, number, vehicle, ious.get(vehicle) if box is not None else None)


def _hidden_plates(frames: Sequence[Mapping[str, Any]], number: int) -> dict[str, list[float]]:
    """Plates that the truth counts as hidden behind another vehicle, where they must be.

    Half a plate can be legible. Its place follows from the two frames next to this one in which
    the truth shows it.
    """
    hidden = {}
    for name in frames[number]["vehicles"].keys() - frames[number]["plates"].keys():
        for way in (1, -1):
            reach = range(number + way, number + way * (_HIDDEN_FRAMES + 1), way)
            known = [n for n in reach if 0 <= n < len(frames) and name in frames[n]["plates"]][:2]
            if len(known) == 2:
                near, far = (frames[n]["plates"][name] for n in known)
                share = (number - known[0]) / (known[1] - known[0])
                hidden[name] = [a + (b - a) * share for a, b in zip(near, far, strict=True)]
                break
    return hidden


def _plate_at(plates: Mapping[str, Sequence[float]], quad: Sequence[Sequence[float]]) -> str | None:
    """Whose plate lies there."""
    x, y = (sum(corner[i] for corner in quad) / 4 for i in (0, 1))
    best, nearest = None, _AT_PLATE_WIDTHS
    for name, corners in plates.items():
        width = max(corners[0::2]) - min(corners[0::2])
        dx, dy = sum(corners[0::2]) / 4 - x, sum(corners[1::2]) / 4 - y
        apart = (dx * dx + dy * dy) ** 0.5 / width
        if apart < nearest:
            best, nearest = name, apart
    return best


def figures(truth: Mapping[str, Any], judged: Sequence[Judged]) -> dict[str, Any]:
    """How well a clip was understood."""
    vehicles = {v["vehicle_id"]: v for v in truth["vehicles"]}
    plated = {n for n, v in vehicles.items() if v["plate"] and v["max_width_px"] >= LEAST_WIDTH_PX}
    unplated = {n for n, v in vehicles.items() if not v["plate"]}
    seen = Counter(j.vehicle_id for j in judged if j.vehicle_id is not None)
    right = {
        j.vehicle_id
        for j in judged
        if j.vehicle_id in plated and j.text == vehicles[j.vehicle_id]["plate"]
    }
    ghosts = [j for j in judged if j.vehicle_id is None]
    repeated = sum(n - 1 for n in seen.values())
    again = _repeats(judged)
    return {
        "vehicles": len(plated),
        "captured": len(plated & set(seen)),
        "plates_right": len(right),
        "passages": len(judged),
        "duplicates": repeated,
        "mixed": sum(is_mixed(j, vehicles) for j in judged),
        "ghosts": len(ghosts),
        "unplated": len(unplated),
        "unplated_captured": len(unplated & set(seen)),
        "wrong_plate_claimed": sum(_is_wrong(j, vehicles) for j in judged),
        **_attributes(vehicles, judged, _stopped(truth)),
        "missed": sorted(plated - set(seen)),
        "not_wanted": [_described(j) for j in judged if j in again],
        "misread": sorted(
            f"{vehicles[j.vehicle_id]['plate']} as {j.text or j.passage['plate']['state']}"
            for j in judged
            if j.vehicle_id in plated - right
        ),
    }


def _repeats(judged: Sequence[Judged]) -> list[Judged]:
    """Passages of vehicles that had one already."""
    known: set[str | None] = {None}
    again = []
    for one in judged:
        if one.vehicle_id in known:
            again.append(one)
        known.add(one.vehicle_id)
    return again


def _described(judged: Judged) -> str:
    passage = judged.passage
    text = judged.text or passage["plate"]["state"]
    frames, box = passage["track"]["frames"], passage.get("vehicle_box_px")
    return f"frame {judged.frame}: {text}, {frames} frames, {passage['direction']}, {box}"


def is_mixed(judged: Judged, vehicles: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the evidence shows one vehicle and the text is another's."""
    if not judged.text or judged.vehicle_id not in vehicles:
        return False
    own = vehicles[judged.vehicle_id]["plate"]
    if own and distance(judged.text, own) < _MIXED_APART:
        return False
    return any(v["plate"] and distance(judged.text, v["plate"]) < _SAME_TEXT
               for v in vehicles.values())  # fmt: skip


def _is_wrong(judged: Judged, vehicles: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a whole plate is claimed that the vehicle does not bear."""
    if judged.passage["plate"]["state"] != "read":
        return False
    own = vehicles[judged.vehicle_id]["plate"] if judged.vehicle_id in vehicles else ""
    return bool(judged.text != own)


def _stopped(truth: Mapping[str, Any]) -> set[str]:
    """Vehicles that were in view for too long to have driven freely."""
    frames = Counter(name for frame in truth["frames"] for name in frame["vehicles"])
    return {name for name, count in frames.items() if count > _FREELY_S * truth["fps"]}


def _attributes(
    vehicles: Mapping[str, Mapping[str, Any]], judged: Iterable[Judged], stopped: set[str]
) -> dict[str, Any]:
    """Shares of right answers among those that were given, with how many were given."""
    known = [(j, vehicles[j.vehicle_id]) for j in judged if j.vehicle_id in vehicles]
    pairs = {
        "direction": [(j.passage["direction"], v["direction"]) for j, v in known],
        "lane": [(j.passage["lane"], v["lane"] + 1) for j, v in known],
        "plate_kind": [(j.passage["plate"]["kind"], v["kind"]) for j, v in known if v["plate"]],
        "plate_color": [(j.passage["plate"]["color"], v["color"]) for j, v in known if v["plate"]],
        "vehicle_color": [
            (j.passage["vehicle_color"], _COLOR_OF.get(v["vehicle_color"], v["vehicle_color"]))
            for j, v in known
        ],
    }
    shares: dict[str, Any] = {}
    for name, answers in pairs.items():
        given = [(a, b) for a, b in answers if a not in {None, "unknown"}]
        right = sum(a == b for a, b in given)
        shares[name] = {"given": len(given), "of": len(answers), "right": right}
    errors = [
        abs(j.passage["speed_kmh"] / v["speed_kmh"] - 1)
        for j, v in known
        if j.passage.get("speed_kmh") is not None and j.vehicle_id not in stopped
    ]
    if errors:
        ordered = sorted(errors)
        shares["speed"] = {
            "given": len(errors),
            "median_error": round(median(errors), 4),
            "p95_error": round(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], 4),
        }
    ious = [j.vehicle_iou for j, _ in known if j.vehicle_iou is not None]
    if ious:
        shares["vehicle_box"] = {"given": len(ious), "median_iou": round(median(ious), 3)}
    return shares
