"""How uploads come to be, and what happens with those that break off."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add columns to users and groups."""
    for table in ("users", "groups"):
        for name in ("uploads", "partial_uploads"):
            op.add_column(table, sa.Column(name, sa.String))
