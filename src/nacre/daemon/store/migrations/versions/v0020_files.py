"""Passwords for one login, which the API gives users who have signed in there."""

import sqlalchemy as sa
from alembic import op

from nacre.daemon.store.tables import NUMBER

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "one_time_passwords",
        sa.Column("hash", sa.LargeBinary, primary_key=True),
        sa.Column(
            "user", sa.String, sa.ForeignKey("users.name", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("address", sa.String, nullable=False),
        sa.Column("until", NUMBER, nullable=False),
    )
