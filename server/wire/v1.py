"""The messages between agent and server, version 1.

The guarantee is the bytes, not this class: a fleet of agents is never upgraded together with the
server. Inside version 1 only optional fields may be added; anything else becomes a version 2
beside this one. ``docs/wire/*.v1.schema.json`` is generated from here and compared in the tests;
``tests/contract/golden/v1`` holds what released agents really sent and is never edited.

Every time is an RFC 3339 instant with an offset; both sides write UTC. Pixels have their origin
at the top left of the evidence picture with role ``scene``. Scores and probabilities lie in
[0, 1]. A server ignores fields that it does not know, so that a newer agent is understood.
"""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

PASSAGE_SCHEMA: Literal["passage/1"] = "passage/1"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="Lower-case hex SHA-256.")]
Score = Annotated[float, Field(ge=0.0, le=1.0, description="Probability or score.")]
Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="Identifier: letters, digits, dot, underscore, hyphen.",
    ),
]
Point = tuple[float, float]

PlateState = Literal["read", "partial", "unread", "none"]
"""read: every character claimed; partial: some places are '?'; unread: a plate was seen but not
read; none: a vehicle without a visible plate."""

PlateColor = Literal[
    "blue", "yellow", "green", "yellow_green", "white", "black", "other", "unknown"
]

PlateKind = Literal[
    "small",
    "large",
    "trailer",
    "coach",
    "police",
    "new_energy_small",
    "new_energy_large",
    "embassy",
    "consulate",
    "hong_kong",
    "macao",
    "armed_police",
    "military",
    "emergency",
    "agricultural",
    "motorcycle",
    "foreign",
    "unknown",
]

Direction = Literal["approaching", "receding", "unknown"]
"""As seen by the camera; which way of the compass that is, the server knows from the camera."""

VehicleColor = Literal[
    "white",
    "black",
    "grey",
    "red",
    "blue",
    "yellow",
    "green",
    "brown",
    "orange",
    "purple",
    "unknown",
]

EvidenceRole = Literal["scene", "vehicle", "plate"]
Delivery = Literal["live", "backlog"]
Outcome = Literal["accepted", "duplicate", "rejected"]


class Message(BaseModel):
    """Base of all messages: immutable, tolerant of fields from the future."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Clock(Message):
    """What the agent knew of its own clock when it captured the passage."""

    synchronised: bool | None = Field(
        default=None, description="Whether the system clock was disciplined; null if unknown."
    )
    offset_ms: float | None = Field(
        default=None, description="Agent clock minus reference clock in ms; null if not measured."
    )


class Alternative(Message):
    """A character that was considered and not chosen."""

    char: str = Field(min_length=1, max_length=1)
    score: Score


class Character(Message):
    """One character of a plate, with what else it could have been."""

    char: str = Field(min_length=1, max_length=1, description="'?' where nothing is claimed.")
    score: Score
    alternatives: tuple[Alternative, ...] = Field(default=(), max_length=8)


class Plate(Message):
    """What was read off the vehicle, after the vote over its track."""

    state: PlateState
    text: str = Field(
        default="", max_length=16, description="Normalised, no separators; '' if unread or none."
    )
    color: PlateColor = "unknown"
    kind: PlateKind = "unknown"
    score: Score = 0.0
    characters: tuple[Character, ...] = Field(default=(), max_length=16)


class Track(Message):
    """How the passage came about."""

    first_at: AwareDatetime = Field(description="First frame that showed the vehicle.")
    last_at: AwareDatetime = Field(description="Last frame that showed the vehicle.")
    frames: int = Field(ge=1, description="Frames in which it was seen.")
    reads: int = Field(ge=0, description="Frames in which its plate was read.")
    votes: int = Field(ge=0, description="Reads that agree with the plate as sent.")


class Evidence(Message):
    """One picture, named by its content; the bytes travel on the evidence path, before."""

    role: EvidenceRole
    sha256: Sha256
    media_type: Literal["image/jpeg"] = "image/jpeg"
    size_bytes: int = Field(ge=1)
    width_px: int = Field(ge=1)
    height_px: int = Field(ge=1)
    captured_at: AwareDatetime = Field(description="Of the frame in the picture.")


class Models(Message):
    """Which software and weights made the read."""

    agent: str = Field(max_length=64, description="Agent version.")
    detector: str = Field(max_length=64, description="Name and short hash of the detector.")
    recogniser: str = Field(max_length=64, description="Name and short hash of the recogniser.")


class LocalMatch(Message):
    """What the agent's own copy of the watchlist said; the server matches again by itself."""

    revision: int = Field(ge=0, description="Of the copy that the agent held.")
    entry_ids: tuple[int, ...] = Field(
        min_length=1, max_length=32, description="Entries that look for the plate."
    )


