"""What a server records of its sessions, and of what its connections do with files and forwards.

A command or a shell has a recording of its own. What a connection does with files, and where it
connects to, are events of one recording for the connection, which begins with the first of them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from weakref import WeakKeyDictionary

from nacre.daemon.recording.frames import FrameKind
from nacre.daemon.recording.recording import Recording
from nacre.errors import ConnectionLost, DisconnectCode, NacreError, StateError
from nacre.server.peer import Client, Log, ServerConnection
from nacre.server.session import Session
from nacre.wire.text import safe

NO, INPUT = "no", "input"
"""What is recorded of a user, where that is not the usual: nothing; or what the client sends, too.
:data:`nacre.daemon.store.values.RECORDS` has them all."""

EVENTS = frozenset({"file", "lost", "refused", "sftp", "forward"})
"""The records of the log that are events of a recording."""

MOST_COMMAND = 16 * 1024
"""Characters of a command line in a header."""

_TOO_LATE = 10.0
"""Seconds that the recordings of connections have to end."""

Opener = Callable[[Client], Awaitable[socket.socket]]
"""Returns a socket to the recorder for a session of a client; raises StateError."""


class Recordings:
    """The recordings of a server.

    :param opener: returns sockets to the recorder.
    """

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._attended: WeakKeyDictionary[Client, asyncio.Task[Recording]] = WeakKeyDictionary()
        self._going_on: set[Recording] = set()
        self._ending: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def of_session(self, session: Session, what: str) -> AsyncIterator[Recording]:
        """Record a command or a shell; its end is recorded by the caller.

        :raises StateError: the recorder does not record it.
        """
        sock = await self._opener(session.connection)
        recording = Recording(sock, takes_input=what == INPUT)
        try:
            await recording.open(_told(session))
            yield recording
        except asyncio.CancelledError:
            recording.leave()
            raise
        finally:
            recording.close()

    async def attend(self, connection: Client) -> None:
        """Record what a connection does with files and forwards from now on.

        :raises StateError: the recorder does not record it.
        """
        assert isinstance(connection, ServerConnection)
        begun = self._attended.get(connection)
        if begun is None:
            begun = asyncio.get_running_loop().create_task(self._attend(connection))
            self._attended[connection] = begun
        try:
            recording = await asyncio.shield(begun)
        except StateError:
            self._attended.pop(connection, None)  # the next one may have better luck
            raise
        if recording.lost is not None:
            raise StateError(recording.lost)

    async def _attend(self, connection: ServerConnection) -> Recording:
        recording = Recording(await self._opener(connection))
        try:
            await recording.open({"kind": "connection"})
        except BaseException:
            recording.close()
            raise

        def lost(reason: str) -> None:
            self._going_on.discard(recording)
            connection.record("error", what="a connection can't be recorded", error=reason)
            error = ConnectionLost(reason)
            with suppress(NacreError):
                connection.fail(error, DisconnectCode.BY_APPLICATION, "it can't be recorded")

        recording.on_lost = lost
        connection.filter_log(lambda log: EventLog(log, recording))
        self._going_on.add(recording)
        # It is cancelled when the connection ends.
        connection.spawn(_for_ever()).add_done_callback(lambda _: self._begin_end(recording))
        return recording

    def _begin_end(self, recording: Recording) -> None:
        with suppress(RuntimeError):  # the loop is closed
            task = asyncio.get_running_loop().create_task(self._end(recording))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _end(self, recording: Recording) -> None:
        self._going_on.discard(recording)
        recording.on_lost = None
        with suppress(StateError, TimeoutError):
            async with asyncio.timeout(_TOO_LATE):
                await recording.end(0)
        recording.close()

    async def end(self) -> None:
        """End the recordings of all connections, which are closed."""
        for recording in list(self._going_on):
            await self._end(recording)
        if self._ending:
            await asyncio.wait(self._ending)


async def _for_ever() -> None:
    await asyncio.Event().wait()


class EventLog:
    """A log whose records are events of a recording, too.

    :ivar detailed: it takes a record of each operation on files.
    """

    detailed = True

    def __init__(self, log: Log, recording: Recording) -> None:
        self._log = log
        self._recording = recording

    @property
    def trail(self) -> object:
        """Where operations that must be kept go to, as the log says (``Client.trail``)."""
        return getattr(self._log, "trail", None)

    def __call__(self, record: Mapping[str, object]) -> None:
        """Record what is an event of a recording, and log it."""
        if record["event"] in EVENTS and self._recording.lost is None:
            told = {key: one for key, one in record.items() if key not in ("peer", "user")}
            self._recording.note(FrameKind.EVENT, told)
        self._log(record)


def _told(session: Session) -> dict[str, object]:
    """Return what the recorder is told of a session."""
    found: dict[str, object] = {"kind": "shell"}
    if session.subsystem is not None:
        found = {"kind": "subsystem", "subsystem": safe(session.subsystem)}
    elif session.command is not None:
        command = session.command.decode("utf-8", "replace")
        found = {"kind": "command", "command": command[:MOST_COMMAND]}
    terminal = session.terminal
    if terminal is not None and session.subsystem is None:
        found |= {"term": safe(terminal.term, 64), "terminal": True}
        found |= {"columns": terminal.columns, "rows": terminal.rows}
    return found
