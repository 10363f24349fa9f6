"""The processes that serve with one store, and the connections of each."""

import sqlalchemy as sa
from alembic import op

from nacre.daemon.store.tables import NUMBER

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "nodes",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("server", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("process", NUMBER, nullable=False),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("began", NUMBER, nullable=False),
        sa.Column("until", NUMBER, nullable=False),
    )
    op.create_table(
        "connections",
        sa.Column(
            "node", NUMBER, sa.ForeignKey("nodes.number", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("user", sa.String, nullable=False),
        sa.Column("peer", sa.String, nullable=False),
        sa.Column("since", NUMBER, nullable=False),
        sa.Column("methods", sa.String, nullable=False),
        sa.Column("ending", sa.String),
    )
    op.create_index("connections_by_user", "connections", ["user"])