class Passage(Message):
    """One vehicle passing one camera once."""

    schema_: Literal["passage/1"] = Field(default=PASSAGE_SCHEMA, alias="schema")
    passage_id: UUID = Field(
        description="UUIDv7, minted once when the track closes; the idempotency key."
    )
    camera_id: Name
    captured_at: AwareDatetime = Field(
        description="Capture time of the frame in the evidence, the moment of the passage."
    )
    clock: Clock = Clock()
    plate: Plate
    plate_quad_px: tuple[Point, Point, Point, Point] | None = Field(
        default=None, description="Corners in reading order: tl, tr, br, bl."
    )
    vehicle_box_px: tuple[float, float, float, float] | None = Field(
        default=None, description="x1, y1, x2, y2."
    )
    vehicle_color: VehicleColor = "unknown"
    direction: Direction = "unknown"
    lane: int | None = Field(default=None, ge=1, le=32, description="1 = leftmost as configured.")
    speed_kmh: float | None = Field(
        default=None, ge=0, le=400, description="Only from a calibrated camera."
    )
    track: Track
    evidence: tuple[Evidence, ...] = Field(default=(), max_length=8)
    models: Models
    local_match: LocalMatch | None = Field(
        default=None, description="Set if the agent itself recognised a watched plate."
    )

    model_config = ConfigDict(
        frozen=True, extra="ignore", allow_inf_nan=False, populate_by_name=True
    )


class PassageBatch(Message):
    """What an agent posts: a few passages, all live or all backlog.

    The items are checked one by one, so that one poisoned item never blocks its batch: a server
    parses this envelope with the items left as they are, then each item on its own.
    """

    agent_id: Name
    sent_at: AwareDatetime
    delivery: Delivery = Field(
        default="live",
        description="backlog: stored as history, makes records but rings no bell.",
    )
    passages: tuple[Passage, ...] = Field(min_length=1, max_length=200)


class Result(Message):
    """The fate of one item."""

    passage_id: str = Field(max_length=64, description="As sent; '' if the item had none.")
    outcome: Outcome
    reason: str | None = Field(default=None, description="Names the field when rejected.")


class Receipt(Message):
    """The answer to a batch, given only after the commit.

    The agent deletes what is accepted or duplicate, sets rejected ones aside where a human sees
    them, and keeps everything else, an item missing from the receipt included.
    """

    results: tuple[Result, ...]
    received_at: AwareDatetime
    missing_evidence: tuple[Sha256, ...] = Field(
        default=(),
        description="Pictures that are not here, for want of which items were left out.",
    )


class CameraState(Message):
    """How one camera of an agent is doing."""

    camera_id: Name
    connected: bool
    frames_per_s: float = Field(ge=0)
    last_frame_at: AwareDatetime | None = None
    fault: str | None = Field(default=None, max_length=200)
    frames_dropped: int | None = Field(
        default=None, ge=0, description="Since the start: frames that nobody had time for."
    )
    picture: str | None = Field(
        default=None,
        max_length=32,
        description="What is wrong with the picture, as one word; 'good' if nothing is.",
    )
    passages: int | None = Field(default=None, ge=0, description="Since the start.")


