"""A road without cameras, a reader without models, a server without a database.

The fake reader really reads pixels: a plate is a rectangle of one colour, and each colour stands
for a text. So tests of the agent exercise frames, tracks and evidence with pictures that can be
checked, and say nothing about how well plates are read, which is tested with the reader.
"""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np

from anpr import InferenceError
from anpr.plate import PlateColor, PlateKind
from anpr.types import Character, Detection, PlateRead, Quad
from checkpoint_agent import ids
from checkpoint_agent.clock import Clock, ClockState
from checkpoint_agent.tracker import Tracker
from server.wire import Evidence, Models, Passage, Plate, Track, WatchlistCopy

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
SIZE = (360, 640)
"""Height and width of fake frames."""


def quad(x: float, y: float, width: float = 80.0, height: float = 24.0) -> Quad:
    """An upright plate with this top left corner."""
    return Quad((x, y), (x + width, y), (x + width, y + height), (x, y + height))


def detection(x: float, y: float, width: float = 80.0, score: float = 0.9) -> Detection:
    return Detection(quad(x, y, width, width * 0.3), score, 1)


def read_of(
    text: str,
    score: float = 0.95,
    *,
    at: Detection | None = None,
    color: PlateColor = PlateColor.BLUE,
    alternatives: dict[int, tuple[tuple[str, float], ...]] | None = None,
) -> PlateRead:
    """A read with this text; every character as sure as the whole."""
    place = at or detection(100, 100)
    return PlateRead(
        text=text,
        score=score,
        kind=PlateKind.UNKNOWN,
        color=color,
        quad=place.quad,
        rows=1,
        detection_score=place.score,
        characters=tuple(
            Character(char, score, (alternatives or {}).get(i, ())) for i, char in enumerate(text)
        ),
    )


# ---------------------------------------------------------------------- pictures

ILLEGIBLE = "illegible"
_PALETTE = [
    (b, g, r) for b in (0, 85, 170, 255) for g in (0, 85, 170, 255) for r in (0, 85, 170, 255)
]


class Signs:
    """Which colour stands for which plate text; grey is the road."""

    def __init__(self, texts: Sequence[str]) -> None:
        usable = [color for color in _PALETTE if len(set(color)) > 1]
        self.color_of = dict(zip(texts, usable, strict=False))
        if len(self.color_of) < len(texts):
            raise ValueError("more texts than colours")

    def picture(self, *plates: tuple[str, float, float, float]) -> np.ndarray:
        """A road with plates ``(text, x, y, width)``."""
        image = np.full((*SIZE, 3), 100, np.uint8)
        for text, x, y, width in plates:
            corner = (round(x + width) - 1, round(y + width * 0.3) - 1)
            cv2.rectangle(image, (round(x), round(y)), corner, self.color_of[text], -1)
        return image


@dataclass
class FakeReader:
    """Finds the rectangles of :class:`Signs` in the pixels."""

    signs: Signs
    score: float = 0.95
    detector_name: str = "fake-detector"
    recogniser_name: str = "fake-recogniser"
    reads: int = 0
    searches: int = 0
    fail_at: int | None = None
    """Raises at this search, as a broken model would."""

    def detect(self, image: np.ndarray) -> list[Detection]:
        self.searches += 1
        if self.searches == self.fail_at:
            raise InferenceError("fake-detector: broken")
        return [place for _, place in self._found(image)]

    def read_detections(self, image, detections: Sequence[Detection]) -> list[PlateRead]:
        texts = {place.quad: text for text, place in self._found(image)}
        self.reads += len(detections)
        return [
            read_of("" if texts[d.quad] == ILLEGIBLE else texts[d.quad], self.score, at=d)
            for d in detections
        ]

    def _found(self, image: np.ndarray) -> list[tuple[str, Detection]]:
        found = []
        blue, green, red = cv2.split(image)
        apart = cv2.max(cv2.absdiff(blue, green), cv2.absdiff(green, red))
        painted = (apart > 30).astype(np.uint8)
        count, _, stats, centres = cv2.connectedComponentsWithStats(painted)
        for (x, y, width, height, _), (cx, cy) in zip(stats[1:count], centres[1:], strict=True):
            color = image[round(cy), round(cx)].astype(int)
            text = min(self.signs.color_of, key=lambda t: _apart(color, self.signs.color_of[t]))
            if width >= 10 and _apart(color, self.signs.color_of[text]) < 30:
                place = Detection(quad(float(x), float(y), float(width), float(height)), 0.9, 1)
                found.append((text, place))
        return found


