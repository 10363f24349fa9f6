"""How many connections users may have at once."""

import sqlalchemy as sa
from alembic import op

from nacre.daemon.store.tables import NUMBER

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the columns."""
    for table in ("users", "groups"):
        op.add_column(table, sa.Column("max_sessions", NUMBER))
