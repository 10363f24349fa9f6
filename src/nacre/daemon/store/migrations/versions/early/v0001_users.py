"""Users with their keys, and the secret of the store."""

import sqlalchemy as sa
from alembic import op

from nacre.daemon.store.tables import NUMBER

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables of the first version."""
    op.create_table(
        "users",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("password", sa.String),
        sa.Column("auth", sa.String, nullable=False),
        sa.Column("service", sa.String, nullable=False),
        sa.Column("home", sa.String),
        sa.Column("run_as", sa.String),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("created", NUMBER, nullable=False),
    )
    op.create_table(
        "keys",
        sa.Column(
            "user", sa.String, sa.ForeignKey("users.name", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("blob", sa.LargeBinary, primary_key=True),
        sa.Column("comment", sa.String, nullable=False),
        sa.Column("added", NUMBER, nullable=False),
    )
    op.create_table(
        "settings",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", sa.LargeBinary, nullable=False),
    )
