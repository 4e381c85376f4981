"""The whole schema on one page.

Two engines, one schema: SQLite (a county PC) and PostgreSQL (a city). Times are aware UTC,
positions WGS-84. No relationship is declared: every join is written where it is needed, so no
attribute access ever becomes a hidden query.

``counter`` rows give numbers in *commit* order: the row is locked from the moment a number is
taken until the transaction ends. A plain sequence would not do: number 6 may commit before
number 5, and a listener that has seen 6 would never ask for 5 again.
"""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Date,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Text,
    TypeDecorator,
    Uuid,
    false,
    true,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from server.detail import PassageDetail, pack, unpack


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: aware on the way in (anything else is an error), aware UTC on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC; SQLite has no zones, so there the UTC reading is stored bare."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = f"an instant needs a zone: {value!r}"
            raise ValueError(msg)
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class Packed(TypeDecorator[PassageDetail]):
    """What a passage says besides its columns, as one short text (:mod:`server.detail`)."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: PassageDetail | None, dialect: Dialect) -> str | None:
        """Pack."""
        del dialect
        return None if value is None else pack(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> PassageDetail | None:
        """Unpack."""
        del dialect
        return None if value is None else unpack(value)


JsonValue = JSON().with_variant(postgresql.JSONB(), "postgresql")

PLATE_TEXT = String(16).with_variant(postgresql.VARCHAR(16, collation="C"), "postgresql")
"""Plates are compared by code point on both engines, so that ranges and pages agree."""

NAME = String(64)


class Base(DeclarativeBase):
    """Base of all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JsonValue, list[Any]: JsonValue}  # noqa: RUF012 - SQLAlchemy's own declaration form


class Counter(Base):
    """Numbers in commit order: ``watchlist`` (revision), ``application``, ``alert``, ``audit``.

    A transaction that takes several takes them in this order, so that none waits for another
    in a circle.
    """

    __tablename__ = "counter"

    name: Mapped[str] = mapped_column(NAME, primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger, default=0)


class Checkpoint(Base):
    """A place on the road (卡口), watched by one or more cameras."""

    __tablename__ = "checkpoint"
    __table_args__ = (
        CheckConstraint("lat BETWEEN -90 AND 90", name="lat"),
        CheckConstraint("lon BETWEEN -180 AND 180", name="lon"),
    )

    id: Mapped[str] = mapped_column(NAME, primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    name_en: Mapped[str] = mapped_column(String(100), default="")
    lat: Mapped[float] = mapped_column(Float, doc="WGS-84, degrees.")
    lon: Mapped[float] = mapped_column(Float, doc="WGS-84, degrees.")
    road: Mapped[str] = mapped_column(String(100), default="")
    direction: Mapped[str] = mapped_column(
        String(100), default="", doc="As said on the spot: 进城."
    )
    created_at: Mapped[datetime]


class Camera(Base):
    """One camera of a checkpoint; the name by which passages refer to it."""

    __tablename__ = "camera"

    id: Mapped[str] = mapped_column(NAME, primary_key=True)
    checkpoint_id: Mapped[str] = mapped_column(ForeignKey("checkpoint.id"), index=True)
    name: Mapped[str] = mapped_column(String(100), default="")
    bearing_deg: Mapped[float | None] = mapped_column(
        Float, doc="Where the lens looks, clockwise from north; null if unknown."
    )
    created_at: Mapped[datetime]
    # the last word of its agent
    connected: Mapped[bool | None]
    frames_per_s: Mapped[float | None] = mapped_column(Float)
    last_frame_at: Mapped[datetime | None]
    fault: Mapped[str | None] = mapped_column(String(200))
    reported_at: Mapped[datetime | None]


class Agent(Base):
    """An edge box, and its last heartbeat."""

    __tablename__ = "agent"

    id: Mapped[str] = mapped_column(NAME, primary_key=True)
    name: Mapped[str] = mapped_column(String(100), default="")
    created_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime | None] = mapped_column(doc="Server time of the last heartbeat.")
    heartbeat: Mapped[dict[str, Any] | None] = mapped_column(JsonValue, doc="As sent, wire v1.")


