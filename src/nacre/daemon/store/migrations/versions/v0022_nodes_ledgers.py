"""What users and groups have used, for servers with one store that count together."""

import sqlalchemy as sa
from alembic import op

from nacre.daemon.store.tables import NUMBER

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "ledgers",
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("owner", NUMBER),
        sa.Column("loaded", sa.Boolean, nullable=False),
        sa.Column("wanted", NUMBER),
        sa.Column("record", sa.LargeBinary),
        sa.Column("period", NUMBER, nullable=False),
        sa.Column("up", NUMBER, nullable=False),
        sa.Column("down", NUMBER, nullable=False),
        sa.Column("bytes", NUMBER, nullable=False),
        sa.Column("files", NUMBER, nullable=False),
        sa.Column("asked", NUMBER, nullable=False),
        sa.Column("answered", NUMBER, nullable=False),
    )
