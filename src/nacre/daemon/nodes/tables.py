"""The statements about nodes and their connections, in PostgreSQL.

A process has a lease: a row that it renews. When the lease has ended its connections count for
nothing, and it does not renew it any more: it takes a new one and writes all of its connections
again. All times are the database's, so the clocks of the nodes do not matter.

These transactions do not exclude those of the store. They are not waited for on the disk
(``synchronous_commit``), because a database that has forgotten the last of them is told all again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import psycopg

from nacre._version import __version__
from nacre.daemon.nodes.values import NodeConnection, NodeIdentity, NodeState, ServingNode
from nacre.errors import StateError

if TYPE_CHECKING:
    from nacre.daemon.store.postgres.store_url import StoreURL

DatabaseConnection: TypeAlias = psycopg.Connection[Any]

LEASE = 10.0
"""Seconds for which a lease holds."""

CHANNEL = "nacre_nodes"
"""Notified when connections are to be ended."""

_KEPT = 600
"""Seconds for which a process whose lease has ended is still shown."""

_LOCK = 0x6E6163
"""The first number of the locks of users; the second is made of the name."""

_MOST_SHOWN = 100_000
"""Connections that are listed."""

NOW = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
"""The time, as an expression: milliseconds since the epoch by the clock of the database."""

_END = f"{NOW} + {int(LEASE * 1000)}"

_RENEW = f"""
UPDATE nodes SET until = {_END}, state = %s WHERE number = %s AND until > {NOW}
"""
_REGISTER = f"""
INSERT INTO nodes (server, name, process, version, state, began, until)
VALUES (%s, %s, %s, %s, %s, {NOW}, {_END}) RETURNING number
"""
_SWEEP = f"""
DELETE FROM nodes
WHERE until < {NOW} - {_KEPT * 1000} OR (name = %s AND server <> %s AND until < {NOW})
"""
_PUT = """
INSERT INTO connections (node, id, "user", peer, since, methods) VALUES (%s, %s, %s, %s, %s, %s)
"""
_HELD = f"""
SELECT c."user", count(*) FROM connections c JOIN nodes n ON n.number = c.node
WHERE c."user" = ANY(%s) AND n.until > {NOW} GROUP BY c."user"
"""
_NODES = f"""
SELECT name, process, version, state, began, until - {NOW},
    (SELECT count(*) FROM connections WHERE node = number)
FROM nodes ORDER BY name, number
"""
_OTHERS = f"""
SELECT n.name, n.process, c.id, c."user", c.peer, c.since, c.methods
FROM connections c JOIN nodes n ON n.number = c.node
WHERE n.server <> %s AND n.until > {NOW} ORDER BY n.name, c.since LIMIT {_MOST_SHOWN}
"""
_END_OTHERS = f"""
UPDATE connections c SET ending = %s FROM nodes n
WHERE n.number = c.node AND n.server <> %s AND n.until > {NOW}
    AND (c."user" = %s OR n.name || ':' || c.id = ANY(%s))