class AgentToken(Base):
    """A credential of an agent; only its SHA-256 is kept."""

    __tablename__ = "agent_token"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    agent_id: Mapped[str] = mapped_column(ForeignKey("agent.id"), index=True)
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class AgentCamera(Base):
    """Which cameras an agent may speak for."""

    __tablename__ = "agent_camera"

    agent_id: Mapped[str] = mapped_column(ForeignKey("agent.id"), primary_key=True)
    camera_id: Mapped[str] = mapped_column(ForeignKey("camera.id"), primary_key=True, index=True)


class Passage(Base):
    """One vehicle passing one camera once, as sent, with what the server adds.

    The key is the route index and recognises a repeat: a passage is sent again with the same
    plate, time and identifier. On PostgreSQL the table is partitioned by ``captured_at``
    (:mod:`server.partitions`). There is no index by identifier alone and none by time alone: the
    identifier's own time and the registry of checkpoints lead to the other index.
    """

    __tablename__ = "passage"
    __table_args__ = (
        Index(None, "checkpoint_id", "captured_at"),
        {"postgresql_partition_by": "RANGE (captured_at)"},
    )

    plate: Mapped[str] = mapped_column(
        PLATE_TEXT, primary_key=True, doc="Normalised; '' if unread; '?' for an unread place."
    )
    captured_at: Mapped[datetime] = mapped_column(primary_key=True)
    passage_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    camera_id: Mapped[str] = mapped_column(NAME)
    checkpoint_id: Mapped[str] = mapped_column(NAME)
    agent_id: Mapped[str] = mapped_column(NAME)
    plate_state: Mapped[str] = mapped_column(String(16))
    plate_color: Mapped[str] = mapped_column(String(16))
    plate_kind: Mapped[str] = mapped_column(String(24))
    plate_score: Mapped[float] = mapped_column(Float)
    vehicle_color: Mapped[str] = mapped_column(String(16))
    direction: Mapped[str] = mapped_column(String(16))
    lane: Mapped[int | None] = mapped_column(SmallInteger)
    speed_kmh: Mapped[float | None] = mapped_column(Float)
    clock_synchronised: Mapped[bool | None]
    clock_offset_ms: Mapped[float | None] = mapped_column(Float)
    clock_flag: Mapped[str] = mapped_column(String(16), doc="server.ingest.clock.ClockFlag")
    delivery: Mapped[str] = mapped_column(String(8))
    received_at: Mapped[datetime]
    detail: Mapped[PassageDetail] = mapped_column(Packed)

    @property
    def characters(self) -> list[dict[str, Any]]:
        """As the wire has them."""
        return self.detail.characters()

    @property
    def track(self) -> dict[str, Any]:
        """As the wire has it."""
        return self.detail.track(self.captured_at)

    @property
    def models(self) -> dict[str, str]:
        """As the wire has them."""
        return self.detail.models()

    @property
    def evidence(self) -> list[dict[str, Any]]:
        """As the wire has it."""
        return self.detail.evidence(self.captured_at)

    @property
    def plate_quad_px(self) -> list[list[float]] | None:
        """Corners in reading order, or None."""
        return self.detail.plate_quad_px()

    @property
    def vehicle_box_px(self) -> list[float] | None:
        """x1, y1, x2, y2, or None."""
        return self.detail.vehicle_box_px()


class Evidence(Base):
    """A picture in the evidence store, named by its content; a row per day on which it came.

    On PostgreSQL partitioned by ``received_on``, so that old pictures go with their partition.
    """

    __tablename__ = "evidence"
    __table_args__ = ({"postgresql_partition_by": "RANGE (received_on)"},)

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    received_on: Mapped[date] = mapped_column(Date, primary_key=True, doc="UTC day.")
    size_bytes: Mapped[int] = mapped_column(Integer)
    media_type: Mapped[str] = mapped_column(String(32))
    width_px: Mapped[int] = mapped_column(Integer)
    height_px: Mapped[int] = mapped_column(Integer)
    agent_id: Mapped[str] = mapped_column(NAME)
    received_at: Mapped[datetime]


