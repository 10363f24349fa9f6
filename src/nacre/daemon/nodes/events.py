"""The events of all servers, of which the database has copies.

An event is known by its node, its number there and its hash, so it is no harm to write it again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from nacre.daemon.audit.chain import Kept, Position
from nacre.daemon.nodes.tables import DatabaseConnection

if TYPE_CHECKING:
    from nacre.daemon.audit.search import Search

_COLUMNS = 'number, time, connection, "user", peer, event, outcome, fields, previous, hash'
_PUT = f"""
INSERT INTO audit_events (node, {_COLUMNS})
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
_LAST = "SELECT number, hash FROM audit_events WHERE node = %s ORDER BY arrived DESC LIMIT 1"

_AT_ONCE = 1000
"""Events that are fetched together."""


class NodeEvent(NamedTuple):
    """An event, and the node that has kept it."""

    node: str
    event: Kept


def put_events(connection: DatabaseConnection, node: str, events: Sequence[Kept]) -> None:
    """Write events of a node in one transaction, without those that are there."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(_PUT, [(node, *event) for event in events])


def last_event(connection: DatabaseConnection, node: str) -> Position | None:
    """Return the event of a node that was written last; None if there is none."""
    row = connection.execute(_LAST, [node]).fetchone()
    return None if row is None else Position(*row)


def find_events(
    connection: DatabaseConnection, search: Search, limit: int | None = None
) -> Iterator[NodeEvent]:
    """Return what is found, oldest first; of one moment in the order of the nodes.

    :param limit: how many of the newest; None for all.
    """
    if limit is None:
        yield from _found(connection, search, "time, node, number")
        return
    newest = _found(connection, search, "time DESC, node DESC, number DESC")
    yield from reversed(list(islice(newest, limit)))


def _found(connection: DatabaseConnection, search: Search, order: str) -> Iterator[NodeEvent]:
    conditions = {
        '"user" = %s': search.user,
        "event = %s": search.event,
        "outcome = %s": search.outcome,
        "time >= %s": search.since,
        "time < %s": search.until,
    }
    given = {text: value for text, value in conditions.items() if value is not None}
    where = f"WHERE {' AND '.join(given)}" if given else ""
    statement = f"SELECT node, {_COLUMNS} FROM audit_events {where} ORDER BY {order}"
    with connection.transaction(), connection.cursor("audit") as cursor:
        # Who reads them may pause, such as a pager.
        connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        cursor.itersize = _AT_ONCE
        cursor.execute(statement.encode(), list(given.values()))
        for node, *columns in cursor:
            event = Kept(*columns)
            if search.fits_network(event) and _has_path(event, search.path):
                yield NodeEvent(node, event)


def _has_path(event: Kept, pattern: str | None) -> bool:
    """Tell whether one of the paths of an event matches, as GLOB of SQLite would say."""
    if pattern is None:
        return True
    with suppress(ValueError, RecursionError):
        fields = json.loads(event.fields)
        paths = [fields.get(name) for name in ("path", "to")]
        wanted = pattern.replace("[^", "[!")
        return any(isinstance(path, str) and fnmatchcase(path, wanted) for path in paths)
    return False


def remove_events(connection: DatabaseConnection, before: int) -> int:
    """Remove the copies of events before a time, and return how many there were.

    :param before: microseconds since the epoch.
    """
    return connection.execute("DELETE FROM audit_events WHERE time < %s", [before]).rowcount
