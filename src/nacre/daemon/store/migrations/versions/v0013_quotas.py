"""How much users may store and transfer, and how fast."""

import sqlalchemy as sa
from alembic import op

from nacre.daemon.store.tables import NUMBER

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Add columns to users and groups."""
    numbers = ("quota_bytes", "quota_files", "transfer_up", "transfer_down", "rate_up", "rate_down")
    for table in ("users", "groups"):
        for name in numbers:
            op.add_column(table, sa.Column(name, NUMBER))
        op.add_column(table, sa.Column("transfer_period", sa.String))
