"""One camera's frames in, passages out: look → detect → match → read → track → vote → passage.

A pipeline reads no clock and writes nothing; what it returns is kept by whoever runs it. For a
recording it returns the same passages, with the same ids, each time the same frames are read.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from anpr import Detection, ImageError
from anpr.types import Image
from checkpoint_agent import ids
from checkpoint_agent.attention import Looks, gains_from_reading, is_whole
from checkpoint_agent.clock import ClockState
from checkpoint_agent.config import CameraConfig, PassageConfig
from checkpoint_agent.counting import Counting
from checkpoint_agent.crossing import Border, Scene, has_crossed
from checkpoint_agent.doubt import Doubts
from checkpoint_agent.evidence import Photographer, Shot, choose
from checkpoint_agent.foreground import View
from checkpoint_agent.frames import Frame, to_microseconds
from checkpoint_agent.outbox_values import Entry
from checkpoint_agent.passage import Seen, is_worth_reporting, make_passage, make_unplated
from checkpoint_agent.pipeline_values import Kept, Outcome, Reader, fingerprint
from checkpoint_agent.plate_scale import PlateScale
from checkpoint_agent.repeats import Repeats, Reported
from checkpoint_agent.speed import SpeedGauge
from checkpoint_agent.tracker import Track, Tracker
from checkpoint_agent.unplated import Patch
from checkpoint_agent.vehicle_color import Votes, body_color, most_voted
from checkpoint_agent.voting import Vote, vote
from server.wire import Models

__all__ = ["Kept", "Outcome", "Pipeline", "Reader"]


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
        self._doubts = Doubts(rules.hold_limit_s, rules.standing_gap_s)
        self._scale = PlateScale(*(kept.scale if kept else ()))
        self._counting = Counting(camera, self._scene, kept.marks if kept else None, stills=stills)
        self._learns_until_us = kept.until_us if kept else None
        self._gauge = SpeedGauge(camera.calibration) if camera.calibration else None
        self._looks = Looks(rules, kept.slot if kept else None)
        self._bodies: dict[int, Votes] = {}
        self._shots: dict[int, list[Shot]] = {}
        self._reported: dict[int, Reported] = {}
        self._reports: dict[int, int] = {}
        self._votes: dict[int, tuple[int, Vote]] = {}
        self._border = Border((1, 1), self._scene)
        self._place: str | None = None
        self._seen_us: int | None = None
        self.unreadable = 0
        """Frames that the reader could not take."""
        self.searched = 0
        """Frames in which plates were looked for."""

    def see(self, frame: Frame) -> Outcome:
        """Take in the next frame.

        Raises:
            anpr.AnprError: if a model fails.
        """
        at = frame.captured_at
        height_px, width_px = frame.image.shape[:2]
        self._border = Border((width_px, height_px), self._scene)
        if self._is_known(at):
            self._counting.learn(frame)
            return Outcome()
        self._seen_us = to_microseconds(at)
        self._doubts.note_frame(at)
        closed = self._tracker.close_lost(at)
        view = self._counting.see(frame)
        waiting = any(t.number not in self._reported for t in self._tracker.open_tracks)
        if self._looks.is_worth_one(at, view, waiting=waiting):
            self.searched += 1
            try:
                self._look(frame, view)
            except ImageError:
                self.unreadable += 1
        closed += self._tracker.close_all() if self._stills else self._tracker.close_lost(at)
        entries = [self._report(track, at) for track in self._ripe(at)]
        entries += self._close(closed, hold=True)
        entries += self._close(self._doubts.due(at))
        in_view = {track.number for track in self._tracker.open_tracks}
        entries += self._unplated(self._counting.decided(at, in_view))
        self._repeats.forget(at)
        self._place = frame.after
        return self._outcome(entries)

    def flush(self) -> Outcome:
        """Nothing more will be seen of the vehicles in view: report them."""
        entries = self._close(self._tracker.close_all()) + self._close(self._doubts.end())
        return self._outcome([*entries, *self._unplated(self._counting.end())])

    def kept_before(self, frame: Frame) -> str:
        """What is to be kept before the first frame of a recording, so that its times stand."""
        return self._kept_at(frame.before)

    @property
    def is_quiet(self) -> bool:
        """Whether no vehicle is in view whose passage is still to come."""
        finished = all(self._is_finished(track) for track in self._tracker.open_tracks)
        return finished and not self._doubts.waiting and not self._counting.busy

    def kept_for_successor(self, later: timedelta = timedelta(0)) -> Kept:
        """What a new pipeline of this camera needs, so that it repeats nothing.

        Args:
            later: Added to all times, if the clock was set meanwhile.
        """
        return self._kept(self._place or "", later)

    def _outcome(self, entries: Sequence[Entry | None]) -> Outcome:
        kept = self._kept_at(self._place) if self._place and self.is_quiet else None
        found = tuple(entry for entry in entries if entry is not None)
        bare = any(entry.passage.plate_quad_px is None for entry in found)
        marks = self._counting.marks() if bare and not self._camera.live else None
        return Outcome(found, kept, marks)

    def _kept_at(self, place: str) -> str:
        return self._kept(place).dump()

    def _kept(self, place: str, later: timedelta = timedelta(0)) -> Kept:
        return Kept(
            fingerprint(self._camera),
            place,
            self._repeats.as_json(later),
            self._looks.slot,
            tuple(self._scale.as_list()),
            learns_from=self._counting.learns_from or place,
            until_us=None if self._camera.live else self._seen_us,
            marks=None if self._camera.live else self._counting.marks(),
        )

    def _is_known(self, at: datetime) -> bool:
        """Whether a frame is read again only to know the road."""
        if self._learns_until_us is None:
            return False
        if to_microseconds(at) <= self._learns_until_us:
            return True
        self._learns_until_us = None
        self._counting.begin()
        return False

    def _is_finished(self, track: Track) -> bool:
        """Whether a vehicle in view was reported, or stays without ever being worth it."""
        stayed = track.last_at - track.first_at
        return track.number in self._reported or stayed >= 2 * self._unsure_hold()

    def _unsure_hold(self) -> timedelta:
        """How long a vehicle that stays and cannot be read for sure is held.

        A queue that moves on shows its plates, and a better read is no repetition: reported
        before that, the vehicle would be two passages.
        """
        return timedelta(seconds=max(self._rules.hold_limit_s, self._rules.standing_gap_s))

    def _look(self, frame: Frame, view: View | None) -> None:
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
        photographer = Photographer(frame, view)
        tracks = self._tracker.update(at, frame.name, seen)
        for track, (_, read) in zip(tracks, seen, strict=True):
            report = self._reported.get(track.number)
            if report is not None:
                report.follow(track, self._border)
            if read is not None and (report is None or self._rules.standing_repeat_min):
                photographer.improve(self._shots.setdefault(track.number, []), read)
                if view is None or not view.dark:
                    body = self._bodies.setdefault(track.number, {})
                    color = body_color(image, read.quad)
                    body[color] = body.get(color, 0) + 1
        self._counting.note_plates(at, self._tracker.open_tracks, self._border.size_px)

    def _detections(self, image: Image) -> list[Detection]:
        """The plates in the region of interest; those that the picture cuts off are none yet."""
        width_px, height_px = self._border.size_px
        found = []
        for detection in self._reader.detect(image):
            box = detection.quad.box()
            x_share = (box.x1 + box.x2) / 2 / width_px
            y_share = (box.y1 + box.y2) / 2 / height_px
            whole = self._stills or is_whole(box, width_px, height_px)
            if whole and self._scene.contains(x_share, y_share):
                found.append(detection)
        return found

    # ------------------------------------------------------------------ reporting

    def _ripe(self, at: datetime) -> list[Track]:
        """Vehicles in view that are reported before they leave."""
        hold = timedelta(seconds=self._rules.hold_limit_s)
        ripe = []
        for track in self._tracker.open_tracks:
            report = self._reported.get(track.number)
            if report is not None:
                due = self._repeats.due(report, at)
            else:
                age = at - track.first_at
                sure = self._vote(track).state == "read"
                due = age >= self._unsure_hold() or (
                    sure and (age >= hold or self._has_crossed(track))
                )
            if due:
                ripe.append(track)
        return ripe

    def _has_crossed(self, track: Track) -> bool:
        ends = self._camera.trip_line
        return ends is not None and has_crossed(track.points, ends, self._border.size_px)

    def _close(self, tracks: Sequence[Track], *, hold: bool = False) -> list[Entry | None]:
        """The passages of tracks that have ended; with ``hold`` those that are not sure wait."""
        entries = []
        for track in tracks:
            if track.number not in self._reported:
                doubtful = hold and not self._stills and self._vote(track).state != "read"
                if doubtful and self._doubts.hold(track, self._border):
                    continue
                entries.append(self._report(track, track.last_at))
            self._forget(track)
        return entries

    def _report(self, track: Track, at: datetime) -> Entry | None:
        """The passage of a vehicle, unless it is none or would only be repeated."""
        result = self._vote(track)
        shots = self._shots.get(track.number, [])
        worth = is_worth_reporting(
            track, result, min_width_px=self._rules.min_plate_width_px, stills=self._stills
        ) and (result.state != "unread" or self._scale.is_plausible(track.box))
        if not worth or not shots:
            return None
        sure = result.state == "read"
        if sure:
            self._explain(track, result.text)
        again = self._reported.get(track.number)
        earlier = again or self._repeats.find(result.text, track, self._border, sure=sure)
        if earlier is not None and not self._repeats.due(earlier, at):
            earlier.follow(track, self._border)
            self._reported[track.number] = earlier
            track.reported = True
            return None
        if earlier is not None:
            earlier.reported_at = at
            report = earlier
        else:
            report = Reported.of(track, self._border, result.text, sure=sure, at=at)
            self._repeats.add(report)
        self._reported[track.number] = report
        track.reported = True
        self._shots[track.number] = []
        size_px = self._border.size_px
        return self._entry(
            Seen(
                track,
                result,
                choose(shots, result.text),
                size_px,
                color=most_voted(self._bodies.get(track.number, {})),
                speed_kmh=self._gauge.speed_kmh(track.points, size_px) if self._gauge else None,
            )
        )

    def _explain(self, sure: Track, text: str) -> None:
        """A plate that is sure says how wide plates are, and whose those were that were not."""
        if sure.number not in self._reported:
            self._scale.learn(sure.box)
        for lost in self._doubts.explained_by(sure, text):
            lost.reported = True
            self._forget(lost)

    def _forget(self, track: Track) -> None:
        for kept in (self._shots, self._reported, self._reports, self._votes, self._bodies):
            kept.pop(track.number, None)

    def _entry(self, seen: Seen) -> Entry:
        track = seen.track
        nth = self._reports.get(track.number, 0)
        self._reports[track.number] = nth + 1
        return make_passage(
            seen,
            passage_id=self._id(seen.shot.captured_at, track.first_at, track.origin, str(nth)),
            camera_id=self._camera.id,
            scene=self._scene,
            clock=self._clock_state(),
            models=self._models,
        )

    def _id(self, captured_at: datetime, first_at: datetime, *names: str) -> UUID:
        """Of a new passage; for a recording the same each time it is read."""
        if self._camera.live:
            return ids.mint(captured_at)
        return ids.derive(first_at, self._camera.id, *names)

    def _unplated(self, patches: Sequence[Patch]) -> list[Entry | None]:
        """The passages of vehicles that no plate explains."""
        entries: list[Entry | None] = []
        for patch in patches:
            lost = self._close(self._doubts.of(patch.tracks))  # it has crossed the line
            entries += lost
            if not any(lost):
                entries.append(self._unplated_entry(patch))
        return entries

    def _unplated_entry(self, patch: Patch) -> Entry | None:
        if patch.shot is None or patch.box is None:
            return None
        self._counting.mark(patch)
        return make_unplated(
            patch,
            passage_id=self._id(patch.shot.captured_at, patch.first_at, "line", f"{patch.x:.1f}"),
            camera_id=self._camera.id,
            lane=self._counting.lane(patch),
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
