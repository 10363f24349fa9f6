"""The remote ends of one run of ``scp``: nacre's connections, or a program in place of ssh (-S)."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from nacre.cli.common.connect import NO_FILES, dial_and_log_in
from nacre.cli.common.log import Log
from nacre.cli.common.program import close_or_abort
from nacre.cli.common.transfer_options import OtherProgram
from nacre.client.configured import agent_path
from nacre.client.connection import Connection
from nacre.client.process import Process
from nacre.client.sftp import open_sftp
from nacre.client.target import Target
from nacre.config.client.config import ClientConfig
from nacre.config.client.files import Config
from nacre.errors import ConnectFailed, StreamClosed
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.client.options import SFTPOptions
from nacre.sftp.client.turns import Pace
from nacre.wire.codec import Buffer
from nacre.wire.text import safe


@dataclass(frozen=True, slots=True)
class End:
    """A source or the target of the copy.

    :ivar target: the host; None for a path of this machine.
    :ivar path: the path there.
    :ivar destination: the word of the command line.
    :ivar words: ``Keyword=Value`` texts for what else the word names, such as the user.
    """

    target: Target | None
    config: ClientConfig
    path: str
    destination: str
    words: tuple[str, ...] = ()


class Input(Protocol):
    """The standard input of a remote command."""

    async def write(self, data: Buffer) -> None:
        """Send ``data``.

        :raises StreamClosed: the command reads no more.
        """

    def write_eof(self) -> None:
        """End the input."""


class Output(Protocol):
    """An output of a remote command."""

    async def read(self, n: int = -1) -> bytes:
        """Return up to ``n`` bytes, all without ``n``; b"" at the end."""


class ProgramCommand:
    """A remote command that the program of ``-S`` runs. Its standard error is ours.

    :ivar stdin: its standard input: this object.
    :ivar stdout: its standard output.
    :ivar stderr: an empty stream.
    :ivar exit_signal: the signal that ended the program, without ``SIG``, or None.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.stdin = self
        self.stdout = process.stdout
        self.stderr = asyncio.StreamReader()
        self.stderr.feed_eof()
        self.exit_signal: str | None = None
        self._process = process
        self._input = process.stdin

    async def write(self, data: Buffer) -> None:
        """See :meth:`Input.write`."""
        try:
            self._input.write(bytes(data))
            await self._input.drain()
        except OSError as error:
            raise StreamClosed("the program has closed its input") from error

    def write_eof(self) -> None:
        """See :meth:`Input.write_eof`."""
        self._input.close()

    async def wait(self) -> int | None:
        """Return the exit status; None if a signal ended the program."""
        status = await self._process.wait()
        if status >= 0:
            return status
        self.exit_signal = signal.Signals(-status).name.removeprefix("SIG")
        return None

    def close(self) -> None:
        """End the program."""
        self._input.close()
        with suppress(ProcessLookupError):
            self._process.terminate()


RemoteCommand: TypeAlias = Process | ProgramCommand
"""A command that runs on a remote host."""


class Remotes:
    """The hosts of one run, each of which is reached once; :meth:`close` leaves all.

    :param server: ``-D``: a local program that serves SFTP, in place of every host; None for none.
    :param program: ``-S``: what runs commands on hosts, in place of nacre's own connections.
    :param options: those of SFTP sessions.
    :param rate: bytes per second of a session, or None.
    :param files: what configures jump hosts.
    :ivar reached: the host that was last connected to, or tried.
    """

    def __init__(
        self,
        log: Log,
        files: Config = NO_FILES,
        *,
        server: str | None,
        program: OtherProgram | None,
        options: SFTPOptions,
        rate: int | None,
    ) -> None:
        self.reached: Target | None = None
        self._log = log
        self._files = files
        self._server = server
        self._program = program
        self._options = options
        self._rate = rate
        self._connections: dict[Target, Connection] = {}
        self._clients: dict[Target | str, SFTPClient] = {}

    async def close(self) -> None:
        """Close all sessions and connections."""
        for client in self._clients.values():
            client.close()
            await client.wait_closed()
        for connection in self._connections.values():
            await close_or_abort(connection)

    async def sftp(self, end: End) -> SFTPClient:
        """Return the SFTP session of a host."""
        key = self._server or end.target
        assert key is not None
        client = self._clients.get(key)
        if client is None:
            client = self._clients[key] = await self._open(end)
            if self._rate is not None:
                client.session.turns.pace = Pace(self._rate)
        return client

    async def _open(self, end: End) -> SFTPClient:
        if (program := self._server or self._subsystem(end)) is not None:
            from nacre.cli.common.local_server import start_server

            return await start_server(program, **self._options)
        connection = await self._connection(end)
        return await open_sftp(
            connection.open_session(), peer=connection.peer_version, **self._options
        )

    def _subsystem(self, end: End) -> list[str] | None:
        if self._program is None:
            return None
        assert end.target is not None
        return self._program.line(end.target.name, end.words, "sftp", subsystem=True)

    @asynccontextmanager
    async def command(self, end: End, line: str) -> AsyncIterator[RemoteCommand]:
        """Run a command on a host, until the end of ``async with``.

        :raises ConnectFailed: the program of ``-S`` can't be run.
        """
        started = await self._start(end, line)
        try:
            yield started
        finally:
            started.close()

    async def _start(self, end: End, line: str) -> RemoteCommand:
        if self._program is None:
            return await (await self._connection(end)).process(line)
        assert end.target is not None
        words = self._program.line(end.target.name, end.words, line)
        try:
            process = await asyncio.create_subprocess_exec(
                *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
            )
        except OSError as error:
            raise ConnectFailed(f"can't run {safe(words[0])}: {error.strerror}") from error
        return ProgramCommand(process)

    async def _connection(self, end: End) -> Connection:
        assert end.target is not None
        self.reached = end.target
        connection = self._connections.get(end.target)
        if connection is None:
            connection = await dial_and_log_in(end.target, end.config, self._log, files=self._files)
            self._connections[end.target] = connection
            lent = agent_path(end.config.forward_agent or "none", end.target.tokens())
            if lent is not None:
                connection.forward_agent(lent)
        return connection


async def relay(one: RemoteCommand, other: RemoteCommand, block: int) -> None:
    """Pass what each of two commands prints to the other one, until both have ended.

    :raises NacreError: a connection was lost.
    """
    async with asyncio.TaskGroup() as group:
        group.create_task(_pass_on(one, other, block))
        group.create_task(_pass_on(other, one, block))


async def _pass_on(reading: RemoteCommand, writing: RemoteCommand, block: int) -> None:
    while data := await reading.stdout.read(block):
        # Of a command that has ended, the other one's output is still read: it must not block.
        with suppress(StreamClosed):
            await writing.stdin.write(data)
    with suppress(StreamClosed):
        writing.stdin.write_eof()
