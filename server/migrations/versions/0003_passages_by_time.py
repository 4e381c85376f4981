"""Passages and pictures in partitions by time; plates, holds and deletions in tables of their own.

Revision 0003. Passages that are there already are packed and moved over; alerts' passages become
holds.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from server.detail import VERSION, PassageDetail, offset_us, pack

revision = "0003_passages"
down_revision = "0002_rights"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
PLATE = sa.String(16).with_variant(postgresql.VARCHAR(16, collation="C"), "postgresql")

PASSAGE_COLUMNS = (
    "plate, captured_at, passage_id, camera_id, checkpoint_id, agent_id, plate_state, plate_color, "
    "plate_kind, plate_score, vehicle_color, direction, lane, speed_kmh, clock_synchronised, "
    "clock_offset_ms, clock_flag, delivery, received_at"
)


def upgrade() -> None:
    """Apply."""
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    _rename_old(is_postgresql=is_postgresql)
    _create_passage()
    _create_evidence()
    _create_plates()
    _create_accounts_of_retention()
    if is_postgresql:
        op.execute("CREATE TABLE passage_default PARTITION OF passage DEFAULT")
        op.execute("CREATE TABLE evidence_default PARTITION OF evidence DEFAULT")
    _move_over()
    op.drop_table("passage_before")
    op.drop_table("evidence_before")


def _rename_old(*, is_postgresql: bool) -> None:
    for index in ("captured_at_passage_id", "checkpoint_id_captured_at", "passage_id"):
        op.drop_index(f"ix_passage_{index}", table_name="passage")
    op.rename_table("passage", "passage_before")
    op.rename_table("evidence", "evidence_before")
    if is_postgresql:
        op.execute("ALTER INDEX pk_passage RENAME TO pk_passage_before")
        op.execute("ALTER INDEX pk_evidence RENAME TO pk_evidence_before")


def _create_passage() -> None:
    op.create_table(
        "passage",
        sa.Column("plate", PLATE, nullable=False),
        sa.Column("captured_at", INSTANT, nullable=False),
        sa.Column("passage_id", sa.Uuid(), nullable=False),
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("checkpoint_id", sa.String(length=64), nullable=False),
        sa.Column("agent_id", sa.String(length=64), nullable=False),
        sa.Column("plate_state", sa.String(length=16), nullable=False),
        sa.Column("plate_color", sa.String(length=16), nullable=False),
        sa.Column("plate_kind", sa.String(length=24), nullable=False),
        sa.Column("plate_score", sa.Float(), nullable=False),
        sa.Column("vehicle_color", sa.String(length=16), nullable=False),
        sa.Column("direction", sa.String(length=16), nullable=False),
        sa.Column("lane", sa.SmallInteger(), nullable=True),
        sa.Column("speed_kmh", sa.Float(), nullable=True),
        sa.Column("clock_synchronised", sa.Boolean(), nullable=True),
        sa.Column("clock_offset_ms", sa.Float(), nullable=True),
        sa.Column("clock_flag", sa.String(length=16), nullable=False),
        sa.Column("delivery", sa.String(length=8), nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("plate", "captured_at", "passage_id", name=op.f("pk_passage")),
        postgresql_partition_by="RANGE (captured_at)",
    )
    op.create_index(
        op.f("ix_passage_checkpoint_id_captured_at"),
        "passage",
        ["checkpoint_id", "captured_at"],
        unique=False,
    )


def _create_evidence() -> None:
    op.create_table(
        "evidence",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("received_on", sa.Date(), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("media_type", sa.String(length=32), nullable=False),
        sa.Column("width_px", sa.Integer(), nullable=False),
        sa.Column("height_px", sa.Integer(), nullable=False),
        sa.Column("agent_id", sa.String(length=64), nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("sha256", "received_on", name=op.f("pk_evidence")),
        postgresql_partition_by="RANGE (received_on)",
    )


def _create_plates() -> None:
    for table in ("plate", "plate_candidate"):
        op.create_table(
            table,
            sa.Column("plate", PLATE, nullable=False),
            sa.Column("first_seen_at", INSTANT, nullable=False),
            sa.Column("last_seen_at", INSTANT, nullable=False),
            sa.Column("passages", sa.BigInteger(), nullable=False),
            sa.Column("added_at", INSTANT, nullable=False),
            sa.PrimaryKeyConstraint("plate", name=op.f(f"pk_{table}")),
        )
        op.create_index(op.f(f"ix_{table}_added_at"), table, ["added_at"], unique=False)
    op.create_table(
        "plate_journal",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seen", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plate_journal")),
    )


def _create_accounts_of_retention() -> None:
    op.create_table(
        "passage_hold",
        sa.Column("plate", PLATE, nullable=False),
        sa.Column("captured_at", INSTANT, nullable=False),
        sa.Column("passage_id", sa.Uuid(), nullable=False),
        sa.Column("held_for", sa.String(length=80), nullable=False),
        sa.Column("pictures", JSON, nullable=False),
        sa.Column("held_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint(
            "plate", "captured_at", "passage_id", "held_for", name=op.f("pk_passage_hold")
        ),
    )
    op.create_table(
        "deletion",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("rule", sa.String(length=32), nullable=False),
        sa.Column("ordered_by", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("report", JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deletion")),
    )
    op.create_index(op.f("ix_deletion_at"), "deletion", ["at"], unique=False)


def _move_over() -> None:
    connection = op.get_bind()
    old = _columns("passage_before", f"{PASSAGE_COLUMNS}, characters, plate_quad_px, "
                   "vehicle_box_px, track, evidence, models")  # fmt: skip
    new = _columns("passage", f"{PASSAGE_COLUMNS}, detail")
    stored = sa.select(old).execution_options(yield_per=1000)
    for rows in connection.execute(stored).partitions():
        connection.execute(new.insert(), [_packed(row._asdict()) for row in rows])
        connection.execute(
            sa.text("INSERT INTO plate_journal (seen) VALUES (:seen)"),
            {"seen": _seen(rows)},
        )
    connection.execute(
        sa.text(
            "INSERT INTO evidence (sha256, received_on, size_bytes, media_type, width_px, "
            "height_px, agent_id, received_at) SELECT sha256, DATE(received_at), size_bytes, "
            "media_type, width_px, height_px, agent_id, received_at FROM evidence_before"
        )
    )
    _hold_alerts(connection, new)


def _packed(row: Mapping[str, Any]) -> dict[str, Any]:
    captured_at = row["captured_at"]
    track, models = row["track"], row["models"]
    quad = row["plate_quad_px"]

    def since(text: str) -> int:
        at = datetime.fromisoformat(text)
        base = captured_at if captured_at.tzinfo else captured_at.replace(tzinfo=UTC)
        return offset_us(at, base)

    detail = PassageDetail(
        VERSION,
        (models["agent"], models["detector"], models["recogniser"]),
        (since(track["first_at"]), since(track["last_at"]),
         track["frames"], track["reads"], track["votes"]),
        None if quad is None else tuple(value for point in quad for value in point),
        None if row["vehicle_box_px"] is None else tuple(row["vehicle_box_px"]),
        tuple(
            (c["char"], c["score"], *(v for a in c["alternatives"] for v in (a["char"], a["score"])))
            for c in row["characters"]
        ),
        tuple(
            (e["role"], e["sha256"], e["size_bytes"], e["width_px"], e["height_px"],
             since(e["captured_at"]))
            for e in row["evidence"]
        ),
    )  # fmt: skip
    kept = {name: row[name] for name in PASSAGE_COLUMNS.split(", ")}
    return kept | {"detail": pack(detail)}


def _seen(rows: Iterable[Any]) -> str:
    """What the register of plates counts; see server.register.Seen."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)

    def us(at: datetime) -> int:
        return offset_us(at if at.tzinfo else at.replace(tzinfo=UTC), epoch)

    return json.dumps(
        [
            [row.plate, us(row.captured_at), us(row.captured_at), 1,
             int(row.plate_state == "read" and row.plate_score >= 0.9)]
            for row in rows
            if row.plate
        ],
        ensure_ascii=False,
    )  # fmt: skip


