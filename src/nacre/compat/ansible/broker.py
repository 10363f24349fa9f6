"""The broker: a process that keeps the connections of Ansible's tasks.

It serves those who reach its socket, which is in a directory of its account. It ends when nobody
has asked it for some time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

from nacre.agent.client import Agent
from nacre.client.connect import connect
from nacre.client.connection import Connection
from nacre.client.process import Process
from nacre.compat.ansible.asking import CONNECTION, FILE, LOGIN
from nacre.compat.ansible.frames import HEAD, BrokerFrame, frame, head
from nacre.config.client.config import ClientConfig
from nacre.config.client.files import Config
from nacre.errors import (
    AuthenticationFailed,
    NacreError,
    PassphraseRequired,
    SFTPError,
    StreamClosed,
)

_CHUNK = 256 << 10
_GOODBYE = 2.0

_REACHED = 0.25
"""Seconds that a broker waits at least: the request of who has started it is yet to be accepted."""


_SESSIONS = 10
"""Requests at a time on one connection: sshd's MaxSessions, of which each has one, by default."""


class _KeptConnection:
    """A connection that is kept, or is being made.

    :ivar failures: how many logins have failed, and ``error`` the last one's.
    :ivar users: how many requests use it.
    :ivar timer: closes it; None while it is used.
    """

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.connection: Connection | None = None
        self.failures = 0
        self.error: NacreError | None = None
        self.users = 0
        self.timer: asyncio.TimerHandle | None = None


