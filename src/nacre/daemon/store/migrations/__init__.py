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
from sqlalchemy import Connection

_BEFORE = 4
"""The last version whose number alembic did not keep."""


def migrate(connection: Connection, version: int) -> None:
    """Bring the tables up to date, in the transaction that the connection has begun.

    :param version: the version of the tables; 0 for tables that are new, and up to date.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("recursive_version_locations", "true")
    config.attributes["connection"] = connection
    if version == 0:
        command.stamp(config, "head")
        return
    if version <= _BEFORE:
        command.stamp(config, f"{version:04}")
    command.upgrade(config, "head")
