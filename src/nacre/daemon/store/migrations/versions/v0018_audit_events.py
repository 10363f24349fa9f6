"""Copies of the events of all servers."""

import sqlalchemy as sa
from alembic import op

from nacre.daemon.store.tables import NUMBER

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "audit_events",
        sa.Column("arrived", NUMBER, primary_key=True),
        sa.Column("node", sa.String, nullable=False),
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("time", NUMBER, nullable=False),
        sa.Column("connection", sa.String, nullable=False),
        sa.Column("user", sa.String, nullable=False),
        sa.Column("peer", sa.String, nullable=False),
        sa.Column("event", sa.String, nullable=False),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("fields", sa.String, nullable=False),
        sa.Column("previous", sa.String, nullable=False),
        sa.Column("hash", sa.String, nullable=False),
        sa.UniqueConstraint("node", "number", "hash"),
    )
    op.create_index("audit_events_by_time", "audit_events", ["time"])
    op.create_index("audit_events_by_user", "audit_events", ["user", "time"])
    op.create_index("audit_events_by_node", "audit_events", ["node", "arrived"])