def _apart(a: np.ndarray, b: tuple[int, int, int]) -> int:
    return int(np.abs(a - np.array(b)).max())


def name_at(at: datetime) -> str:
    """A file name that carries the capture time."""
    return at.strftime("%Y%m%dT%H%M%S.") + f"{at.microsecond // 1000:03d}Z.png"


def write_drive(
    folder: Path,
    signs: Signs,
    drives: Sequence[tuple[str, float]],
    *,
    start: datetime = NOON,
    fps: float = 6.0,
    seconds: float = 2.0,
    gap_s: float = 1.8,
) -> int:
    """Frames of cars that approach one after the other; how many frames.

    ``drives`` are ``(text, x)``: each car comes down its own column for ``seconds``, and the next
    one starts ``gap_s`` after it has gone, or at once with a negative gap.
    """
    folder.mkdir(parents=True, exist_ok=True)
    period = seconds + gap_s
    total = round((period * len(drives) + 0.5) * fps)
    for n in range(total):
        t = n / fps
        plates = []
        for i, (text, x) in enumerate(drives):
            share = (t - i * period) / seconds
            if 0 <= share <= 1:
                plates.append((text, x, 20 + 260 * share, 60 + 40 * share))
        at = start + timedelta(seconds=t)
        cv2.imwrite(str(folder / name_at(at)), signs.picture(*plates))
    return total


# ---------------------------------------------------------------------- time


@dataclass
class FakeClock(Clock):
    """Time that moves only when someone waits, or is told to."""

    at: datetime = NOON
    s: float = 1000.0
    waits: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return self.s

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.waits.append(timeout_s)
        self.pass_s(max(0.0, timeout_s))
        return event.is_set()

    def pass_s(self, seconds: float) -> None:
        self.s += seconds
        self.at += timedelta(seconds=seconds)

    def state(self) -> ClockState:
        return ClockState(synchronised=True)


# ---------------------------------------------------------------------- passages

MODELS = Models(agent="0", detector="fake-detector", recogniser="fake-recogniser")


def make_passage(
    number: int, *, at: datetime = NOON, pictures: Sequence[str] = (), text: str = "京A12345"
) -> Passage:
    """A valid passage; ``number`` tells it from others, ``pictures`` are names of pictures."""
    return Passage(
        passage_id=ids.derive(at, "test", str(number)),
        camera_id="gate-1",
        captured_at=at,
        plate=Plate(state="read", text=text, score=0.9),
        track=Track(first_at=at, last_at=at, frames=3, reads=3, votes=3),
        evidence=tuple(
            Evidence(
                role="scene", sha256=name, size_bytes=9, width_px=8, height_px=8, captured_at=at
            )
            for name in pictures
        ),
        models=MODELS,
    )


# ---------------------------------------------------------------------- server


