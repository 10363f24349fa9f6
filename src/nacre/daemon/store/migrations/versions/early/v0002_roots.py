"""Roots, and users who may only read."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("users", sa.Column("root", sa.String))
    op.add_column("users", sa.Column("read_only", sa.Boolean, nullable=False, server_default="0"))
