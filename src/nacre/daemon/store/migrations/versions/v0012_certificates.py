"""Certificates that were issued, and which ones users and groups get."""

import sqlalchemy as sa
from alembic import op

from nacre.daemon.store.tables import NUMBER

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add a table, and columns of users and groups."""
    for table in ("users", "groups"):
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column("certificate_valid", NUMBER))
            batch.add_column(sa.Column("certificate_principals", sa.String))
            batch.add_column(sa.Column("certificate_options", sa.String))
    op.create_table(
        "certificates",
        sa.Column("serial", NUMBER, primary_key=True),
        *(
            sa.Column(name, kind, nullable=False)
            for name, kind in (
                ("kind", sa.String),
                ("key_id", sa.String),
                ("principals", sa.String),
                ("valid_after", NUMBER),
                ("valid_before", NUMBER),
                ("fingerprint", sa.String),
                ("user", sa.String),
                ("issued", NUMBER),
            )
        ),
        sa.Column("revoked", NUMBER),
        sqlite_autoincrement=True,
    )
    op.create_index("certificates_by_user", "certificates", ["user", "issued"])
    op.create_index("certificates_by_end", "certificates", ["valid_before"])
