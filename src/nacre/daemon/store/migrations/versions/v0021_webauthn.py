"""Security keys of the web console."""

import sqlalchemy as sa
from alembic import op

from nacre.daemon.store.tables import NUMBER

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Add the table."""
    user = sa.ForeignKey("users.name", ondelete="CASCADE")
    op.create_table(
        "webauthn_keys",
        sa.Column("credential", sa.LargeBinary, primary_key=True),
        sa.Column("user", sa.String, user, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("rp_id", sa.String, nullable=False),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        sa.Column("counter", NUMBER, nullable=False),
        sa.Column("added", NUMBER, nullable=False),
        sa.Column("used", NUMBER, nullable=False),
    )
    op.create_index("webauthn_keys_by_user", "webauthn_keys", ["user", "added"])