class Heartbeat(Message):
    """An agent's regular word about itself."""

    agent_id: Name
    sent_at: AwareDatetime
    version: str = Field(max_length=64)
    models: Models
    started_at: AwareDatetime
    clock: Clock = Clock()
    queue_passages: int = Field(ge=0)
    dead_letters: int = Field(ge=0)
    disk_free_bytes: int | None = Field(default=None, ge=0)
    cameras: tuple[CameraState, ...] = Field(default=(), max_length=64)
    queue_pictures_bytes: int | None = Field(default=None, ge=0)
    oldest_queued_at: AwareDatetime | None = Field(
        default=None, description="Capture time of the oldest passage that waits."
    )
    counters: dict[str, int] = Field(
        default_factory=dict,
        max_length=64,
        description="What became of everything since the outbox was made: stored, accepted, "
        "duplicate, rejected, pictures_given_up, passages_given_up, local_hits …",
    )
    alarms: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,47}$")], ...] = Field(
        default=(), max_length=32, description="What somebody should look at, as codes."
    )
    watchlist_revision: int | None = Field(
        default=None, ge=0, description="Of the copy on the box; null if it holds none."
    )
    disk_total_bytes: int | None = Field(default=None, ge=0)
    temperature_c: float | None = Field(default=None, description="The hottest sensor.")
    cpu_share: float | None = Field(
        default=None, ge=0, description="Of all cores, by the agent; 1 = all of them."
    )
    memory_bytes: int | None = Field(default=None, ge=0, description="Resident, of the agent.")


Hours = Annotated[
    str,
    Field(
        pattern=r"^\d\d:\d\d-\d\d:\d\d$",
        description="22:00-05:00: local, end exclusive, over midnight if it ends before it begins.",
    ),
]


class WatchTerms(Message):
    """Where, when and how gravely a vehicle is looked for."""

    entry_id: int
    level: int = Field(ge=1, le=4, description="1 the gravest.")
    valid_from: AwareDatetime
    valid_to: AwareDatetime | None = Field(default=None, description="Exclusive.")
    cameras: tuple[str, ...] | None = Field(
        default=None, description="Those of the agent at which it holds; null = all."
    )
    hours: tuple[Hours, ...] = Field(default=(), description="Of the day; () = all day.")


class Watch(WatchTerms):
    """A plate that is looked for, as far as a box needs to know it."""

    plate: str = Field(min_length=1, max_length=16, description="Normalised.")
    tolerance: float | None = Field(
        default=None, ge=0, description="Of misreads (anpr.watch); null = the plate alone."
    )


class WatchRule(WatchTerms):
    """Vehicles that are looked for without a whole plate. An agent that knows no rules skips it."""

    match: Literal["pattern", "description"]
    plate: str = Field(
        default="",
        max_length=16,
        description="'?' is one character, '*' any run; of a description '' for any plate or none.",
    )
    plate_kinds: tuple[str, ...] = Field(default=(), description="Any of these; () = any.")
    plate_colors: tuple[str, ...] = Field(default=(), description="Any of these; () = any.")
    vehicle_colors: tuple[str, ...] = Field(default=(), description="Any of these; () = any.")


class WatchlistCopy(Message):
    """The watchlist in force at one revision, or what has changed of it since another."""

    revision: int = Field(ge=0)
    entries: tuple[Watch, ...]
    rules: tuple[WatchRule, ...] = ()
    since: int | None = Field(
        default=None,
        ge=0,
        description="Null: this is all of it. Else what is here replaces what was held of that "
        "revision, entry by entry.",
    )
    ended: tuple[int, ...] = Field(
        default=(), description="Entries that hold no more, here; only with since."
    )
    time_zone: str = Field(default="Asia/Shanghai", description="Of the hours; an IANA name.")