class RoadsideServer:
    """A real HTTP server on the loopback that keeps what it is sent, and misbehaves on demand.

    ``faults`` are consumed one a request to the passages' path: ``"500"``, ``"garbage"``,
    ``"half"`` (a receipt for every second item), ``"nothing"`` (an empty receipt), ``"cut"`` (the
    connection is closed without an answer), ``"lost"`` (stored, but the answer never arrives),
    ``"401"``, ``"413"``, ``"slow"`` (the answer takes 2 s, and is given), ``"hang"`` (30 s).
    """

    def __init__(self) -> None:
        self.passages: dict[str, dict] = {}
        self.deliveries: dict[str, str] = {}
        self.batches: list[dict] = []
        self.arrivals: list[str] = []
        self.pictures: dict[str, bytes] = {}
        self.heartbeats: list[dict] = []
        self.missing_pictures: list[str] = []
        self.faults: list[str] = []
        self.rejects: dict[str, str] = {}
        self.tokens: set[str] = set()
        self.watchlist = WatchlistCopy(revision=0, entries=())
        self.lock = threading.Lock()
        self.pause = threading.Event()
        """Set: whoever hangs goes on."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self.pause.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def take(self, message: dict) -> list[dict]:
        """Store a batch as the real server does; the results of its receipt."""
        results = []
        self.batches.append(message)
        for item in message["passages"]:
            name = item["passage_id"]
            for evidence in item["evidence"]:
                if evidence["sha256"] not in self.pictures:
                    self.missing_pictures.append(evidence["sha256"])
            if name in self.rejects:
                results.append(
                    {"passage_id": name, "outcome": "rejected", "reason": self.rejects[name]}
                )
                continue
            outcome = "duplicate" if name in self.passages else "accepted"
            if outcome == "accepted":
                self.arrivals.append(name)
                self.deliveries[name] = message["delivery"]
            self.passages.setdefault(name, item)
            results.append({"passage_id": name, "outcome": outcome})
        return results

    def _handler(self) -> type[BaseHTTPRequestHandler]:  # noqa: C901 - one class
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                tag = f'"watchlist-{owner.watchlist.revision}"'
                if self.headers["If-None-Match"] == tag:
                    self._answer(304, b"")
                else:
                    self._answer(200, owner.watchlist.model_dump_json().encode(), ETag=tag)

            def do_PUT(self) -> None:
                content = self._body()
                with owner.lock:
                    owner.pictures[self.path.rsplit("/", 1)[1]] = content
                    owner.tokens.add(self.headers["Authorization"])
                self._answer(201, b"")

            def do_POST(self) -> None:
                message = json.loads(self._body())
                with owner.lock:
                    owner.tokens.add(self.headers["Authorization"])
                    if self.path.endswith("heartbeats"):
                        owner.heartbeats.append(message)
                        self._answer(204, b"")
                        return
                    self._passages(message)

            def _passages(self, message: dict) -> None:
                fault = owner.faults.pop(0) if owner.faults else ""
                if fault in {"slow", "hang"}:
                    owner.pause.wait(2 if fault == "slow" else 30)
                if fault in {"500", "401", "413"}:
                    self._answer(int(fault), b"{}")
                    return
                if fault == "garbage":
                    self._answer(200, b"<html>welcome to the hotel</html>")
                    return
                if fault == "cut":
                    self.close_connection = True
                    return
                results = owner.take(message)
                if fault == "lost":
                    self.close_connection = True
                    return
                results = {"half": results[::2], "nothing": []}.get(fault, results)
                receipt = {"results": results, "received_at": NOON.isoformat()}
                self._answer(200, json.dumps(receipt).encode())

            def _body(self) -> bytes:
                return self.rfile.read(int(self.headers["Content-Length"]))

            def _answer(self, status: int, body: bytes, **headers: str) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return Handler


def track(*points, text="京A12345", every_s=0.08, begins_s=0.0, number=0):
    """A track through places ``(x, y)`` of a plate 100 px wide."""
    tracker = Tracker(600)
    for n, (x, y) in enumerate(points):
        at = NOON + timedelta(seconds=begins_s + n * every_s)
        place = detection(x, y, 100)
        (match,) = tracker.match(at, [place])
        (found,) = tracker.update(at, str(n), [(match, read_of(text, at=place))])
    found.number = number
    return found
