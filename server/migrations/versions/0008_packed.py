"""Sightings packed by plate and period, and the note of what changes them.

Revision 0008_packed.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008_packed"
down_revision = "0007_analyses"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
PLATE = sa.String(16).with_variant(postgresql.VARCHAR(16, collation="C"), "postgresql")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_NOTE = """
CREATE OR REPLACE FUNCTION note_packed_change() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
DECLARE
  period CONSTANT date := CAST(TG_ARGV[0] AS date);
BEGIN
  IF TG_OP <> 'INSERT' THEN
    INSERT INTO packed_change (started_on, plate) VALUES (period, OLD.plate);
    DELETE FROM packed_plate WHERE started_on = period AND plate = OLD.plate;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO packed_change (started_on, plate) VALUES (period, NEW.plate);
  END IF;
  RETURN NULL;
END
$$
"""


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "packed_period",
        sa.Column("started_on", sa.Date(), nullable=False),
        sa.Column("ended_on", sa.Date(), nullable=False),
        sa.Column("packed_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("started_on", name="pk_packed_period"),
    )
    op.create_table(
        "packed_plate",
        sa.Column("started_on", sa.Date(), nullable=False),
        sa.Column("plate", PLATE, nullable=False),
        sa.Column("moments", sa.LargeBinary(), nullable=False),
        sa.Column("looks", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("started_on", "plate", name="pk_packed_plate"),
    )
    op.create_table(
        "packed_change",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("started_on", sa.Date(), nullable=False),
        sa.Column("plate", PLATE, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_packed_change"),
    )
    op.create_index(op.f("ix_packed_change_plate"), "packed_change", ["plate"])
    op.create_table(
        "packed_name",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_packed_name"),
        sa.UniqueConstraint("name", name="uq_packed_name_name"),
    )
    if op.get_context().dialect.name == "postgresql":
        for column in ("moments", "looks"):  # nothing in them repeats
            op.execute(f"ALTER TABLE packed_plate ALTER COLUMN {column} SET STORAGE EXTERNAL")
        op.execute(_NOTE)
