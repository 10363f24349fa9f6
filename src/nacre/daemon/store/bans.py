"""The bans of the store: they last over restarts, and `nacre ban` changes them beside a server."""

from __future__ import annotations

import time
from collections.abc import Iterable

from sqlalchemy import Connection, and_, delete, func, insert, select

from nacre.daemon.store.database import Database
from nacre.daemon.store.tables import BANS
from nacre.errors import ConfigurationError, UserStoreError
from nacre.server.admission.bans import MEMORY, MOST_BANS, Ban
from nacre.server.admission.networks import Network, parse_network, show_network


class StoredBans:
    """The bans in a store. Every call may block while another process writes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def follow(self) -> None:
        """Have :meth:`version` cost nothing from now on."""
        self._database.follow()

    def version(self) -> int:
        """Return a number that changes when the store has, at the hands of anybody."""
        return self._database.version()

    def all(self) -> list[Ban]:
        """Return all entries; one that can't be read is left out."""
        found = []
        # Not as a lookup: logins would wait for it.
        with self._database.reading() as connection:
            rows = connection.execute(select(BANS).limit(MOST_BANS)).all()
        for network, until, allowed, level, reason in rows:
            try:
                found.append(Ban(parse_network(network), until, bool(allowed), level, reason))
            except ConfigurationError:
                continue  # another program has written it
        return found

    def put(self, bans: Iterable[Ban]) -> None:
        """Add entries, or replace those of the same networks.

        :raises UserStoreError: there are too many.
        """
        bans = list(bans)
        with self._database.transaction() as connection:
            _forget_old(connection)
            names = [show_network(one.network) for one in bans]
            connection.execute(delete(BANS).where(BANS.c.network.in_(names)))
            count = connection.execute(select(func.count()).select_from(BANS)).scalar_one()
            if count + len(bans) > MOST_BANS:
                raise UserStoreError(
                    f"there are {count} networks in the list, which has room for {MOST_BANS}: "
                    "remove some with `nacre ban remove`, or name larger networks"
                )
            for name, ban in zip(names, bans, strict=True):
                row = {"network": name, "until": ban.until, "allowed": ban.allowed}
                row |= {"level": ban.level, "reason": ban.reason}
                connection.execute(insert(BANS), row)

    def remove(self, networks: Iterable[Network]) -> None:
        """Remove the entries of networks, all or none.

        :raises UserStoreError: one of them is not in the list.
        """
        with self._database.transaction() as connection:
            for name in map(show_network, networks):
                if not connection.execute(delete(BANS).where(BANS.c.network == name)).rowcount:
                    raise UserStoreError(f"{name} is not in the list: see `nacre ban list`")


def _forget_old(connection: Connection) -> None:
    """Remove the bans that are over and count for nothing any more."""
    now = int(time.time())
    over = and_(BANS.c.until > 0, BANS.c.until <= now)
    counts = and_(BANS.c.level > 0, BANS.c.until > now - MEMORY)
    connection.execute(delete(BANS).where(over, ~counts))
