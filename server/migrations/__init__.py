"""Alembic environment; called by server.schema."""
