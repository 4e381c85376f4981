"""From a vehicle's track to the passage that is sent."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from anpr.types import Box
from checkpoint_agent.clock import ClockState
from checkpoint_agent.crossing import Scene, direction
from checkpoint_agent.evidence import Encoded, Shot, of_vehicle
from checkpoint_agent.outbox_values import Entry
from checkpoint_agent.tracker import Track
from checkpoint_agent.unplated import Patch
from checkpoint_agent.voting import Vote
from server.wire import (
    Alternative,
    Character,
    Clock,
    Evidence,
    EvidenceRole,
    Models,
    Passage,
    Plate,
    VehicleColor,
)
from server.wire import Track as WireTrack

_WIRE_ALTERNATIVES = 8
_STEADY_FRAMES = 3
"""So often must the detector have been sure of a plate that nobody could read."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that is known of a vehicle when it is reported."""

    track: Track
    vote: Vote
    shot: Shot
    frame_size_px: tuple[int, int]
    """Width and height of the camera's frames."""
    color: VehicleColor = "unknown"
    """Of the body."""
    speed_kmh: float | None = None


def make_passage(  # noqa: PLR0913 - what it needs, handed in by name
    seen: Seen, *, passage_id: UUID, camera_id: str, scene: Scene, clock: ClockState, models: Models
) -> Entry:
    """The passage of a vehicle with its pictures.

    Args:
        seen: The vehicle.
        passage_id: Minted by the caller, once.
        camera_id: Which camera saw it.
        scene: The camera's lanes.
        clock: What is known of the box's clock.
        models: Which software and weights were at work.
    """
    track, shot = seen.track, seen.shot
    corners = shot.quad.as_tuple()
    passage = Passage(
        passage_id=passage_id,
        camera_id=camera_id,
        captured_at=shot.captured_at,
        clock=Clock(synchronised=clock.synchronised, offset_ms=clock.offset_ms),
        plate=_plate(seen.vote),
        plate_quad_px=(
            _scaled(corners[0], shot.scale),
            _scaled(corners[1], shot.scale),
            _scaled(corners[2], shot.scale),
            _scaled(corners[3], shot.scale),
        ),
        vehicle_box_px=_box(shot.vehicle, shot.scale),
        vehicle_color=seen.color,
        direction=direction(track.points),
        lane=_lane(seen, scene),
        speed_kmh=None if seen.speed_kmh is None else round(seen.speed_kmh, 1),
        track=WireTrack(
            first_at=track.first_at,
            last_at=track.last_at,
            frames=track.frames,
            reads=track.read_count,
            votes=seen.vote.votes,
        ),
        evidence=(
            _evidence("scene", shot.scene, shot.captured_at),
            _evidence("plate", shot.plate, shot.captured_at),
        ),
        models=models,
    )
    return Entry(passage, (shot.scene.picture, shot.plate.picture))


def make_unplated(  # noqa: PLR0913 - what it needs, handed in by name
    patch: Patch,
    *,
    passage_id: UUID,
    camera_id: str,
    lane: int | None,
    clock: ClockState,
    models: Models,
) -> Entry:
    """The passage of a vehicle whose plate was not seen, or not well enough to be one.

    Raises:
        ValueError: if the patch has no picture.
    """
    if patch.shot is None or patch.box is None:
        raise ValueError("a patch without a picture is no vehicle")
    at = patch.shot.captured_at
    scene, vehicle, scale = of_vehicle(patch.shot.image, patch.box)
    sure = any(track.sure_frames for track in patch.tracks.values())
    passage = Passage(
        passage_id=passage_id,
        camera_id=camera_id,
        captured_at=at,
        clock=Clock(synchronised=clock.synchronised),
        plate=Plate(state="unread" if sure else "none"),
        vehicle_box_px=_box(patch.box, scale),
        direction=patch.direction,
        lane=lane,
        track=WireTrack(
            first_at=patch.first_at, last_at=patch.last_at, frames=patch.frames, reads=0, votes=0
        ),
        evidence=(_evidence("scene", scene, at), _evidence("vehicle", vehicle, at)),
        models=models,
    )
    return Entry(passage, (scene.picture, vehicle.picture))


def _box(box: Box | None, scale: float) -> tuple[float, float, float, float] | None:
    """In the scene picture."""
    if box is None:
        return None
    x1, y1, x2, y2 = (round(value * scale, 1) for value in box.as_tuple())
    return (x1, y1, x2, y2)


def _plate(vote: Vote) -> Plate:
    return Plate(
        state=vote.state,
        text=vote.text,
        color=vote.color.value,
        kind=vote.kind.value,
        score=_score(vote.score),
        characters=tuple(
            Character(
                char=character.char,
                score=_score(character.score),
                alternatives=tuple(
                    Alternative(char=char, score=_score(score))
                    for char, score in character.alternatives[:_WIRE_ALTERNATIVES]
                ),
            )
            for character in vote.characters
        ),
    )


def _lane(seen: Seen, scene: Scene) -> int | None:
    """The lane under the plate in the frame of the evidence."""
    (_, _), (_, _), right, left = seen.shot.quad.as_tuple()
    width_px, height_px = seen.frame_size_px
    return scene.lane((right[0] + left[0]) / 2 / width_px, (right[1] + left[1]) / 2 / height_px)


def _evidence(role: EvidenceRole, encoded: Encoded, captured_at: datetime) -> Evidence:
    return Evidence(
        role=role,
        sha256=encoded.picture.sha256,
        size_bytes=len(encoded.picture.content),
        width_px=encoded.width_px,
        height_px=encoded.height_px,
        captured_at=captured_at,
    )


def _scaled(point: tuple[float, float], scale: float) -> tuple[float, float]:
    return (round(point[0] * scale, 2), round(point[1] * scale, 2))


def _score(value: float) -> float:
    """To four digits, inside [0, 1]."""
    return min(1.0, max(0.0, round(float(value), 4)))


def is_worth_reporting(track: Track, vote: Vote, *, min_width_px: float, stills: bool) -> bool:
    """Whether a track is a vehicle that passed, and not a speck or one far away.

    A plate that was read is a vehicle. An unread one must be sure to be a plate, and not only
    once: lamps and badges are taken for plates now and then, but not in frame after frame.
    """
    if track.widest_px < min_width_px:
        return False
    if vote.state != "unread":
        return True
    if track.denials >= max(1, track.attempts):
        return False
    return track.sure_frames >= (1 if stills else _STEADY_FRAMES)
