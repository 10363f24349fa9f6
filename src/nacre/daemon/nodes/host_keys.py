"""Gives all servers of a store the same host keys: the store has them, sealed.

The key that seals them is in a file of each server, and not in the store: who reads the database,
or a backup of it, can't stand in for the servers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nacre.crypto.sealed import seal, unseal
from nacre.daemon.hostkeys import FILES, load_host_keys
from nacre.daemon.nodes.tables import DatabaseConnection, node_tables
from nacre.daemon.state import write_once
from nacre.errors import StateError, UnusableKey
from nacre.keys import dump_private, load_private

if TYPE_CHECKING:
    from nacre.daemon.store.postgres.store_url import StoreURL

_SECONDS = 60.0
"""Seconds to wait for another server that makes the keys."""

_LOCK = 0x6E61636B
"""The number of the lock of who makes them."""


def share_host_keys(state: Path, url: StoreURL, key: bytes) -> None:
    """Write the host keys of the store into the state directory; give the store those it lacks.

    :param key: the 32 bytes that seal them.
    :raises StateError: the database or the keys can't be used, or this server has another key.
    """
    with node_tables(url, seconds=_SECONDS) as connection, connection.transaction():
        # Of two servers that start at once, one makes the keys.
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        stored = _opened(connection, key)
        for type, text in stored.items():
            _put(state / FILES[type], text)
        for one in load_host_keys(state):
            if (type := one.public.type) not in stored:
                sealed = seal(key, dump_private(one), _owner(type), os.urandom)
                connection.execute("INSERT INTO host_keys VALUES (%s, %s)", [type, sealed])


def _opened(connection: DatabaseConnection, key: bytes) -> Mapping[str, bytes]:
    """Return the private keys of the store by their types."""
    rows = connection.execute("SELECT type, sealed FROM host_keys").fetchall()
    try:
        return {type: unseal(key, sealed, _owner(type)) for type, sealed in rows if type in FILES}
    except UnusableKey as error:
        raise StateError(
            "the host keys of the store can't be opened with the key of --share-host-keys, which "
            f"must be the same on all servers: {error}"
        ) from None


def _put(path: Path, text: bytes) -> None:
    try:
        if write_once(path, text):
            return
        own = load_private(path.read_bytes())
    except OSError as error:
        raise StateError(f"can't use the host key {path}: {error.strerror}") from error
    except UnusableKey as error:
        raise StateError(f"the host key {path} can't be used: {error}") from error
    if own.public.blob != load_private(text).public.blob:
        raise StateError(
            f"the host key {path} is not the one that the store has: remove the file, and the "
            "server takes that of the store"
        )


def _owner(type: str) -> bytes:
    return b"host key " + type.encode()
