"""How much the users of a group may store and transfer together."""

import sqlalchemy as sa
from alembic import op

from nacre.daemon.store.tables import NUMBER

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Add columns to groups."""
    numbers = ("quota_bytes", "quota_files", "transfer_up", "transfer_down", "rate_up", "rate_down")
    for name in numbers:
        op.add_column("groups", sa.Column(f"shared_{name}", NUMBER))
    op.add_column("groups", sa.Column("shared_transfer_period", sa.String))
