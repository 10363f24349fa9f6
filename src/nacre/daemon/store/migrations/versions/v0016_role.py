"""What users who sign in to the REST API may do there."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the column: who says nothing may not sign in."""
    for table in ("users", "groups"):
        op.add_column(table, sa.Column("role", sa.String))