class Broker:
    """The connections, by how they log in.

    :param unused: seconds after which a connection ends that is not used, and the broker if nobody
        has asked for anything.
    """

    def __init__(self, unused: float) -> None:
        self._unused = unused
        self._kept: dict[str, list[_KeptConnection]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaving: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    async def serve(self, listening: socket.socket, path: str) -> None:
        """Answer until it was not used for so long."""
        self._rest()
        server = await asyncio.start_unix_server(self._accept, sock=listening)
        try:
            await self._idle.wait()
        finally:
            # First of all, so that whoever does not find it starts another one.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for kept in [one for some in self._kept.values() for one in some]:
                self._part(kept)
            await asyncio.gather(*self._leaving)

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if not self._tasks:
            seconds = max(self._unused, _REACHED)
            self._timer = asyncio.get_running_loop().call_later(seconds, self._idle.set)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._idle.is_set():
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        self._rest()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._rest()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            kind, data = await _read(reader)
            if kind is not BrokerFrame.REQUEST:
                return
            writer.write(frame(BrokerFrame.TAKEN))
            try:
                found = await self._answer(json.loads(data), reader, writer)
            except NacreError as error:
                found = {"kind": _kind(error), "error": str(error)}
            except OSError as error:
                found = {"kind": FILE, "error": str(error)}
            except asyncio.IncompleteReadError:
                raise
            except Exception as error:
                found = {"kind": CONNECTION, "error": f"internal error: {error!r}"}
            writer.write(frame(BrokerFrame.DONE, json.dumps(found).encode()))
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, ValueError):
            pass  # the task has gone
        finally:
            writer.close()

    async def _answer(
        self,
        request: Mapping[str, Any],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> dict[str, Any]:
        login = request["login"]
        if request.get("reset"):
            await asyncio.gather(*map(self._leave, self._kept.pop(_name(login), ())))
            return {"exit_status": 0}
        async with self._connection(login) as connection:
            if "command" in request:
                process = await connection.process(request["command"], term=request.get("term"))
                return {"exit_status": await _run(process, reader, writer)}
            await _while_there(_copy(connection, request["copy"], *request["paths"]), reader)
            return {"exit_status": 0}

    @asynccontextmanager
    async def _connection(self, login: Mapping[str, Any]) -> AsyncIterator[Connection]:
        """Give the connection of a login, a new one if it has ended.

        What fails with it may have begun, so it is not tried again.
        """
        name = _name(login)
        some = self._kept.setdefault(name, [])
        kept = next((one for one in some if one.users < _SESSIONS), None)
        if kept is None:
            some.append(kept := _KeptConnection())
        kept.users += 1
        if kept.timer is not None:
            kept.timer.cancel()
        try:
            yield await self._logged_in(kept, login)
        finally:
            kept.users -= 1
            if not kept.users:
                self._let_go(name, kept)

    async def _logged_in(self, kept: _KeptConnection, login: Mapping[str, Any]) -> Connection:
        before = kept.failures
        async with kept.turn:
            if kept.connection is not None and not kept.connection.closed:
                return kept.connection
            if kept.error is not None and kept.failures != before:
                # It was waited for, and would fail again: after as long, or by one more password.
                raise kept.error.with_traceback(None)
            try:
                kept.connection = await _connect(login)
            except NacreError as error:
                kept.failures, kept.error = kept.failures + 1, error
                raise
            return kept.connection

    def _let_go(self, name: str, kept: _KeptConnection) -> None:
        """Close a connection that nobody uses: later, unless it has ended or was reset."""
        some = self._kept.get(name, [])

        def end() -> None:
            if kept in some:
                some.remove(kept)
            if not some and self._kept.get(name) is some:
                del self._kept[name]
            self._part(kept)

        ended = kept.connection is None or kept.connection.closed
        if ended or kept not in some:
            end()
        else:
            kept.timer = asyncio.get_running_loop().call_later(self._unused, end)

    def _part(self, kept: _KeptConnection) -> None:
        if kept.timer is not None:
            kept.timer.cancel()
        task = asyncio.create_task(self._leave(kept))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _leave(self, kept: _KeptConnection) -> None:
        if kept.connection is not None:
            with contextlib.suppress(TimeoutError, NacreError):
                async with asyncio.timeout(_GOODBYE):
                    await kept.connection.close()
            kept.connection.abort()


def _name(login: Mapping[str, Any]) -> str:
    return json.dumps(login, sort_keys=True)


async def _connect(login: Mapping[str, Any]) -> Connection:
    options: dict[str, Any] = {
        name: login[name] for name in ("user", "password", "timeout") if login.get(name) is not None
    }
    if login.get("key") is not None:
        options["keys"] = [login["key"]]
    config = Config.load(login.get("config"), login["keywords"])
    if login.get("agent") and await asyncio.to_thread(_names_no_agent, config, login):
        options["agent"] = Agent(login["agent"])
    return await connect(login["host"], login.get("port"), config=config, **options)


def _names_no_agent(config: Config, login: Mapping[str, Any]) -> bool:
    """Tell whether the agent is that of SSH_AUTH_SOCK, and not one that IdentityAgent names."""
    given = {"User": login.get("user"), "Port": login.get("port")}
    options = [f"{name}={text}" for name, text in given.items() if text is not None]
    found = config.lookup(login["host"], options)
    return found.identity_agent == ClientConfig().identity_agent


_KINDS: tuple[tuple[type[NacreError], str], ...] = (
    (AuthenticationFailed, LOGIN),
    (PassphraseRequired, LOGIN),
    (SFTPError, FILE),
    (NacreError, CONNECTION),
)
"""What has failed, by the error. The first row that fits counts."""


def _kind(error: NacreError) -> str:
    return next(kind for type, kind in _KINDS if isinstance(error, type))


async def _copy(connection: Connection, copy: str, ours: str, theirs: str) -> None:
    async with connection.sftp() as sftp:
        if copy == "put":
            await sftp.put(ours, theirs)
        else:
            await sftp.get(theirs, ours)


async def _end_of(reader: asyncio.StreamReader) -> None:
    while await reader.read(_CHUNK):
        pass
    raise asyncio.IncompleteReadError(b"", None)


async def _while_there(work: Coroutine[Any, Any, None], reader: asyncio.StreamReader) -> None:
    """Do what a task has asked for, which has nothing more to say, until the task has gone.

    :raises asyncio.IncompleteReadError: it has.
    """
    doing, leaving = asyncio.create_task(work), asyncio.create_task(_end_of(reader))
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        await (doing if doing.done() else leaving)
    finally:
        for one in (doing, leaving):
            one.cancel()
        await asyncio.gather(doing, leaving, return_exceptions=True)


async def _run(
    process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> int | None:
    """Join a process to a task; return its exit status."""

    async def show(kind: BrokerFrame, read: Callable[[int], Awaitable[bytes]]) -> None:
        while data := await read(_CHUNK):
            writer.write(frame(kind, data))
            await writer.drain()

    async def show_both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(show(BrokerFrame.OUTPUT, process.stdout.read))
            group.create_task(show(BrokerFrame.ERRORS, process.stderr.read))

    feeding = asyncio.create_task(_feed(process, reader))
    showing = asyncio.create_task(show_both())
    try:
        await asyncio.wait({feeding, showing}, return_when=asyncio.FIRST_COMPLETED)
        if feeding.done() and feeding.exception() is not None:
            await feeding  # the task has gone
        try:
            await showing
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return await process.wait()
    finally:
        for task in (feeding, showing):
            task.cancel()
        await asyncio.gather(feeding, showing, return_exceptions=True)
        process.close()


async def _feed(process: Process, reader: asyncio.StreamReader) -> None:
    """Pass standard input on, and notice when the task has gone."""
    while True:
        kind, data = await _read(reader)
        with contextlib.suppress(StreamClosed):
            if kind is BrokerFrame.INPUT:
                await process.stdin.write(data)
            else:
                process.stdin.write_eof()


async def _read(reader: asyncio.StreamReader) -> tuple[BrokerFrame, bytes]:
    kind, size = head(await reader.readexactly(HEAD.size))
    return kind, await reader.readexactly(size)


def main(descriptor: int, path: str, unused: float) -> None:
    """Run as the broker.

    :param descriptor: of the listening socket.
    :param path: its path.
    """
    # Each login says which agent it has.
    os.environ.pop("SSH_AUTH_SOCK", None)
    listening = socket.socket(fileno=descriptor)
    asyncio.run(Broker(unused).serve(listening, path))
