"""Rights per directory, folders, and the key of encrypted files."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the columns."""
    for table in ("users", "groups"):
        for name in ("folders", "rights", "file_key"):
            op.add_column(table, sa.Column(name, sa.String))
