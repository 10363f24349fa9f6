"""Roots that give away more than files, and an index for what is asked at each login."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column and the index."""
    op.add_column("users", sa.Column("unsafe_root", sa.Boolean, nullable=False, server_default="0"))
    op.create_index("users_by_auth", "users", ["auth"])
