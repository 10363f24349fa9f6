"""Groups, from which users inherit what they do not say themselves; expiry, places and hours."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from nacre.daemon.store.tables import NUMBER

revision = "0005"
down_revision = "0004"

_USUAL = {"auth": "any", "service": "all", "read_only": False, "unsafe_root": False}


def upgrade() -> None:
    """Make what was said by default not said, and add tables and columns."""
    with op.batch_alter_table("users") as batch:
        for name in _USUAL:
            batch.alter_column(name, nullable=True, server_default=None)
        for column in _new():
            batch.add_column(column)
    users = sa.table("users", *(sa.column(name) for name in _USUAL))
    for name, value in _USUAL.items():
        op.execute(users.update().where(users.c[name] == value).values({name: None}))
    with op.batch_alter_table("keys") as batch:
        batch.alter_column("options", server_default=None)
    op.create_table(
        "groups",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("created", NUMBER, nullable=False),
        *(sa.Column(name, sa.String) for name in ("auth", "service", "home", "run_as", "root")),
        *(sa.Column(name, sa.Boolean) for name in ("read_only", "unsafe_root")),
        *_new(),
    )
    op.create_table(
        "members",
        sa.Column(
            "user", sa.String, sa.ForeignKey("users.name", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("position", NUMBER, primary_key=True),
        sa.Column("group", sa.String, sa.ForeignKey("groups.name"), nullable=False),
    )
    op.create_index("members_by_group", "members", ["group"])


def _new() -> list[sa.Column[Any]]:
    """Return the columns that users and groups get."""
    return [
        sa.Column("expires", NUMBER),
        sa.Column("sources", sa.String),
        sa.Column("hours", sa.String),
    ]
