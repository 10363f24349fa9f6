"""Networks that are banned, and those that never are."""

import sqlalchemy as sa
from alembic import op

from nacre.daemon.store.tables import NUMBER

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "bans",
        sa.Column("network", sa.String, primary_key=True),
        sa.Column("until", NUMBER, nullable=False),
        sa.Column("allowed", sa.Boolean, nullable=False),
        sa.Column("level", NUMBER, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
    )
