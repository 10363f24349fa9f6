"""The revisions of the store's tables, which alembic applies to a store of an older version.

A change of :mod:`nacre.daemon.store.tables` comes with a revision of its own here: the next number,
in ``versions`` or a folder of it, and the same number in
:data:`nacre.daemon.store.database.VERSION`. It runs on SQLite and on PostgreSQL: numbers are
:data:`nacre.daemon.store.tables.NUMBER`. A table that logins look at has its line in
:mod:`nacre.daemon.store.postgres.changes`, so that other servers hear of changes.
"""

from __future__ import annotations

import logging
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection


def migrate(connection: Connection, version: int) -> None:
    """Bring the tables up to date, in the transaction that the connection has begun.

    :param version: the version of the tables; 0 if there are none. Alembic has not noted that of a
        file of SQLite which was made with them.
    """
    if version and MigrationContext.configure(connection).get_current_revision() is None:
        note(connection, version)
    command.upgrade(_config(connection), "head")


def note(connection: Connection, version: int) -> None:
    """Have alembic note the version of the tables, in the connection's transaction."""
    command.stamp(_config(connection), f"{version:04}")


def _config(connection: Connection) -> Config:
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("recursive_version_locations", "true")  # a folder has so many files
    config.attributes["connection"] = connection
    return config