class PassageHold(Base):
    """A passage that retention must leave alone, with its pictures, and for what."""

    __tablename__ = "passage_hold"

    plate: Mapped[str] = mapped_column(PLATE_TEXT, primary_key=True)
    captured_at: Mapped[datetime] = mapped_column(primary_key=True)
    passage_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    held_for: Mapped[str] = mapped_column(
        String(80), primary_key=True, doc="'alert', or 'case:' and its number."
    )
    pictures: Mapped[list[Any]] = mapped_column(JsonValue, doc="SHA-256 of its pictures.")
    held_at: Mapped[datetime]


class Plate(Base):
    """A plate that exists as far as passages tell: read surely once, or seen more than once.

    Fed from ``plate_journal`` by :mod:`server.register`, some seconds behind the passages; a
    plate takes one update per run, however often it passed.
    """

    __tablename__ = "plate"

    plate: Mapped[str] = mapped_column(PLATE_TEXT, primary_key=True)
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    passages: Mapped[int] = mapped_column(BigInteger)
    added_at: Mapped[datetime] = mapped_column(index=True, doc="Server time.")


class PlateCandidate(Base):
    """A plate read once and not surely, or in part: perhaps a misread. Ages out."""

    __tablename__ = "plate_candidate"

    plate: Mapped[str] = mapped_column(PLATE_TEXT, primary_key=True)
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    passages: Mapped[int] = mapped_column(BigInteger)
    added_at: Mapped[datetime] = mapped_column(index=True, doc="Server time.")


class PlateJournal(Base):
    """What ingest has seen of plates and the register has not counted yet; a row per commit."""

    __tablename__ = "plate_journal"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    seen: Mapped[str] = mapped_column(Text, doc="server.register.Seen, as JSON.")


class Deletion(Base):
    """What retention deleted, by which rule, on whose word and why: the report, kept."""

    __tablename__ = "deletion"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    at: Mapped[datetime] = mapped_column(index=True)
    rule: Mapped[str] = mapped_column(String(32), doc="passages, pictures, candidates or list.")
    ordered_by: Mapped[str] = mapped_column(String(64), doc="A person, or 'rule'.")
    reason: Mapped[str] = mapped_column(Text)
    report: Mapped[dict[str, Any]] = mapped_column(JsonValue)


