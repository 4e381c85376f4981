"""Alerts handled to the end: orders, feedback, rises; notices; cases and what came of them.

Revision 0005_alerts. Alerts that are closed already get their outcome as feedback, so that none
is closed without.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005_alerts"
down_revision = "0004_watchlist"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
PLATE = sa.String(16).with_variant(postgresql.VARCHAR(16, collation="C"), "postgresql")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
PERSON = sa.String(64)

STATES_BEFORE = "state IN ('new', 'signed', 'closed')"
STATES = "state IN ('new', 'signed', 'dispatched', 'feedback', 'feedback_signed', 'closed')"


def upgrade() -> None:
    """Apply."""
    _widen_states()
    op.add_column("alert", sa.Column("match", JSON, server_default="{}", nullable=False))
    op.add_column("alert", sa.Column("rank", sa.SmallInteger(), server_default="0", nullable=False))
    op.add_column("alert", sa.Column("risen_seq", sa.BigInteger(), nullable=True))
    op.add_column(
        "alert", sa.Column("silent", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    # those that wait already have been overdue for long: they rise no more, else all bells rang
    op.execute("UPDATE alert SET rank = 9 WHERE state = 'new'")
    op.create_index(op.f("ix_alert_closed_at"), "alert", ["closed_at"])
    _handling()
    _notices()
    _cases()
    op.execute(
        "INSERT INTO alert_feedback "
        "(alert_id, finding, text, true_plate, given_at, given_by, signed_at, signed_by) "
        "SELECT id, 'other', coalesce(outcome, ''), '', closed_at, closed_by, closed_at, closed_by "
        "FROM alert WHERE state = 'closed'"
    )


def _widen_states() -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint(op.f("ck_alert_state"), "alert")
        op.create_check_constraint(op.f("ck_alert_state"), "alert", STATES)
        return
    # as for the roles in 0002: SQLite cannot change a CHECK of a table that others refer to
    connection = op.get_bind()
    connection.exec_driver_sql("PRAGMA writable_schema=ON")
    connection.execute(
        sa.text(
            "UPDATE sqlite_master SET sql = replace(sql, :before, :after) "
            "WHERE type = 'table' AND name = 'alert'"
        ),
        {"before": STATES_BEFORE, "after": STATES},
    )
    connection.exec_driver_sql("PRAGMA writable_schema=RESET")


def _refers(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [to], name=op.f(f"fk_{table}_{column}_{to.partition('.')[0]}")
    )


def _handling() -> None:
    op.create_table(
        "alert_order",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("alert_id", sa.BigInteger(), nullable=False),
        sa.Column("unit", sa.String(100), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("given_at", INSTANT, nullable=False),
        sa.Column("given_by", PERSON, nullable=False),
        _refers("alert_order", "alert_id", "alert.id"),
        _refers("alert_order", "given_by", "user_account.name"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_order")),
    )
    op.create_index(op.f("ix_alert_order_alert_id"), "alert_order", ["alert_id"])
    op.create_table(
        "alert_feedback",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("alert_id", sa.BigInteger(), nullable=False),
        sa.Column("finding", sa.String(16), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("true_plate", PLATE, nullable=False),
        sa.Column("given_at", INSTANT, nullable=False),
        sa.Column("given_by", PERSON, nullable=False),
        sa.Column("signed_at", INSTANT, nullable=True),
        sa.Column("signed_by", PERSON, nullable=True),
        sa.CheckConstraint(
            "finding IN ('intercepted', 'lost', 'wrong_vehicle', 'misread', 'other')",
            name=op.f("ck_alert_feedback_finding"),
        ),
        _refers("alert_feedback", "alert_id", "alert.id"),
        _refers("alert_feedback", "given_by", "user_account.name"),
        _refers("alert_feedback", "signed_by", "user_account.name"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_feedback")),
    )
    op.create_index(op.f("ix_alert_feedback_alert_id"), "alert_feedback", ["alert_id"])
    op.create_index(op.f("ix_alert_feedback_given_at"), "alert_feedback", ["given_at"])
    op.create_table(
        "alert_picture",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("feedback_id", ROW_ID, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("width_px", sa.Integer(), nullable=False),
        sa.Column("height_px", sa.Integer(), nullable=False),
        sa.Column("jpeg", sa.LargeBinary(), nullable=False),
        _refers("alert_picture", "feedback_id", "alert_feedback.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert_picture")),
    )
    op.create_index(op.f("ix_alert_picture_feedback_id"), "alert_picture", ["feedback_id"])


def _notices() -> None:
    op.create_table(
        "notice",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("alert_id", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("receiver", sa.String(200), nullable=False),
        sa.Column("body", JSON, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("tries", sa.SmallInteger(), nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("queued_at", INSTANT, nullable=False),
        sa.Column("settled_at", INSTANT, nullable=True),
        sa.Column("fault", sa.String(300), nullable=True),
        sa.CheckConstraint("state IN ('waiting', 'sent', 'dead')", name=op.f("ck_notice_state")),
        _refers("notice", "alert_id", "alert.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notice")),
    )
    op.create_index(op.f("ix_notice_alert_id"), "notice", ["alert_id"])
    op.create_index(op.f("ix_notice_state_due_at"), "notice", ["state", "due_at"])


def _cases() -> None:
    op.create_table(
        "case_file",
        sa.Column("case_number", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("opened_at", INSTANT, nullable=False),
        sa.Column("opened_by", PERSON, nullable=False),
        _refers("case_file", "opened_by", "user_account.name"),
        sa.PrimaryKeyConstraint("case_number", name=op.f("pk_case_file")),
    )
    op.create_index(op.f("ix_case_file_opened_at"), "case_file", ["opened_at"])
    op.create_table(
        "case_attachment",
        sa.Column("case_number", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("reference", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.String(500), nullable=False),
        sa.Column("attached_at", INSTANT, nullable=False),
        sa.Column("attached_by", PERSON, nullable=False),
        sa.CheckConstraint(
            "kind IN ('alert', 'search', 'route')", name=op.f("ck_case_attachment_kind")
        ),
        _refers("case_attachment", "case_number", "case_file.case_number"),
        _refers("case_attachment", "attached_by", "user_account.name"),
        sa.PrimaryKeyConstraint(
            "case_number", "kind", "reference", name=op.f("pk_case_attachment")
        ),
    )
    op.create_index(op.f("ix_case_attachment_attached_at"), "case_attachment", ["attached_at"])
    op.create_table(
        "case_outcome",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("case_number", sa.String(64), nullable=False),
        sa.Column("suspects", sa.Integer(), nullable=False),
        sa.Column("vehicles", sa.Integer(), nullable=False),
        sa.Column("property_cents", sa.BigInteger(), nullable=False),
        sa.Column("loss_cents", sa.BigInteger(), nullable=False),
        sa.Column("people_helped", sa.Integer(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("recorded_at", INSTANT, nullable=False),
        sa.Column("recorded_by", PERSON, nullable=False),
        sa.CheckConstraint(
            "suspects >= 0 AND vehicles >= 0 AND people_helped >= 0 AND property_cents >= 0 "
            "AND loss_cents >= 0",
            name=op.f("ck_case_outcome_amounts"),
        ),
        _refers("case_outcome", "case_number", "case_file.case_number"),
        _refers("case_outcome", "recorded_by", "user_account.name"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_outcome")),
    )
    op.create_index(op.f("ix_case_outcome_case_number"), "case_outcome", ["case_number"])
    op.create_index(op.f("ix_case_outcome_recorded_at"), "case_outcome", ["recorded_at"])
