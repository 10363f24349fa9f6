"""Options of keys, as in authorized_keys."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column."""
    op.add_column("keys", sa.Column("options", sa.String, nullable=False, server_default=""))