RETURNING n.name, c.id, c."user"
"""


@contextmanager
def node_tables(url: StoreURL, *, seconds: float) -> Iterator[DatabaseConnection]:
    """Connect to the database for some statements.

    :param seconds: the time that each may take.
    :raises StateError: it can't be used, or has no such tables.
    """
    try:
        with url.connect(autocommit=True) as connection:
            connection.execute(
                "SELECT set_config('statement_timeout', %s, false)", [str(int(seconds * 1000))]
            )
            yield connection
    except psycopg.Error as error:
        raise StateError(f"can't use the store {url.text}: {reason_of(error)}") from None


def reason_of(error: Exception) -> str:
    """Return on one line what PostgreSQL says, without the values of rows."""
    said = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return " ".join((said or str(error)).split())


# --- the rows of one process ---


def renew(connection: DatabaseConnection, number: int, state: NodeState) -> bool:
    """Renew a lease; tell whether it was still held. Its row is locked until the commit."""
    return connection.execute(_RENEW, [state, number]).rowcount == 1


def register(
    connection: DatabaseConnection,
    node: NodeIdentity,
    process: int,
    state: NodeState,
    before: int | None,
) -> int:
    """Take a lease, and return its number.

    :param before: the lease of this process that has ended, or None.
    """
    if before is not None:
        leave(connection, before)
    sweep(connection, node)
    row = [node.server, node.name, process, __version__, state]
    return int(_one(connection, _REGISTER, row))


def sweep(connection: DatabaseConnection, node: NodeIdentity) -> None:
    """Remove leases that have ended long ago, and those that earlier servers of this node had.

    A process of this server that was cut off has still to see which of its connections are to end.
    """
    connection.execute(_SWEEP, [node.name, node.server])


def leave(connection: DatabaseConnection, number: int) -> None:
    """Give a lease up, with the connections."""
    connection.execute("DELETE FROM nodes WHERE number = %s", [number])


def put(connection: DatabaseConnection, number: int, rows: Sequence[NodeConnection]) -> None:
    """Write connections of this process."""
    if not rows:
        return
    values = [
        (number, one.id, one.user, one.peer, int(one.since * 1000), ",".join(one.methods))
        for one in rows
    ]
    with connection.cursor() as cursor:
        cursor.executemany(_PUT, values)


def remove(connection: DatabaseConnection, number: int, ids: Collection[str]) -> None:
    """Remove connections of this process; those that are not there are none."""
    if ids:
        connection.execute(
            "DELETE FROM connections WHERE node = %s AND id = ANY(%s)", [number, list(ids)]
        )


def lock_users(connection: DatabaseConnection, users: Collection[str]) -> None:
    """Have no other process count the connections of these users before the commit."""
    # In one order everywhere, or two processes could wait for each other.
    numbers = sorted({_number_of(user) for user in users})
    connection.execute(
        "SELECT pg_advisory_xact_lock(%s, one) FROM unnest(%s::int[]) AS one", [_LOCK, numbers]
    )


def _number_of(user: str) -> int:
    digest = hashlib.blake2b(user.encode("utf-8", "surrogateescape"), digest_size=4).digest()
    return int.from_bytes(digest, signed=True)


def held(connection: DatabaseConnection, users: Collection[str]) -> Mapping[str, int]:
    """Return how many connections users have, on all nodes whose leases hold."""
    return dict(connection.execute(_HELD, [list(users)]).fetchall())


def endings(connection: DatabaseConnection, number: int) -> Mapping[str, str]:
    """Return which connections of this process are to be ended, and why."""
    chosen = "SELECT id, ending FROM connections WHERE node = %s AND ending IS NOT NULL"
    return dict(connection.execute(chosen, [number]).fetchall())


# --- those of others ---


def nodes(connection: DatabaseConnection) -> list[ServingNode]:
    """Return all processes that serve, and those that have ended lately without their doing."""
    return [
        ServingNode(
            name=name,
            process=process,
            version=version,
            state=state if left > 0 else "gone",
            began=began / 1000,
            left=left / 1000,
            connections=connections,
        )
        for name, process, version, state, began, left, connections in connection.execute(_NODES)
    ]


def others(connection: DatabaseConnection, server: str) -> list[tuple[str, int, NodeConnection]]:
    """Return the connections of other servers, with the names of their nodes and their processes.

    :param server: this one.
    """
    return [
        (
            name,
            process,
            NodeConnection(
                id=number,
                user=user,
                peer=peer,
                since=since / 1000,
                methods=tuple(filter(None, methods.split(","))),
            ),
        )
        for name, process, number, user, peer, since, methods in connection.execute(
            _OTHERS, [server]
        )
    ]


def end_others(
    connection: DatabaseConnection,
    server: str,
    ids: Collection[str],
    user: str | None,
    reason: str,
) -> list[tuple[str, str]]:
    """Have other servers end connections; return what they are called, and their users.

    :param server: this one.
    :param ids: each the name of a node, a colon, and the connection's id there.
    :param user: whose connections are to end, too; None for nobody's.
    """
    with connection.transaction():
        found = connection.execute(_END_OTHERS, [reason, server, user, list(ids)]).fetchall()
        if found:
            connection.execute("SELECT pg_notify(%s, '')", [CHANNEL])
    return [(f"{name}:{number}", whose) for name, number, whose in found]


def _one(connection: DatabaseConnection, statement: str, values: Sequence[object]) -> Any:
    row = connection.execute(statement.encode(), values).fetchone()
    assert row is not None
    return row[0]