class WatchlistEntry(Base):
    """A vehicle that is looked for (布控). Never deleted; its steps stand in ``watchlist_step``."""

    __tablename__ = "watchlist_entry"
    __table_args__ = (
        Index(None, "state", "state_at"),
        CheckConstraint("level BETWEEN 1 AND 4", name="level"),
        CheckConstraint(
            "state IN ('draft', 'reviewed', 'approved', 'active', 'extended', 'urgent', "
            "'refused', 'withdrawn', 'expired', 'lapsed')",
            name="state",
        ),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    match: Mapped[str] = mapped_column(
        String(12),
        server_default="exact",
        default="exact",
        doc="exact, pattern, fuzzy or description",
    )
    plate: Mapped[str] = mapped_column(
        PLATE_TEXT, index=True, doc="The plate; a pattern; of a description a part of it, or ''."
    )
    tolerance: Mapped[float | None] = mapped_column(Float, doc="Of a fuzzy entry; see anpr.watch.")
    description: Mapped[dict[str, Any] | None] = mapped_column(
        JsonValue, doc="plate_kinds, plate_colors, vehicle_colors of a description."
    )
    reason: Mapped[str] = mapped_column(String(32))
    level: Mapped[int] = mapped_column(SmallInteger, doc="1 the gravest … 4.")
    intercept: Mapped[bool] = mapped_column(
        server_default=false(), default=False, doc="Stop it (拦截); else watch only."
    )
    secret: Mapped[bool] = mapped_column(
        server_default=false(), default=False, doc="Only for the people in watchlist_person."
    )
    case_number: Mapped[str] = mapped_column(String(64))
    note: Mapped[str] = mapped_column(Text, default="")
    contact: Mapped[str] = mapped_column(String(200), server_default="", default="")
    unit: Mapped[str] = mapped_column(
        String(100), server_default="", default="", doc="Of whoever applied."
    )
    tell: Mapped[list[Any] | None] = mapped_column(
        JsonValue, doc="Who is told and how: 'sound', 'webhook:NAME', 'sms:…', 'mail:…'."
    )
    scope: Mapped[dict[str, Any] | None] = mapped_column(
        JsonValue, doc="area (lon, lat corners), checkpoints, hours; null = everywhere, always."
    )
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None] = mapped_column(doc="Exclusive; null = until withdrawn.")
    state: Mapped[str] = mapped_column(String(16), doc="server.watchlists.states.EntryState")
    state_at: Mapped[datetime] = mapped_column(doc="Since when; what is overdue counts from here.")
    revision: Mapped[int] = mapped_column(
        BigInteger, server_default="0", default=0, index=True, doc="Of its latest change."
    )
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(ForeignKey("user_account.name"))
    urgent_why: Mapped[str | None] = mapped_column(Text, doc="Why it could not wait.")
    urgent_by: Mapped[str | None] = mapped_column(ForeignKey("user_account.name"))
    lapses_at: Mapped[datetime | None] = mapped_column(
        doc="Of an urgent one: out of force from then on unless approved."
    )
    reviewed_by: Mapped[str | None] = mapped_column(ForeignKey("user_account.name"))
    approved_by: Mapped[str | None] = mapped_column(ForeignKey("user_account.name"))
    withdrawn_at: Mapped[datetime | None]
    withdrawn_by: Mapped[str | None] = mapped_column(ForeignKey("user_account.name"))
    withdrawn_reason: Mapped[str | None] = mapped_column(Text)
    withdrawn_code: Mapped[str | None] = mapped_column(String(16))


class WatchlistPerson(Base):
    """Somebody who is named on a secret entry: besides him nobody learns of it."""

    __tablename__ = "watchlist_person"

    entry_id: Mapped[int] = mapped_column(ForeignKey("watchlist_entry.id"), primary_key=True)
    user_name: Mapped[str] = mapped_column(
        ForeignKey("user_account.name"), primary_key=True, index=True
    )


class WatchlistStep(Base):
    """One step in the life of an entry, and its record on the audit log."""

    __tablename__ = "watchlist_step"

    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    entry_id: Mapped[int] = mapped_column(ForeignKey("watchlist_entry.id"), index=True)
    step: Mapped[str] = mapped_column(String(16), doc="server.watchlists.states.Step")
    state: Mapped[str] = mapped_column(String(16), doc="The state it led to.")
    at: Mapped[datetime]
    by: Mapped[str] = mapped_column(NAME, doc="A person, or 'server'.")
    note: Mapped[str] = mapped_column(Text, default="")
    audit_seq: Mapped[int] = mapped_column(BigInteger)


