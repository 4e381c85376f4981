"""What is learned of the traffic, and the roads between checkpoints.

Revision 0006_travel.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006_travel"
down_revision = "0005_alerts"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
NAME = sa.String(64)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "travel_mark",
        sa.Column("name", NAME, nullable=False),
        sa.Column("learned_until", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_travel_mark"),
    )
    op.create_table(
        "travel_pair",
        sa.Column("from_id", NAME, nullable=False),
        sa.Column("to_id", NAME, nullable=False),
        sa.Column("drives", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.LargeBinary(), nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("from_id", "to_id", name="pk_travel_pair"),
    )
    op.create_table(
        "travel_turn",
        sa.Column("before_id", NAME, nullable=False),
        sa.Column("from_id", NAME, nullable=False),
        sa.Column("to_id", NAME, nullable=False),
        sa.Column("drives", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("before_id", "from_id", "to_id", name="pk_travel_turn"),
    )
    op.create_table(
        "travel_place",
        sa.Column("checkpoint_id", NAME, nullable=False),
        sa.Column("starts", sa.BigInteger(), nullable=False),
        sa.Column("ends", sa.BigInteger(), nullable=False),
        sa.Column("clock_offset_s", sa.Float(), nullable=False),
        sa.Column("clock_since", INSTANT, nullable=True),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("checkpoint_id", name="pk_travel_place"),
    )
    op.create_table(
        "road_link",
        sa.Column("from_id", NAME, nullable=False),
        sa.Column("to_id", NAME, nullable=False),
        sa.Column("metres", sa.Float(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("shape", JSON, nullable=False),
        sa.PrimaryKeyConstraint("from_id", "to_id", name="pk_road_link"),
    )
    for table in ("travel_pair", "travel_turn", "travel_place"):
        op.create_index(op.f(f"ix_{table}_changed_at"), table, ["changed_at"])
