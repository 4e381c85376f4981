"""Who may see what: areas, protected plates, approvals, cases; sessions that end when idle.

Revision 0002_rights.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002_rights"
down_revision = "0001"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
PLATE = sa.String(16).with_variant(postgresql.VARCHAR(16, collation="C"), "postgresql")

ROLES_BEFORE = "role IN ('operator', 'officer', 'administrator')"
ROLES = "role IN ('operator', 'officer', 'supervisor', 'custodian', 'administrator')"

NO_REPLACE_SQLITE = """
CREATE TRIGGER audit_log_no_REPLACE BEFORE INSERT ON audit_log
WHEN EXISTS (SELECT 1 FROM audit_log WHERE seq >= NEW.seq)
BEGIN SELECT RAISE(ABORT, 'audit_log is append-only'); END
"""
"""INSERT OR REPLACE removes the old row without asking the trigger on DELETE."""


def upgrade() -> None:
    """Apply."""
    _widen_roles()
    op.add_column(
        "user_account",
        sa.Column("sees_everywhere", sa.Boolean(), server_default=sa.true(), nullable=False),
    )
    op.add_column(
        "user_account",
        sa.Column("must_change_password", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.add_column("user_account", sa.Column("oidc_subject", sa.String(length=600), nullable=True))
    op.create_index(
        op.f("ix_user_account_oidc_subject"), "user_account", ["oidc_subject"], unique=True
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute(NO_REPLACE_SQLITE)
    op.add_column("login_session", sa.Column("last_used_at", INSTANT, nullable=True))
    op.add_column(
        "login_session",
        sa.Column("address", sa.String(length=64), server_default="", nullable=False),
    )
    op.create_index(op.f("ix_login_failure_address_at"), "login_failure", ["address", "at"])
    op.drop_index(op.f("ix_audit_log_user_name"), "audit_log")
    op.create_index(op.f("ix_audit_log_user_name_at"), "audit_log", ["user_name", "at"])
    _areas()
    _protected_plates()
    _approvals()
    _cases()
    _oidc()


def _widen_roles() -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint(op.f("ck_user_account_role"), "user_account")
        op.create_check_constraint(op.f("ck_user_account_role"), "user_account", ROLES)
        return
    # SQLite cannot change a CHECK, and the table cannot be copied while others refer to it;
    # editing the stored text is SQLite's own recipe (sqlite.org/lang_altertable.html, section 7)
    connection = op.get_bind()
    connection.exec_driver_sql("PRAGMA writable_schema=ON")
    connection.execute(
        sa.text(
            "UPDATE sqlite_master SET sql = replace(sql, :before, :after) "
            "WHERE type = 'table' AND name = 'user_account'"
        ),
        {"before": ROLES_BEFORE, "after": ROLES},
    )
    connection.exec_driver_sql("PRAGMA writable_schema=RESET")


def _areas() -> None:
    op.create_table(
        "area",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_area")),
    )
    op.create_table(
        "area_checkpoint",
        sa.Column("area_id", sa.String(length=64), nullable=False),
        sa.Column("checkpoint_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["area_id"], ["area.id"], name=op.f("fk_area_checkpoint_area_id_area")
        ),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"],
            ["checkpoint.id"],
            name=op.f("fk_area_checkpoint_checkpoint_id_checkpoint"),
        ),
        sa.PrimaryKeyConstraint("area_id", "checkpoint_id", name=op.f("pk_area_checkpoint")),
    )
    op.create_index(op.f("ix_area_checkpoint_checkpoint_id"), "area_checkpoint", ["checkpoint_id"])
    op.create_table(
        "user_area",
        sa.Column("user_name", sa.String(length=64), nullable=False),
        sa.Column("area_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["area_id"], ["area.id"], name=op.f("fk_user_area_area_id_area")),
        sa.ForeignKeyConstraint(
            ["user_name"], ["user_account.name"], name=op.f("fk_user_area_user_name_user_account")
        ),
        sa.PrimaryKeyConstraint("user_name", "area_id", name=op.f("pk_user_area")),
    )


def _protected_plates() -> None:
    op.create_table(
        "protected_plate",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("plate", PLATE, nullable=False),
        sa.Column("authority", sa.String(length=200), nullable=False),
        sa.Column("added_at", INSTANT, nullable=False),
        sa.Column("added_by", sa.String(length=64), nullable=False),
        sa.Column("lifted_at", INSTANT, nullable=True),
        sa.Column("lifted_by", sa.String(length=64), nullable=True),
        sa.Column("lifted_reason", sa.String(length=500), nullable=True),
        sa.ForeignKeyConstraint(
            ["added_by"],
            ["user_account.name"],
            name=op.f("fk_protected_plate_added_by_user_account"),
        ),
        sa.ForeignKeyConstraint(
            ["lifted_by"],
            ["user_account.name"],
            name=op.f("fk_protected_plate_lifted_by_user_account"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_protected_plate")),
    )
    op.create_index(
        op.f("ix_protected_plate_plate_lifted_at"), "protected_plate", ["plate", "lifted_at"]
    )
    op.create_table(
        "protected_sought",
        sa.Column("audit_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("audit_seq", name=op.f("pk_protected_sought")),
    )


def _approvals() -> None:
    op.create_table(
        "approval",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_name", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=200), nullable=False),
        sa.Column("case_number", sa.String(length=64), nullable=False),
        sa.Column("plate", PLATE, nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("why", sa.String(length=1000), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("requested_at", INSTANT, nullable=False),
        sa.Column("decided_at", INSTANT, nullable=True),
        sa.Column("decided_by", sa.String(length=64), nullable=True),
        sa.Column("note", sa.String(length=1000), nullable=True),
        sa.Column("expires_at", INSTANT, nullable=True),
        sa.CheckConstraint(
            "state IN ('requested', 'approved', 'refused')", name=op.f("ck_approval_state")
        ),
        sa.CheckConstraint(
            "decided_by IS NULL OR decided_by <> user_name",
            name=op.f("ck_approval_another_decides"),
        ),
        sa.ForeignKeyConstraint(
            ["user_name"], ["user_account.name"], name=op.f("fk_approval_user_name_user_account")
        ),
        sa.ForeignKeyConstraint(
            ["decided_by"], ["user_account.name"], name=op.f("fk_approval_decided_by_user_account")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approval")),
    )
    op.create_index(op.f("ix_approval_user_name_state"), "approval", ["user_name", "state"])
    op.create_index(op.f("ix_approval_state"), "approval", ["state"])


def _cases() -> None:
    op.create_table(
        "case_member",
        sa.Column("case_number", sa.String(length=64), nullable=False),
        sa.Column("user_name", sa.String(length=64), nullable=False),
        sa.Column("added_at", INSTANT, nullable=False),
        sa.Column("added_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_name"], ["user_account.name"], name=op.f("fk_case_member_user_name_user_account")
        ),
        sa.PrimaryKeyConstraint("case_number", "user_name", name=op.f("pk_case_member")),
    )
    op.create_index(op.f("ix_case_member_user_name"), "case_member", ["user_name"])


def _oidc() -> None:
    op.create_table(
        "oidc_login",
        sa.Column("state_sha256", sa.String(length=64), nullable=False),
        sa.Column("nonce", sa.String(length=64), nullable=False),
        sa.Column("verifier", sa.String(length=128), nullable=False),
        sa.Column("next_path", sa.String(length=500), nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("state_sha256", name=op.f("pk_oidc_login")),
    )
    op.create_index(op.f("ix_oidc_login_expires_at"), "oidc_login", ["expires_at"])