def _hold_alerts(connection: sa.Connection, passage: sa.Table) -> None:
    alert = sa.table("alert", sa.column("id"), sa.column("plate", PLATE))
    sighting = sa.table(
        "alert_sighting",
        sa.column("alert_id"),
        sa.column("passage_id", sa.Uuid()),
        sa.column("captured_at", INSTANT),
    )
    hold = sa.table(
        "passage_hold",
        sa.column("plate", PLATE), sa.column("captured_at", INSTANT),
        sa.column("passage_id", sa.Uuid()), sa.column("held_for"),
        sa.column("pictures", JSON), sa.column("held_at", INSTANT),
    )  # fmt: skip
    found = connection.execute(
        sa.select(passage.c.plate, passage.c.captured_at, passage.c.passage_id, passage.c.detail,
                  passage.c.received_at)
        .distinct()
        .join(alert, alert.c.plate == passage.c.plate)
        .join(
            sighting,
            sa.and_(
                sighting.c.alert_id == alert.c.id,
                sighting.c.captured_at == passage.c.captured_at,
                sighting.c.passage_id == passage.c.passage_id,
            ),
        )
    ).all()  # fmt: skip
    rows = [
        {"plate": row.plate, "captured_at": row.captured_at, "passage_id": row.passage_id,
         "held_for": "alert", "held_at": row.received_at,
         "pictures": [picture[1] for picture in json.loads(row.detail)[6]]}
        for row in found
    ]  # fmt: skip
    if rows:
        connection.execute(hold.insert(), rows)


def _columns(table: str, names: str) -> sa.Table:
    kinds: dict[str, Any] = {
        "plate": PLATE, "captured_at": INSTANT, "received_at": INSTANT, "passage_id": sa.Uuid(),
        "characters": JSON, "plate_quad_px": JSON, "vehicle_box_px": JSON, "track": JSON,
        "evidence": JSON, "models": JSON,
    }  # fmt: skip
    columns = [sa.Column(name, kinds.get(name)) for name in names.split(", ")]
    return sa.Table(table, sa.MetaData(), *columns)
