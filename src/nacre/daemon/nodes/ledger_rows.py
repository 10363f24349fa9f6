"""The statements about ledgers that several servers have, in PostgreSQL.

A row is what a user, or a group, has used. Its owner, a lease, has the figures in its own file, and
the row is older; it says how far they may have gone since. Who wants them notes that in the row and
tells the owner, which writes them there and hands the row over. When the lease has ended, whoever
wants the figures takes what the row says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nacre.daemon.nodes.tables import NOW, DatabaseConnection
from nacre.daemon.store.values import LedgerKey
from nacre.sftp.filesystems.quota.claim import Ahead

LEDGERS_CHANNEL = "nacre_ledgers"
"""Notified with the number of a lease: another one wants a ledger of it, or it gets one."""

GRACE = 2.0
"""Seconds from the end of a lease to the time at which another one takes its ledgers: a change of
files that has begun before may end after it."""

_WHERE = "WHERE kind = %s AND name = %s"
_LIVES = f"SELECT 1 FROM nodes WHERE number = {{}} AND until > {NOW} - {int(GRACE * 1000)}"
_MAKE = """
INSERT INTO ledgers (kind, name, loaded, period, up, down, bytes, files, asked, answered)
VALUES (%s, %s, false, 0, 0, 0, 0, 0, 0, 0) ON CONFLICT DO NOTHING
"""
_LOOK = f"""
SELECT owner, loaded, record, period, up, down, bytes, files, asked, answered,
    EXISTS ({_LIVES.format("owner")})
FROM ledgers {_WHERE} FOR UPDATE
"""
_WANT = f"""
UPDATE ledgers SET wanted = %s
{_WHERE} AND (wanted IS NULL OR NOT EXISTS ({_LIVES.format("wanted")}))
"""
_TAKE = f"""
UPDATE ledgers SET owner = %s, loaded = true, wanted = NULLIF(wanted, %s) {_WHERE}
"""
_WRITE = f"""
UPDATE ledgers SET record = %s, answered = COALESCE(%s, answered) {_WHERE} AND owner = %s
"""
_LEAVE = f"""
UPDATE ledgers SET record = %s, answered = %s, loaded = false, wanted = NULL,
    owner = (SELECT number FROM nodes WHERE number = wanted AND until > {NOW})
{_WHERE} AND owner = %s RETURNING owner
"""
_EXTEND = f"""
UPDATE ledgers SET period = %s, up = %s, down = %s, bytes = %s, files = %s {_WHERE} AND owner = %s
"""
_PENDING = """
SELECT kind, name, wanted IS NOT NULL, asked FROM ledgers
WHERE owner = %s AND (wanted IS NOT NULL OR asked > answered)
"""


class TakenRow(NamedTuple):
    """A ledger that a lease has got.

    :ivar before: the lease that had it, and has died; None where it was handed over.
    :ivar record: what it is; empty for a new one.
    :ivar ahead: how far it may have gone since.
    :ivar asked: how often somebody wanted the files counted; ``answered`` how often they were.
    """

    before: int | None
    record: bytes
    ahead: Ahead
    asked: int
    answered: int


class PendingRow(NamedTuple):
    """A ledger of a lease that somebody wants, or wants counted."""

    key: LedgerKey
    wanted: bool
    asked: int


def take_ledger(connection: DatabaseConnection, key: LedgerKey, lease: int) -> TakenRow | None:
    """Get a ledger for a lease; None if another lease has it, which is told."""
    with connection.transaction():
        found = connection.execute(_LOOK, key).fetchone()
        if found is None:
            connection.execute(_MAKE, key)
            found = connection.execute(_LOOK, key).fetchone()
            assert found is not None
        owner, loaded, record, *ahead, asked, answered, lives = found
        if owner is not None and owner != lease and lives:
            connection.execute(_WANT, [lease, *key])
            _tell(connection, owner)
            return None
        connection.execute(_TAKE, [lease, lease, *key])
    return TakenRow(owner if loaded else None, record or b"", Ahead(*ahead), asked, answered)


def write_ledger(
    connection: DatabaseConnection,
    key: LedgerKey,
    lease: int,
    record: bytes,
    answered: int | None = None,
) -> bool:
    """Write what a ledger is; tell whether the lease still has it."""
    done = connection.execute(_WRITE, [record, answered, *key, lease])
    return done.rowcount == 1


def leave_ledger(
    connection: DatabaseConnection, key: LedgerKey, lease: int, record: bytes, answered: int
) -> None:
    """Hand a ledger over to who wants it, or to nobody."""
    with connection.transaction():
        found = connection.execute(_LEAVE, [record, answered, *key, lease]).fetchone()
        if found is not None and found[0] is not None:
            _tell(connection, found[0])


def extend_ledger(connection: DatabaseConnection, key: LedgerKey, lease: int, ahead: Ahead) -> bool:
    """Note how far a ledger may go; tell whether the lease still has it."""
    return connection.execute(_EXTEND, [*ahead, *key, lease]).rowcount == 1


def pending_ledgers(connection: DatabaseConnection, lease: int) -> Sequence[PendingRow]:
    """Return the ledgers of a lease about which there is something to do."""
    return [
        PendingRow(LedgerKey(kind, name), wanted, asked)
        for kind, name, wanted, asked in connection.execute(_PENDING, [lease])
    ]


def _tell(connection: DatabaseConnection, lease: int) -> None:
    connection.execute("SELECT pg_notify(%s, %s)", [LEDGERS_CHANNEL, str(lease)])