class Alert(Base):
    """One watched vehicle at one place (预警); further sightings there are appended to it."""

    __tablename__ = "alert"
    __table_args__ = (
        Index(None, "entry_id", "checkpoint_id", "last_seen_at"),
        Index(None, "state", "id"),
        CheckConstraint(
            "state IN ('new', 'signed', 'dispatched', 'feedback', 'feedback_signed', 'closed')",
            name="state",
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    changed_seq: Mapped[int] = mapped_column(
        BigInteger, unique=True, doc="= id when raised; a higher number with every change."
    )
    entry_id: Mapped[int] = mapped_column(ForeignKey("watchlist_entry.id"))
    level: Mapped[int] = mapped_column(SmallInteger)
    plate: Mapped[str] = mapped_column(PLATE_TEXT)
    checkpoint_id: Mapped[str] = mapped_column(NAME)
    camera_id: Mapped[str] = mapped_column(NAME)
    passage_id: Mapped[UUID] = mapped_column(Uuid, doc="The passage that raised it.")
    captured_at: Mapped[datetime] = mapped_column(doc="Of that passage.")
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    sightings: Mapped[int] = mapped_column(Integer)
    raised_at: Mapped[datetime] = mapped_column(doc="Server time.")
    delivery: Mapped[str] = mapped_column(String(8), doc="backlog: a record that rings no bell.")
    echo_of: Mapped[int | None] = mapped_column(
        BigInteger, doc="The alert that rings for the same vehicle here; null = this one does."
    )
    state: Mapped[str] = mapped_column(String(16))
    signed_at: Mapped[datetime | None]
    signed_by: Mapped[str | None] = mapped_column(ForeignKey("user_account.name"))
    badge_number: Mapped[str | None] = mapped_column(String(32))
    unit: Mapped[str | None] = mapped_column(String(100))
    closed_at: Mapped[datetime | None] = mapped_column(index=True)
    closed_by: Mapped[str | None] = mapped_column(ForeignKey("user_account.name"))
    outcome: Mapped[str | None] = mapped_column(Text)
    match: Mapped[dict[str, Any]] = mapped_column(
        JsonValue, server_default="{}", default=dict, doc="Why: server.alerts.raising.Hit."
    )
    rank: Mapped[int] = mapped_column(
        SmallInteger, server_default="0", default=0, doc="Levels it has risen, unsigned."
    )
    risen_seq: Mapped[int | None] = mapped_column(BigInteger, doc="The change that was its rise.")
    silent: Mapped[bool] = mapped_column(
        server_default=false(), default=False, doc="Its entry wants it shown without a bell."
    )


class AlertSighting(Base):
    """A passage that belongs to an alert; the first one included."""

    __tablename__ = "alert_sighting"

    alert_id: Mapped[int] = mapped_column(ForeignKey("alert.id"), primary_key=True)
    passage_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    captured_at: Mapped[datetime]
    camera_id: Mapped[str] = mapped_column(NAME)


class User(Base):
    """A person who may log in."""

    __tablename__ = "user_account"
    __table_args__ = (
        CheckConstraint(
            "role IN ('operator', 'officer', 'supervisor', 'custodian', 'administrator')",
            name="role",
        ),
    )

    name: Mapped[str] = mapped_column(NAME, primary_key=True)
    display_name: Mapped[str] = mapped_column(String(100), default="")
    badge_number: Mapped[str] = mapped_column(String(32), default="")
    unit: Mapped[str] = mapped_column(String(100), default="")
    role: Mapped[str] = mapped_column(String(16))
    password_hash: Mapped[str] = mapped_column(
        String(200), doc="argon2id, encoded form; '' = none, logs in elsewhere."
    )
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    sees_everywhere: Mapped[bool] = mapped_column(
        server_default=true(), default=True, doc="Else only the checkpoints of his areas."
    )
    must_change_password: Mapped[bool] = mapped_column(
        server_default=false(), default=False, doc="Somebody else has set the password."
    )
    oidc_subject: Mapped[str | None] = mapped_column(
        String(600),
        index=True,
        unique=True,
        doc="Issuer and subject of whoever logs in by OpenID Connect.",
    )


class Area(Base):
    """A part of the country that somebody answers for (辖区); checkpoints belong to it."""

    __tablename__ = "area"

    id: Mapped[str] = mapped_column(NAME, primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime]


class AreaCheckpoint(Base):
    """A checkpoint of an area; one may belong to several."""

    __tablename__ = "area_checkpoint"

    area_id: Mapped[str] = mapped_column(ForeignKey("area.id"), primary_key=True)
    checkpoint_id: Mapped[str] = mapped_column(
        ForeignKey("checkpoint.id"), primary_key=True, index=True
    )


class UserArea(Base):
    """An area that a user sees."""

    __tablename__ = "user_area"

    user_name: Mapped[str] = mapped_column(ForeignKey("user_account.name"), primary_key=True)
    area_id: Mapped[str] = mapped_column(ForeignKey("area.id"), primary_key=True)


class ProtectedPlate(Base):
    """A plate that only the custodian sees (红名单). Never deleted; lifted with a reason."""

    __tablename__ = "protected_plate"
    __table_args__ = (Index(None, "plate", "lifted_at"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    plate: Mapped[str] = mapped_column(PLATE_TEXT)
    authority: Mapped[str] = mapped_column(String(200), doc="Who ordered it, under which number.")
    added_at: Mapped[datetime]
    added_by: Mapped[str] = mapped_column(ForeignKey("user_account.name"))
    lifted_at: Mapped[datetime | None]
    lifted_by: Mapped[str | None] = mapped_column(ForeignKey("user_account.name"))
    lifted_reason: Mapped[str | None] = mapped_column(String(500))


class ProtectedSought(Base):
    """Names the audit records of people who were looking for a protected plate."""

    __tablename__ = "protected_sought"

    audit_seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)


class Approval(Base):
    """Leave to look further back than everybody may, asked for and given or refused."""

    __tablename__ = "approval"
    __table_args__ = (
        Index(None, "user_name", "state"),
        CheckConstraint("state IN ('requested', 'approved', 'refused')", name="state"),
        CheckConstraint("decided_by IS NULL OR decided_by <> user_name", name="another_decides"),
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    user_name: Mapped[str] = mapped_column(ForeignKey("user_account.name"))
    purpose: Mapped[str] = mapped_column(String(200))
    case_number: Mapped[str] = mapped_column(String(64))
    plate: Mapped[str] = mapped_column(PLATE_TEXT, doc="'' = any.")
    since: Mapped[datetime] = mapped_column(doc="How far back.")
    why: Mapped[str] = mapped_column(String(1000))
    state: Mapped[str] = mapped_column(String(16), index=True)
    requested_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(ForeignKey("user_account.name"))
    note: Mapped[str | None] = mapped_column(String(1000), doc="The approver's word.")
    expires_at: Mapped[datetime | None] = mapped_column(doc="Of an approved one; exclusive.")


class CaseMember(Base):
    """Somebody who answers for a case: he sees who looked at what under its number."""

    __tablename__ = "case_member"

    case_number: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_name: Mapped[str] = mapped_column(
        ForeignKey("user_account.name"), primary_key=True, index=True
    )
    added_at: Mapped[datetime]
    added_by: Mapped[str] = mapped_column(NAME)


class OidcLogin(Base):
    """A log-in that has been sent to the identity provider and not come back yet."""

    __tablename__ = "oidc_login"

    state_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    nonce: Mapped[str] = mapped_column(String(64))
    verifier: Mapped[str] = mapped_column(String(128), doc="PKCE, RFC 7636.")
    next_path: Mapped[str] = mapped_column(String(500))
    expires_at: Mapped[datetime] = mapped_column(index=True)


class LoginSession(Base):
    """A logged-in browser or script; only the SHA-256 of its token is kept."""

    __tablename__ = "login_session"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_name: Mapped[str] = mapped_column(ForeignKey("user_account.name"), index=True)
    csrf_token: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    last_used_at: Mapped[datetime | None] = mapped_column(doc="To the minute; null = never since.")
    address: Mapped[str] = mapped_column(String(64), server_default="", default="")


class LoginFailure(Base):
    """A failed log-in, for throttling."""

    __tablename__ = "login_failure"
    __table_args__ = (Index(None, "user_name", "address", "at"), Index(None, "address", "at"))

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    user_name: Mapped[str] = mapped_column(NAME)
    address: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]


class AuditRecord(Base):
    """Who did or looked up what, when and why. Append-only and chained by hash."""

    __tablename__ = "audit_log"
    __table_args__ = (Index(None, "user_name", "at"),)

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(index=True)
    user_name: Mapped[str] = mapped_column(NAME)
    action: Mapped[str] = mapped_column(String(40))
    purpose: Mapped[str | None] = mapped_column(String(200))
    case_number: Mapped[str | None] = mapped_column(String(64), index=True)
    detail: Mapped[dict[str, Any]] = mapped_column(JsonValue)
    address: Mapped[str] = mapped_column(String(64), default="")
    prev_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64), unique=True)
