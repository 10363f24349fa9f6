"""Second factors with recovery codes, and what passwords must be and for how long they hold."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from nacre.daemon.store.tables import NUMBER

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add columns and tables."""
    for name, kind in (("password_changed", NUMBER), ("must_change", sa.Boolean)):
        op.add_column("users", sa.Column(name, kind, nullable=False, server_default="0"))
    for table in ("users", "groups"):
        for column in _settings():
            op.add_column(table, column)
    op.create_table(
        "factors",
        _user(primary_key=True),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        *(
            sa.Column(name, NUMBER, nullable=False)
            for name in ("counter", "enrolled", "failures", "until")
        ),
    )
    op.create_table(
        "recovery",
        _user(primary_key=True),
        sa.Column("hash", sa.LargeBinary, primary_key=True),
    )
    op.create_table(
        "former_passwords",
        sa.Column("number", NUMBER, primary_key=True),
        _user(nullable=False),
        sa.Column("password", sa.String, nullable=False),
    )
    op.create_index("former_passwords_by_user", "former_passwords", ["user"])


def _settings() -> list[sa.Column[Any]]:
    """Return the columns that users and groups get."""
    numbers = ("enrol_within", "password_length", "password_history", "password_expires")
    return [
        sa.Column("second_factor", sa.String),
        *(sa.Column(name, NUMBER) for name in numbers),
    ]


def _user(**how: Any) -> sa.Column[Any]:
    return sa.Column("user", sa.String, sa.ForeignKey("users.name", ondelete="CASCADE"), **how)
