"""The first schema.

Revision 0001.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
PLATE = sa.String(16).with_variant(postgresql.VARCHAR(16, collation="C"), "postgresql")

COUNTERS = ("watchlist", "alert", "audit")

APPEND_ONLY_SQLITE = """
CREATE TRIGGER audit_log_no_{verb} BEFORE {verb} ON audit_log
BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END
"""
APPEND_ONLY_POSTGRESQL = (
    """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$
""",
    """
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
""",
)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "agent",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("heartbeat_at", INSTANT, nullable=True),
        sa.Column("heartbeat", JSON, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent")),
    )
    op.create_table(
        "audit_log",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("user_name", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("purpose", sa.String(length=200), nullable=True),
        sa.Column("case_number", sa.String(length=64), nullable=True),
        sa.Column("detail", JSON, nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("prev_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit_log")),
        sa.UniqueConstraint("hash", name=op.f("uq_audit_log_hash")),
    )
    op.create_index(op.f("ix_audit_log_at"), "audit_log", ["at"], unique=False)
    op.create_index(op.f("ix_audit_log_case_number"), "audit_log", ["case_number"], unique=False)
    op.create_index(op.f("ix_audit_log_user_name"), "audit_log", ["user_name"], unique=False)

    op.create_table(
        "checkpoint",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("name_en", sa.String(length=100), nullable=False),
        sa.Column("lat", sa.Float(), nullable=False),
        sa.Column("lon", sa.Float(), nullable=False),
        sa.Column("road", sa.String(length=100), nullable=False),
        sa.Column("direction", sa.String(length=100), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("lat BETWEEN -90 AND 90", name=op.f("ck_checkpoint_lat")),
        sa.CheckConstraint("lon BETWEEN -180 AND 180", name=op.f("ck_checkpoint_lon")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checkpoint")),
    )
    op.create_table(
        "counter",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counter")),
    )
    op.create_table(
        "evidence",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("media_type", sa.String(length=32), nullable=False),
        sa.Column("width_px", sa.Integer(), nullable=False),
        sa.Column("height_px", sa.Integer(), nullable=False),
        sa.Column("agent_id", sa.String(length=64), nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_evidence")),
    )
    op.create_table(
        "login_failure",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_name", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_failure")),
    )
    op.create_index(
        op.f("ix_login_failure_user_name_address_at"),
        "login_failure",
        ["user_name", "address", "at"],
        unique=False,
    )

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
        sa.Column("characters", JSON, nullable=False),
        sa.Column("plate_quad_px", JSON, nullable=True),
        sa.Column("vehicle_box_px", JSON, nullable=True),
        sa.Column("track", JSON, nullable=False),
        sa.Column("evidence", JSON, nullable=False),
        sa.Column("models", JSON, nullable=False),
        sa.Column("clock_synchronised", sa.Boolean(), nullable=True),
        sa.Column("clock_offset_ms", sa.Float(), nullable=True),
        sa.Column("clock_flag", sa.String(length=16), nullable=False),
        sa.Column("delivery", sa.String(length=8), nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("plate", "captured_at", "passage_id", name=op.f("pk_passage")),
    )
    op.create_index(
        op.f("ix_passage_captured_at_passage_id"),
        "passage",
        ["captured_at", "passage_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_passage_checkpoint_id_captured_at"),
        "passage",
        ["checkpoint_id", "captured_at"],
        unique=False,
    )
    op.create_index(op.f("ix_passage_passage_id"), "passage", ["passage_id"], unique=False)

    op.create_table(
        "user_account",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("display_name", sa.String(length=100), nullable=False),
        sa.Column("badge_number", sa.String(length=32), nullable=False),
        sa.Column("unit", sa.String(length=100), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("disabled_at", INSTANT, nullable=True),
        sa.CheckConstraint(
            "role IN ('operator', 'officer', 'administrator')", name=op.f("ck_user_account_role")
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_user_account")),
    )
    op.create_table(
        "agent_token",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("agent_id", sa.String(length=64), nullable=False),
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("revoked_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agent.id"], name=op.f("fk_agent_token_agent_id_agent")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agent_token")),
        sa.UniqueConstraint("token_sha256", name=op.f("uq_agent_token_token_sha256")),
    )
    op.create_index(op.f("ix_agent_token_agent_id"), "agent_token", ["agent_id"], unique=False)

    op.create_table(
        "camera",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("checkpoint_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("bearing_deg", sa.Float(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("connected", sa.Boolean(), nullable=True),
        sa.Column("frames_per_s", sa.Float(), nullable=True),
        sa.Column("last_frame_at", INSTANT, nullable=True),
        sa.Column("fault", sa.String(length=200), nullable=True),
        sa.Column("reported_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"], ["checkpoint.id"], name=op.f("fk_camera_checkpoint_id_checkpoint")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_camera")),
    )
    op.create_index(op.f("ix_camera_checkpoint_id"), "camera", ["checkpoint_id"], unique=False)

    op.create_table(
        "login_session",
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("user_name", sa.String(length=64), nullable=False),
        sa.Column("csrf_token", sa.String(length=64), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_name"],
            ["user_account.name"],
            name=op.f("fk_login_session_user_name_user_account"),
        ),
        sa.PrimaryKeyConstraint("token_sha256", name=op.f("pk_login_session")),
    )
    op.create_index(
        op.f("ix_login_session_expires_at"), "login_session", ["expires_at"], unique=False
    )
    op.create_index(
        op.f("ix_login_session_user_name"), "login_session", ["user_name"], unique=False
    )

    op.create_table(
        "watchlist_entry",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("plate", PLATE, nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("case_number", sa.String(length=64), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("valid_from", INSTANT, nullable=False),
        sa.Column("valid_to", INSTANT, nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("withdrawn_at", INSTANT, nullable=True),
        sa.Column("withdrawn_by", sa.String(length=64), nullable=True),
        sa.Column("withdrawn_reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('active', 'withdrawn')", name=op.f("ck_watchlist_entry_state")
        ),
        sa.CheckConstraint("level BETWEEN 1 AND 4", name=op.f("ck_watchlist_entry_level")),
        sa.ForeignKeyConstraint(
            ["created_by"],
            ["user_account.name"],
            name=op.f("fk_watchlist_entry_created_by_user_account"),
        ),
        sa.ForeignKeyConstraint(
            ["withdrawn_by"],
            ["user_account.name"],
            name=op.f("fk_watchlist_entry_withdrawn_by_user_account"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_watchlist_entry")),
    )
    op.create_index(op.f("ix_watchlist_entry_plate"), "watchlist_entry", ["plate"], unique=False)

    op.create_table(
        "agent_camera",
        sa.Column("agent_id", sa.String(length=64), nullable=False),
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agent.id"], name=op.f("fk_agent_camera_agent_id_agent")
        ),
        sa.ForeignKeyConstraint(
            ["camera_id"], ["camera.id"], name=op.f("fk_agent_camera_camera_id_camera")
        ),
        sa.PrimaryKeyConstraint("agent_id", "camera_id", name=op.f("pk_agent_camera")),
    )
    op.create_index(op.f("ix_agent_camera_camera_id"), "agent_camera", ["camera_id"], unique=False)

    op.create_table(
        "alert",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("changed_seq", sa.BigInteger(), nullable=False),
        sa.Column("entry_id", sa.Integer(), nullable=False),
        sa.Column("level", sa.SmallInteger(), nullable=False),
        sa.Column("plate", PLATE, nullable=False),
        sa.Column("checkpoint_id", sa.String(length=64), nullable=False),
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.Column("passage_id", sa.Uuid(), nullable=False),
        sa.Column("captured_at", INSTANT, nullable=False),
        sa.Column("first_seen_at", INSTANT, nullable=False),
        sa.Column("last_seen_at", INSTANT, nullable=False),
        sa.Column("sightings", sa.Integer(), nullable=False),
        sa.Column("raised_at", INSTANT, nullable=False),
        sa.Column("delivery", sa.String(length=8), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("signed_at", INSTANT, nullable=True),
        sa.Column("signed_by", sa.String(length=64), nullable=True),
        sa.Column("badge_number", sa.String(length=32), nullable=True),
        sa.Column("unit", sa.String(length=100), nullable=True),
        sa.Column("closed_at", INSTANT, nullable=True),
        sa.Column("closed_by", sa.String(length=64), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('new', 'signed', 'closed')", name=op.f("ck_alert_state")),
        sa.ForeignKeyConstraint(
            ["closed_by"], ["user_account.name"], name=op.f("fk_alert_closed_by_user_account")
        ),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["watchlist_entry.id"], name=op.f("fk_alert_entry_id_watchlist_entry")
        ),
        sa.ForeignKeyConstraint(
            ["signed_by"], ["user_account.name"], name=op.f("fk_alert_signed_by_user_account")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
        sa.UniqueConstraint("changed_seq", name=op.f("uq_alert_changed_seq")),
    )
    op.create_index(
        op.f("ix_alert_entry_id_checkpoint_id_last_seen_at"),
        "alert",
        ["entry_id", "checkpoint_id", "last_seen_at"],
        unique=False,
    )
    op.create_index(op.f("ix_alert_state_id"), "alert", ["state", "id"], unique=False)

    op.create_table(
        "alert_sighting",
        sa.Column("alert_id", sa.BigInteger(), nullable=False),
        sa.Column("passage_id", sa.Uuid(), nullable=False),
        sa.Column("captured_at", INSTANT, nullable=False),
        sa.Column("camera_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["alert_id"], ["alert.id"], name=op.f("fk_alert_sighting_alert_id_alert")
        ),
        sa.PrimaryKeyConstraint("alert_id", "passage_id", name=op.f("pk_alert_sighting")),
    )
    counter = sa.table("counter", sa.column("name", sa.String), sa.column("value", sa.BigInteger))
    op.bulk_insert(counter, [{"name": name, "value": 0} for name in COUNTERS])
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(APPEND_ONLY_SQLITE.format(verb=verb))
    else:
        for statement in APPEND_ONLY_POSTGRESQL:
            op.execute(statement)
