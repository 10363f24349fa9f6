"""Keys of the REST API."""

import sqlalchemy as sa
from alembic import op

from nacre.daemon.store.tables import NUMBER

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "api_keys",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("number", sa.String, nullable=False, unique=True),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("scopes", sa.String, nullable=False),
        sa.Column("created", NUMBER, nullable=False),
        sa.Column("expires", NUMBER, nullable=False),
    )
