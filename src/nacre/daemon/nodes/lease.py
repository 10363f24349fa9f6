"""The lease of a process that serves, and its connections in the database of all nodes.

A thread with one connection to the database does all of it, some changes in one transaction: the
loop never waits for the database, and neither do logins, except those of users who may have so many
connections at once. These are counted over all nodes before they are let in.
"""

from __future__ import annotations

import asyncio
import os
import select
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import psycopg

from nacre.daemon.nodes import tables
from nacre.daemon.nodes.tables import CHANNEL, LEASE, DatabaseConnection, reason_of
from nacre.daemon.nodes.values import NodeConnection, NodeIdentity, NodeState
from nacre.daemon.nodes.wakeup import Wakeup
from nacre.errors import StateError
from nacre.server.peer import Client, Log
from nacre.sftp.filesystems.quota.claim import since_start
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.daemon.control.roster import OwnRoster
    from nacre.daemon.nodes.ledgers import Lease, LedgerKeeper
    from nacre.daemon.store.postgres.store_url import StoreURL

EVERY = 3.0
"""Seconds between two renewals of the lease."""

PATIENCE = 20.0
"""Seconds that a login waits for a database that gives no answer."""

_MARGIN = 1.0
"""Seconds by which a process takes its lease for shorter than the database does: clocks differ."""

_GATHER = 0.2
"""Seconds in which changes are gathered that nobody waits for."""

_PAUSE = 0.5
"""Seconds from an attempt that fails to the next one."""

_STUCK = "3s"
"""The time after which the database ends a transaction whose process says nothing more, such as one
that was stopped: others wait for its locks, and their leases hold for ten seconds."""

_SWEEP = 60.0
"""Seconds between two looks for leases that have ended long ago."""

_LAST = 2.0
"""Seconds for the thread to give the lease up."""

_SHOWN = 256
"""Characters of a user's name, or of an address, in a row."""


class _Entry:
    """A connection that waits to be counted.

    :ivar most: how many connections the user may have.
    :ivar answer: whether it was let in.
    """

    def __init__(self, row: NodeConnection, most: int) -> None:
        self.row, self.most = row, most
        self.answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def settle(self, answer: bool) -> None:
        """Answer who waits, if somebody still does."""
        if not self.answer.done():
            self.answer.set_result(answer)

    def give_up(self) -> None:
        """Tell who waits, if somebody still does, that the client has left."""
        if not self.answer.done():
            self.answer.set_exception(StateError("the client has left"))


class _Begun:
    """What a lease that has begun tells, and on which loop."""

    def __init__(self, roster: OwnRoster, report: Log) -> None:
        self.roster, self.report = roster, report
        self.loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[None]] = set()


