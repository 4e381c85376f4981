"""What an entry of the watchlist says and how it came into force.

Revision 0004. Entries that are there already keep their state; they were put in force by one
person, which their history says.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004_watchlist"
down_revision = "0003_passages"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
NAME = sa.String(length=64)

STATES_BEFORE = "state IN ('active', 'withdrawn')"
STATES = (
    "state IN ('draft', 'reviewed', 'approved', 'active', 'extended', 'urgent', "
    "'refused', 'withdrawn', 'expired', 'lapsed')"
)


def upgrade() -> None:
    """Apply."""
    for column in (
        sa.Column("match", sa.String(length=12), server_default="exact", nullable=False),
        sa.Column("tolerance", sa.Float(), nullable=True),
        sa.Column("description", JSON, nullable=True),
        sa.Column("intercept", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("secret", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("contact", sa.String(length=200), server_default="", nullable=False),
        sa.Column("unit", sa.String(length=100), server_default="", nullable=False),
        sa.Column("tell", JSON, nullable=True),
        sa.Column("scope", JSON, nullable=True),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("urgent_why", sa.Text(), nullable=True),
        sa.Column("lapses_at", INSTANT, nullable=True),
        sa.Column("withdrawn_code", sa.String(length=16), nullable=True),
    ):
        op.add_column("watchlist_entry", column)
    for name in ("urgent_by", "reviewed_by", "approved_by"):
        # both engines take a constraint with a new column; Alembic gives none to SQLite
        op.execute(
            f"ALTER TABLE watchlist_entry ADD COLUMN {name} VARCHAR(64) "
            f"CONSTRAINT fk_watchlist_entry_{name}_user_account REFERENCES user_account (name)"
        )
    _state_at()
    _widen_states()
    op.create_index(op.f("ix_watchlist_entry_revision"), "watchlist_entry", ["revision"])
    op.create_index(
        op.f("ix_watchlist_entry_state_state_at"), "watchlist_entry", ["state", "state_at"]
    )
    op.add_column("alert", sa.Column("echo_of", sa.BigInteger(), nullable=True))
    _people_and_steps()
    counter = sa.table("counter", sa.column("name", sa.String), sa.column("value", sa.BigInteger))
    op.bulk_insert(counter, [{"name": "application", "value": 0}])


def _state_at() -> None:
    # SQLite adds no NOT NULL column without a constant default, so it gets one that is replaced
    op.add_column(
        "watchlist_entry",
        sa.Column("state_at", INSTANT, server_default="1970-01-01 00:00:00+00", nullable=False),
    )
    op.execute("UPDATE watchlist_entry SET state_at = coalesce(withdrawn_at, created_at)")


def _widen_states() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        op.alter_column("watchlist_entry", "state_at", server_default=None)
        op.drop_constraint(op.f("ck_watchlist_entry_state"), "watchlist_entry")
        op.create_check_constraint(op.f("ck_watchlist_entry_state"), "watchlist_entry", STATES)
        return
    # as in revision 0002: sqlite.org/lang_altertable.html, section 7
    connection.exec_driver_sql("PRAGMA writable_schema=ON")
    connection.execute(
        sa.text(
            "UPDATE sqlite_master SET sql = replace(sql, :before, :after) "
            "WHERE type = 'table' AND name = 'watchlist_entry'"
        ),
        {"before": STATES_BEFORE, "after": STATES},
    )
    connection.exec_driver_sql("PRAGMA writable_schema=RESET")


def _people_and_steps() -> None:
    op.create_table(
        "watchlist_person",
        sa.Column("entry_id", sa.Integer(), nullable=False),
        sa.Column("user_name", NAME, nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"],
            ["watchlist_entry.id"],
            name=op.f("fk_watchlist_person_entry_id_watchlist_entry"),
        ),
        sa.ForeignKeyConstraint(
            ["user_name"],
            ["user_account.name"],
            name=op.f("fk_watchlist_person_user_name_user_account"),
        ),
        sa.PrimaryKeyConstraint("entry_id", "user_name", name=op.f("pk_watchlist_person")),
    )
    op.create_index(op.f("ix_watchlist_person_user_name"), "watchlist_person", ["user_name"])
    op.create_table(
        "watchlist_step",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("entry_id", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("by", NAME, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("audit_seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"],
            ["watchlist_entry.id"],
            name=op.f("fk_watchlist_step_entry_id_watchlist_entry"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_watchlist_step")),
    )
    op.create_index(op.f("ix_watchlist_step_entry_id"), "watchlist_step", ["entry_id"])
