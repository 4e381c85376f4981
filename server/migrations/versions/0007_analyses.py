"""Jobs over the whole city and what they found; the queue of cloned plates and what it taught.

Revision 0007_analyses.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007_analyses"
down_revision = "0006_travel"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
PLATE = sa.String(16).with_variant(postgresql.VARCHAR(16, collation="C"), "postgresql")
NAME = sa.String(64)
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    _jobs()
    _clones()


def _jobs() -> None:
    op.create_table(
        "analysis_job",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("question", JSON, nullable=False),
        sa.Column("user_name", NAME, nullable=True),
        sa.Column("purpose", sa.String(length=200), nullable=False),
        sa.Column("case_number", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("requested_at", INSTANT, nullable=False),
        sa.Column("started_at", INSTANT, nullable=True),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("beat_at", INSTANT, nullable=True),
        sa.Column("runner", sa.String(length=100), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(length=32), nullable=False),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("found", sa.Integer(), nullable=False),
        sa.Column("examined", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'failed', 'cancelled')",
            name=op.f("ck_analysis_job_state"),
        ),
        sa.ForeignKeyConstraint(
            ["user_name"],
            ["user_account.name"],
            name=op.f("fk_analysis_job_user_name_user_account"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_analysis_job")),
    )
    op.create_index(op.f("ix_analysis_job_state_id"), "analysis_job", ["state", "id"])
    op.create_index(op.f("ix_analysis_job_user_name"), "analysis_job", ["user_name"])
    op.create_index(op.f("ix_analysis_job_requested_at"), "analysis_job", ["requested_at"])
    op.create_table(
        "analysis_finding",
        sa.Column("job_id", ROW_ID, nullable=False),
        sa.Column("rank", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("plate", PLATE, nullable=False),
        sa.Column("other_plate", PLATE, nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("detail", JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["analysis_job.id"], name=op.f("fk_analysis_finding_job_id_analysis_job")
        ),
        sa.PrimaryKeyConstraint("job_id", "rank", name=op.f("pk_analysis_finding")),
    )


def _clones() -> None:
    op.create_table(
        "clone_candidate",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("plate", PLATE, nullable=False),
        sa.Column("cause", sa.String(length=16), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("found_at", INSTANT, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("last_at", INSTANT, nullable=False),
        sa.Column("conflicts", sa.Integer(), nullable=False),
        sa.Column("detail", JSON, nullable=False),
        sa.Column("evidence", JSON, nullable=False),
        sa.Column("decided_at", INSTANT, nullable=True),
        sa.Column("decided_by", NAME, nullable=True),
        sa.Column("note", sa.String(length=1000), nullable=True),
        sa.CheckConstraint(
            "state IN ('open', 'confirmed', 'rejected', 'clock_fault')",
            name=op.f("ck_clone_candidate_state"),
        ),
        sa.CheckConstraint(
            "cause IN ('clone', 'clock', 'misread', 'doubtful')",
            name=op.f("ck_clone_candidate_cause"),
        ),
        sa.ForeignKeyConstraint(
            ["decided_by"],
            ["user_account.name"],
            name=op.f("fk_clone_candidate_decided_by_user_account"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clone_candidate")),
    )
    op.create_index(op.f("ix_clone_candidate_plate"), "clone_candidate", ["plate"])
    op.create_index(op.f("ix_clone_candidate_state_score"), "clone_candidate", ["state", "score"])
    op.create_table(
        "clone_lesson",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("subject", sa.String(length=140), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("until", INSTANT, nullable=True),
        sa.Column("candidate_id", ROW_ID, nullable=False),
        sa.Column("taught_at", INSTANT, nullable=False),
        sa.Column("taught_by", NAME, nullable=False),
        sa.CheckConstraint(
            "kind IN ('clock', 'pair', 'misread')", name=op.f("ck_clone_lesson_kind")
        ),
        sa.ForeignKeyConstraint(
            ["candidate_id"],
            ["clone_candidate.id"],
            name=op.f("fk_clone_lesson_candidate_id_clone_candidate"),
        ),
        sa.ForeignKeyConstraint(
            ["taught_by"],
            ["user_account.name"],
            name=op.f("fk_clone_lesson_taught_by_user_account"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clone_lesson")),
    )
    op.create_index(op.f("ix_clone_lesson_candidate_id"), "clone_lesson", ["candidate_id"])
    op.create_index(op.f("ix_clone_lesson_kind_subject"), "clone_lesson", ["kind", "subject"])
