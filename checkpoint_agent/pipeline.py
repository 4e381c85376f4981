"""One camera's frames in, passages out: look → detect → match → read → track → vote → passage.

A pipeline reads no clock and writes nothing; what it returns is kept by whoever runs it. For a
recording it returns the same passages, with the same ids, each time the same frames are read.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from anpr import Detection, ImageError, PlateRead
from anpr.types import Image
from checkpoint_agent import ids
from checkpoint_agent.attention import Motion, gains_from_reading
from checkpoint_agent.clock import ClockState
from checkpoint_agent.config import CameraConfig, PassageConfig
from checkpoint_agent.crossing import Scene
from checkpoint_agent.evidence import Photographer, Shot, choose
from checkpoint_agent.frames import Frame
from checkpoint_agent.outbox_values import Entry
from checkpoint_agent.passage import Seen, is_worth_reporting, make_passage
from checkpoint_agent.repeats import Repeats, Reported
from checkpoint_agent.tracker import Track, Tracker
from checkpoint_agent.voting import Vote, vote
from server.wire import Models

_LOOK_EVERY_S = 1.0
"""A picture in which nothing moves is searched so often."""
_UNSURE_HOLD = 6
"""A vehicle that stays and cannot be read for sure is held so many times longer."""


class Reader(Protocol):
    """What the agent needs of :class:`anpr.PlateReader`."""

    @property
    def detector_name(self) -> str:
        """Name and short hash of the detector."""

    @property
    def recogniser_name(self) -> str:
        """Name and short hash of the recogniser."""

    def detect(self, image: Image) -> list[Detection]:
        """The plates of an image, unread."""

    def read_detections(self, image: Image, detections: Sequence[Detection]) -> list[PlateRead]:
        """Read plates that were found; one that is none gives no read."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What outlives the process for a recording, as one string."""

    source: str
    place: str
    repeats: str

    @classmethod
    def load(cls, text: str | None, camera: CameraConfig) -> "Kept | None":
        """What was kept for this camera; ``None`` if nothing, or of another source."""
        kept = cls(**json.loads(text)) if text else None
        return kept if kept and kept.source == _fingerprint(camera) else None

    def dump(self) -> str:
        """As one string."""
        return json.dumps({"source": self.source, "place": self.place, "repeats": self.repeats})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a frame led to."""

    entries: tuple[Entry, ...] = ()
    kept: str | None = None
    """To be kept together with ``entries``: all before this is finished. ``None``: not so."""


class Pipeline:
    """The stages of one camera; owned by one thread."""

    def __init__(  # noqa: PLR0913 - what it needs, handed in by name
        self,
        camera: CameraConfig,
        rules: PassageConfig,
        reader: Reader,
        *,
        models: Models,
        clock_state: Callable[[], ClockState],
        stills: bool,
        kept: Kept | None,
    ) -> None:
        """Set up the stages.

        Args:
            camera: The camera.
            rules: When reads become a passage.
            reader: Finds and reads plates; may be shared with other cameras.
            models: Written into each passage.
            clock_state: What is known of the clock, asked for each passage.
            stills: Whether each picture stands for itself.
            kept: What was kept when the camera was read last, if it is a recording.
        """
        self._camera = camera
        self._rules = rules
        self._reader = reader
        self._models = models
        self._clock_state = clock_state
        self._stills = stills
        self._scene = Scene.of(camera)
        self._tracker = Tracker(rules.close_after_s)
        self._repeats = Repeats(rules, kept.repeats if kept else None)
        self._motion = Motion()
        self._looked_at: datetime | None = None
        self._shots: dict[int, list[Shot]] = {}
        self._reported: dict[int, Reported] = {}
        self._reports: dict[int, int] = {}
        self._votes: dict[int, tuple[int, Vote]] = {}
        self._frame_size_px = (1, 1)
        self._place: str | None = None
        self.unreadable = 0
        """Frames that the reader could not take."""
        self.searched = 0
        """Frames in which plates were looked for."""

    # ------------------------------------------------------------------ frames

    def see(self, frame: Frame) -> Outcome:
        """Take in the next frame.

        Raises:
            anpr.AnprError: if a model fails.
        """
        at = frame.captured_at
        self._frame_size_px = (frame.image.shape[1], frame.image.shape[0])
        closed = self._tracker.close_lost(at)
        if self._is_worth_a_look(frame):
            self._looked_at = at
            self.searched += 1
            try:
                self._look(frame)
            except ImageError:
                self.unreadable += 1
        closed += self._tracker.close_all() if self._stills else self._tracker.close_lost(at)
        entries = [self._report(track, at) for track in self._ripe(at)]
        entries += self._close(closed)
        self._repeats.forget(at)
        self._place = frame.after
        return self._outcome(entries)

    def flush(self) -> Outcome:
        """Nothing more will be seen of the vehicles in view: report them."""
        return self._outcome(self._close(self._tracker.close_all()))

    def kept_before(self, frame: Frame) -> str:
        """What is to be kept before the first frame of a recording, so that its times stand."""
        return Kept(_fingerprint(self._camera), frame.before, self._repeats.as_json()).dump()

    def _outcome(self, entries: Sequence[Entry | None]) -> Outcome:
        finished = all(self._is_finished(track) for track in self._tracker.open_tracks)
        kept = None
        if finished and self._place:
            kept = Kept(_fingerprint(self._camera), self._place, self._repeats.as_json()).dump()
        return Outcome(tuple(entry for entry in entries if entry is not None), kept)

    def _is_finished(self, track: Track) -> bool:
        """Whether a vehicle in view was reported, or stays without ever being worth it."""
        long = timedelta(seconds=self._rules.hold_limit_s * _UNSURE_HOLD)
        return track.number in self._reported or track.last_at - track.first_at >= 2 * long

    # ------------------------------------------------------------------ looking

    def _is_worth_a_look(self, frame: Frame) -> bool:
        if self._stills:
            return True
        moved = self._motion.seen_in(frame.image)
        if moved or self._looked_at is None:
            return True
        waiting = any(t.number not in self._reported for t in self._tracker.open_tracks)
        pause_s = min(_LOOK_EVERY_S, self._rules.close_after_s / (4 if waiting else 2))
        return abs(frame.captured_at - self._looked_at) >= timedelta(seconds=pause_s)

    def _look(self, frame: Frame) -> None:
        """Detect, match, read, track; keep pictures of what was read."""
        at, image = frame.captured_at, frame.image
        matches = self._tracker.match(at, self._detections(image))
        rules = self._rules
        chosen = [
            match.detection
            for match in matches
            if gains_from_reading(match, at, enough_reads=rules.enough_reads)
        ]
        reads = {read.quad: read for read in self._reader.read_detections(image, chosen)}
        no_plates = {detection.quad for detection in chosen if detection.quad not in reads}
        for match in matches:
            if match.detection.quad in no_plates:
                self._tracker.deny(match)
        seen = [
            (match, reads.get(match.detection.quad))
            for match in matches
            if match.detection.quad not in no_plates
        ]
        photographer = Photographer(frame)
        tracks = self._tracker.update(at, frame.name, seen)
        for track, (_, read) in zip(tracks, seen, strict=True):
            report = self._reported.get(track.number)
            if report is not None:
                report.box, report.seen_at = track.box, at
            if read is not None and (report is None or self._rules.standing_repeat_min):
                photographer.improve(self._shots.setdefault(track.number, []), read)

    def _detections(self, image: Image) -> list[Detection]:
        """The plates in the region of interest."""
        width_px, height_px = self._frame_size_px
        found = []
        for detection in self._reader.detect(image):
            box = detection.quad.box()
            x_share = (box.x1 + box.x2) / 2 / width_px
            y_share = (box.y1 + box.y2) / 2 / height_px
            if self._scene.contains(x_share, y_share):
                found.append(detection)
        return found

    # ------------------------------------------------------------------ reporting

    def _ripe(self, at: datetime) -> list[Track]:
        """Vehicles in view that are reported before they leave."""
        hold = timedelta(seconds=self._rules.hold_limit_s)
        ripe = []
        for track in self._tracker.open_tracks:
            report = self._reported.get(track.number)
            age = at - track.first_at
            if report is not None:
                if self._repeats.due(report, at):
                    ripe.append(track)
            elif age >= hold and (age >= hold * _UNSURE_HOLD or self._vote(track).state == "read"):
                ripe.append(track)
        return ripe

    def _close(self, tracks: Sequence[Track]) -> list[Entry | None]:
        entries = []
        for track in tracks:
            if track.number not in self._reported:
                entries.append(self._report(track, track.last_at))
            for kept in (self._shots, self._reported, self._reports, self._votes):
                kept.pop(track.number, None)
        return entries

    def _report(self, track: Track, at: datetime) -> Entry | None:
        """The passage of a vehicle, unless it is none or would only be repeated."""
        result = self._vote(track)
        shots = self._shots.get(track.number, [])
        worth = is_worth_reporting(
            track, result, min_width_px=self._rules.min_plate_width_px, stills=self._stills
        )
        if not worth or not shots:
            return None
        sure = result.state == "read"
        again = self._reported.get(track.number)
        span = (track.first_at, track.last_at)
        earlier = again or self._repeats.find(result.text, track.box, span, sure=sure)
        if earlier is not None and not self._repeats.due(earlier, at):
            earlier.box, earlier.seen_at = track.box, track.last_at
            self._reported[track.number] = earlier
            return None
        if earlier is not None:
            earlier.reported_at = at
            report = earlier
        else:
            report = self._repeats.add(Reported(result.text, sure, track.box, track.last_at, at))
        self._reported[track.number] = report
        self._shots[track.number] = []
        return self._entry(Seen(track, result, choose(shots, result.text), self._frame_size_px))

    def _entry(self, seen: Seen) -> Entry:
        track = seen.track
        nth = self._reports.get(track.number, 0)
        self._reports[track.number] = nth + 1
        passage_id = (
            ids.mint(seen.shot.captured_at)
            if self._camera.live
            else ids.derive(track.first_at, self._camera.id, track.origin, str(nth))
        )
        return make_passage(
            seen,
            passage_id=passage_id,
            camera_id=self._camera.id,
            scene=self._scene,
            clock=self._clock_state(),
            models=self._models,
        )

    def _vote(self, track: Track) -> Vote:
        """The vote over a track, counted again only when there are new reads."""
        known = self._votes.get(track.number)
        if known is None or known[0] != track.attempts:
            result = vote(
                track.reads,
                sure_reads=1 if self._stills else self._rules.sure_reads,
                sure_alone_score=self._rules.sure_alone_score,
            )
            known = self._votes[track.number] = (track.attempts, result)
        return known[1]


def _fingerprint(camera: CameraConfig) -> str:
    """Changes when a camera is given another source."""
    return hashlib.sha256(camera.source.encode()).hexdigest()[:16]
