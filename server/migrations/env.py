"""Run by Alembic: applies migrations on the connection that `server.schema` hands over."""

from alembic import context
from sqlalchemy import text

from server.schema import LOCK_TIMEOUT_MS, STATEMENT_TIMEOUT_MS
from server.tables import Base

connection = context.config.attributes["connection"]
if connection.dialect.name == "postgresql":
    connection.execute(text(f"SET lock_timeout = {LOCK_TIMEOUT_MS}"))
    connection.execute(text(f"SET statement_timeout = {STATEMENT_TIMEOUT_MS}"))
    connection.commit()
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    transaction_per_migration=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