class NodeLease:
    """Keeps the lease of this process; see :mod:`nacre.daemon.nodes.lease`.

    :param node: the node that the process belongs to.
    :param ledgers: what keeps the ledgers which the nodes share; None where each has its own.
    """

    def __init__(
        self, url: StoreURL, node: NodeIdentity, ledgers: LedgerKeeper | None = None
    ) -> None:
        self.node = node
        self.ledgers = ledgers
        self._url = url
        self._state: NodeState = "serving"
        self._lock = threading.Lock()
        # What the rows are to be, those that may differ, and those that wait to be counted.
        self._all: dict[str, NodeConnection] = {}
        self._changed: set[str] = set()
        self._entering: dict[str, _Entry] = {}
        self._closed = False
        self._wakeup = Wakeup()
        self._thread: threading.Thread | None = None
        # These are the thread's own.
        self._number: int | None = None
        self._held: Lease | None = None
        self._said: NodeState | None = None
        self._renewed = self._swept = float("-inf")
        self._told: Mapping[str, str] = {}
        self._failed = False

    def begin(self, roster: OwnRoster, report: Log) -> None:
        """Take a lease, and keep it from now on, on the running loop.

        :param roster: the connections of this process.
        """
        self._begun = _Begun(roster, report)
        self._thread = threading.Thread(target=self._run, name="node-lease", daemon=True)
        self._thread.start()
        if self.ledgers is not None:
            self.ledgers.begin(self.held, self._on_no_ledgers)

    def held(self) -> Lease | None:
        """Return the lease; None before the first one. Any thread may call this."""
        return self._held

    # --- on the loop ---

    def note(self, client: Client, user: str, methods: Sequence[str]) -> None:
        """Note the connection of a user who may have any number of them, until its end."""
        row = self._row(client, user, methods)
        with self._lock:
            if row.id in self._all:
                return  # it was let in
            self._all[row.id] = row
            self._changed.add(row.id)
        self._wakeup.tell()
        self._leave_at_end(client, row.id)

    async def enter(self, client: Client, user: str, methods: Sequence[str], most: int) -> bool:
        """Count the connection of a user, until its end, unless that is more than ``most``.

        :returns: whether the connection was let in.
        :raises StateError: the database gives no answer, or the client has left; the caller is to
            end the connection.
        """
        entry = _Entry(self._row(client, user, methods), most)
        with self._lock:
            self._entering[entry.row.id] = entry
        self._wakeup.tell()
        self._leave_at_end(client, entry.row.id)
        try:
            async with asyncio.timeout(PATIENCE):
                return await entry.answer
        except TimeoutError:
            raise StateError("the store of all nodes gives no answer") from None

    def _row(self, client: Client, user: str, methods: Sequence[str]) -> NodeConnection:
        host, port = client.peer
        return NodeConnection(
            id=self._begun.roster.number_of(client),
            user=safe(user, _SHOWN),  # what the database can't have would hold up all rows
            peer=safe(f"{host}:{port}", _SHOWN),
            since=time.time(),
            methods=tuple(methods),
        )

    def _leave_at_end(self, client: Client, number: str) -> None:
        # A task of the connection is cancelled at its end, whatever that is.
        waiting = client.spawn(_until_cancelled())
        waiting.add_done_callback(lambda _: self._leave(number))

    def _leave(self, number: str) -> None:
        with self._lock:
            self._all.pop(number, None)
            entry = self._entering.pop(number, None)
            self._changed.add(number)
        if entry is not None:
            entry.give_up()
        self._wakeup.tell()

    def stop(self) -> None:
        """Tell the other nodes that this process takes no more clients."""
        self._state = "stopping"
        self._wakeup.tell()

    def close(self) -> None:
        """Give the lease up, if the database answers soon; a second call does nothing."""
        if self._closed:
            return
        if self.ledgers is not None:
            self.ledgers.close()
        self._closed = True
        self._wakeup.tell()
        if self._thread is not None:
            self._thread.join(_LAST)
        if self._thread is None or not self._thread.is_alive():
            self._wakeup.close()

    def _end(self, ends: Mapping[str, str]) -> None:
        """End connections, as another node wants."""
        task = self._begun.loop.create_task(self._end_all(ends))
        self._begun.tasks.add(task)
        task.add_done_callback(self._begun.tasks.discard)

    async def _end_all(self, ends: Mapping[str, str]) -> None:
        for reason in set(ends.values()):
            ids = {number for number, why in ends.items() if why == reason}
            await self._begun.roster.end(ids, None, reason)

    def _on_no_ledgers(self, error: str) -> None:
        self._call(self._tell_failure, error, "the quotas of all nodes can't be counted")

    def _tell_failure(
        self, error: str, what: str = "the other nodes can't be told of this one"
    ) -> None:
        self._begun.report({"event": "error", "what": what, "error": safe(error)})

    # --- in the thread ---

    def _run(self) -> None:
        while not self._closed:
            try:
                with self._url.connect(autocommit=True) as connection:
                    connection.add_notify_handler(lambda _: None)  # psycopg would keep them all
                    connection.execute(f"SET idle_in_transaction_session_timeout = '{_STUCK}'")
                    connection.execute(f"LISTEN {CHANNEL}")
                    while not self._closed:
                        self._exchange(connection)
                        self._wait(connection)
                    self._give_up(connection)
            except Exception as error:  # whatever it is, the thread goes on
                self._on_failure(error)

    def _on_failure(self, error: Exception) -> None:
        if not self._failed:
            self._call(self._tell_failure, reason_of(error))
            if not isinstance(error, psycopg.Error | OSError):
                traceback.print_exception(error)
        self._failed = True
        if not self._closed:
            time.sleep(_PAUSE)

    def _give_up(self, connection: DatabaseConnection) -> None:
        if self._number is not None:
            tables.leave(connection, self._number)

    def _wait(self, connection: DatabaseConnection) -> None:
        """Wait until there is something to do, or the lease is to be renewed."""
        began = time.monotonic()
        poll = select.poll()  # not select(), which takes no descriptor beyond 1023
        poll.register(self._wakeup, select.POLLIN)
        poll.register(connection.fileno(), select.POLLIN)
        while not self._closed:
            with self._lock:
                waits = bool(self._entering) or self._said != self._state
                changes = bool(self._changed)
            due = self._renewed + EVERY
            if changes:
                due = min(due, began + _GATHER)
            seconds = 0.0 if waits else max(0.0, due - time.monotonic())
            ready = {descriptor for descriptor, _ in poll.poll(seconds * 1000)}
            if self._wakeup.fileno() in ready:
                self._wakeup.clear()
            # What the database says is a notification, or its end.
            if waits or connection.fileno() in ready or time.monotonic() >= due:
                return

    def _exchange(self, connection: DatabaseConnection) -> None:
        """Write what has changed, renew the lease, and see what is to be ended."""
        began, state = time.monotonic(), self._state
        until = since_start() + int((LEASE - _MARGIN) * 1_000_000_000)
        changed: set[str] = set()
        try:
            with connection.transaction():
                number = self._held_lease(connection, state)
                with self._lock:
                    changed, self._changed = self._changed, set()
                    entering = dict(self._entering)
                    written = changed if number == self._number else self._all
                    rows = [self._all[one] for one in written if one in self._all]
                self._number = number
                # Whether the last transaction was kept is not known if the database went in it.
                tables.remove(connection, number, {*changed, *entering})
                tables.put(connection, number, rows)
                answers = self._judge(connection, number, entering)
        except BaseException:
            with self._lock:
                self._changed |= changed
            raise
        self._renewed, self._failed, self._said = began, False, state
        self._held = number, until
        self._let_in(entering, answers)
        self._hear(connection, number)
        if began - self._swept > _SWEEP:
            self._swept = began
            tables.sweep(connection, self.node)

    def _hear(self, connection: DatabaseConnection, number: int) -> None:
        """Have connections ended, as other nodes want."""
        ends = tables.endings(connection, number)
        new = {number: why for number, why in ends.items() if number not in self._told}
        self._told = ends
        if new:
            self._call(self._end, new)

    def _held_lease(self, connection: DatabaseConnection, state: NodeState) -> int:
        """Renew the lease, or take a new one; return its number."""
        connection.execute("SET LOCAL synchronous_commit = off")
        number = self._number
        if number is not None:
            if tables.renew(connection, number, state):
                return number
            self._hear(connection, number)  # it goes with the lease
        return tables.register(connection, self.node, os.getpid(), state, number)

    def _judge(
        self, connection: DatabaseConnection, number: int, entering: Mapping[str, _Entry]
    ) -> Mapping[str, bool]:
        """Count those that wait; return which of them are let in."""
        if not entering:
            return {}
        users = {one.row.user for one in entering.values()}
        tables.lock_users(connection, users)
        counts = Counter(tables.held(connection, users))
        answers = {}
        for name, one in entering.items():
            answers[name] = counts[one.row.user] < one.most
            counts[one.row.user] += answers[name]
        entered = [one.row for name, one in entering.items() if answers[name]]
        tables.put(connection, number, entered)
        return answers

    def _let_in(self, entering: Mapping[str, _Entry], answers: Mapping[str, bool]) -> None:
        for number, one in entering.items():
            with self._lock:
                # It may have given up meanwhile, and is removed again.
                if self._entering.pop(number, None) is one and answers[number]:
                    self._all[number] = one.row
            self._call(one.settle, answers[number])

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._begun.loop.call_soon_threadsafe(function, *arguments)


async def _until_cancelled() -> None:
    await asyncio.Event().wait()
