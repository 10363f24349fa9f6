"""``scp`` as a program: the way each source is copied, over SFTP or the scp protocol."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from nacre.cli.common.connect import NO_FILES, dial_and_log_in
from nacre.cli.common.failures import reason
from nacre.cli.common.log import Log
from nacre.cli.common.meter import Meter
from nacre.cli.common.program import close_or_abort
from nacre.cli.scp.legacy import How, Receiver, Sender
from nacre.client.connection import Connection
from nacre.client.process import Process
from nacre.client.sftp import open_sftp
from nacre.client.target import Target
from nacre.config.client.config import ClientConfig
from nacre.config.client.files import Config
from nacre.errors import NacreError, RemoteProtocolError, SFTPError
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.client.copies import TransferOptions
from nacre.sftp.client.disk import Disk
from nacre.sftp.client.options import SFTPOptions
from nacre.sftp.client.turns import Pace
from nacre.sftp.protocol.paths import last_name
from nacre.wire.text import safe


@dataclass(frozen=True, slots=True)
class End:
    """A source or the target of the copy.

    :ivar target: the host; None for a path of this machine.
    :ivar path: the path there.
    :ivar destination: the word of the command line.
    """

    target: Target | None
    config: ClientConfig
    path: str
    destination: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScpSettings:
    """The command line's options.

    :ivar legacy: ``-O``: the scp protocol, not SFTP.
    :ivar direct: ``-R``: from one remote host straight to the other.
    :ivar rate: bytes per second, or None.
    :ivar server: ``-D``: a local program that serves SFTP, in place of every host.
    :ivar words: options to pass to the remote ``scp`` of ``-R``.
    :ivar options: those of SFTP sessions.
    """

    recursive: bool
    preserve: bool
    quiet: bool
    legacy: bool
    direct: bool
    rate: int | None
    server: str | None
    words: tuple[str, ...]
    options: SFTPOptions


class CopyFailed(Exception):
    """A source can't be copied; the text is the message to print."""


class Copying:
    """One run: :meth:`run` copies, :meth:`close` ends all connections.

    :param files: what configures jump hosts.
    :ivar failures: how many messages :meth:`complain` has printed.
    :ivar reached: the host that was last connected to, or tried.
    """

    def __init__(self, settings: ScpSettings, log: Log, files: Config = NO_FILES) -> None:
        self._settings = settings
        self._log = log
        self._configs = files
        self._meter = Meter(enabled=not settings.quiet)
        self._connections: dict[Target, Connection] = {}
        self._clients: dict[Target | str, SFTPClient] = {}
        self._disk: Disk | None = None
        self.failures = 0
        self.reached: Target | None = None

    def complain(self, text: str) -> None:
        """Print why a file was not copied."""
        self.failures += 1
        self._meter.clear()
        print(text, file=sys.stderr, flush=True)

    async def run(self, sources: Sequence[End], target: End) -> int:
        """Copy the sources one after another; return the exit status."""
        for source in sources:
            try:
                await self._copy(source, target, several=len(sources) > 1)
            except (RemoteProtocolError, CopyFailed) as error:
                self.complain(f"scp: {error}")
            except OSError as error:
                if isinstance(error, NacreError) and not isinstance(error, SFTPError):
                    raise
                self.complain(f"scp: {safe(str(error.filename or source.path))}: {reason(error)}")
        return 1 if self.failures else 0

    async def close(self) -> None:
        """Close all sessions and connections."""
        for client in self._clients.values():
            client.close()
            await client.wait_closed()
        for connection in self._connections.values():
            await close_or_abort(connection)
        if self._disk is not None:
            self._disk.close()

    async def _copy(self, source: End, target: End, *, several: bool) -> None:
        there, here = target.target, source.target
        if here is not None and there is not None:
            if self._settings.direct:
                await self._direct(source, target)
            else:
                await self._through(source, target, several=several)
        elif there is not None:
            if self._settings.legacy:
                await self._send_legacy(source, target, several=several)
            else:
                await self._put(source, target, several=several)
        elif here is not None:
            if self._settings.legacy:
                await self._receive_legacy(source, target, several=several)
            else:
                await self._get(source, target, several=several)
        else:
            raise CopyFailed(
                "neither source nor target is remote: use cp, or name a host, host:path"
            )

    # --- over SFTP ---

    async def _get(self, source: End, target: End, *, several: bool) -> None:
        client = await self._sftp(source)
        path = await _expanded(client, source.path)
        _check_directory(target.path, several)
        found = await client.glob(path)
        if not found:
            raise CopyFailed(f"{safe(path)}: No such file or directory")
        await client.get(found, target.path, **self._options())

    async def _put(self, source: End, target: End, *, several: bool) -> None:
        client = await self._sftp(target)
        path = await _expanded(client, target.path)
        if not _is_there(source.path):
            raise CopyFailed(f'stat local "{safe(source.path)}": No such file or directory')
        if several and not await client.isdir(path):
            raise CopyFailed(f'"{safe(path)}": Not a directory')
        await client.put(_named(source.path), path, **self._options())

    async def _through(self, source: End, target: End, *, several: bool) -> None:
        if self._settings.legacy:
            raise CopyFailed(
                "between two hosts the scp protocol is used with -R only: add -R, or leave -O out"
            )
        reading, writing = await self._sftp(source), await self._sftp(target)
        path = await _expanded(writing, target.path)
        found = await reading.glob(await _expanded(reading, source.path))
        if not found:
            raise CopyFailed(f"{safe(source.path)}: No such file or directory")
        if several and not await writing.isdir(path):
            raise CopyFailed(f'"{safe(path)}": Not a directory')
        await reading.copy(found, path, writing, **self._options())

    def _options(self) -> TransferOptions:
        settings = self._settings
        return TransferOptions(
            recursive=settings.recursive,
            preserve=settings.preserve,
            progress=self._meter.update if self._meter.enabled else None,
            on_error=self._report,
            on_skip=lambda path: self.complain(f"scp: {safe(path)}: not a regular file"),
        )

    def _report(self, error: OSError) -> None:
        path = safe(str(error.filename or ""))
        if isinstance(error, IsADirectoryError):
            self.complain(f"scp: {path}: not a regular file")
        else:
            where = "remote" if isinstance(error, SFTPError) else "local"
            self.complain(f'scp: {where} open "{path}": {reason(error)}')

    async def _sftp(self, end: End) -> SFTPClient:
        key = self._settings.server or end.target
        assert key is not None
        client = self._clients.get(key)
        if client is None:
            if self._settings.server is not None:
                from nacre.cli.common.local_server import start_server

                client = await start_server(self._settings.server, **self._settings.options)
            else:
                connection = await self._connection(end)
                client = await open_sftp(
                    connection.open_session(),
                    peer=connection.peer_version,
                    **self._settings.options,
                )
            if self._settings.rate is not None:
                client.session.turns.pace = Pace(self._settings.rate)
            self._clients[key] = client
        return client

    async def _connection(self, end: End) -> Connection:
        assert end.target is not None
        self.reached = end.target
        connection = self._connections.get(end.target)
        if connection is None:
            connection = await dial_and_log_in(
                end.target, end.config, self._log, files=self._configs
            )
            self._connections[end.target] = connection
        return connection

    # --- over scp's own protocol ---

    def _command(self, *options: str) -> str:
        settings = self._settings
        flags = _given({"-r": settings.recursive, "-p": settings.preserve})
        return " ".join(["scp", *flags, *options])

    def _how(self) -> How:
        progress = self._meter.update if self._meter.enabled else None
        return How(
            self._settings.recursive, self._settings.preserve, progress, self._complain_legacy
        )

    def _complain_legacy(self, text: str) -> None:
        # A remote scp's message has the prefix already.
        self.complain(f"scp: {text.removeprefix('scp: ')}")

    def _files(self) -> Disk:
        if self._disk is None:
            self._disk = Disk()
        return self._disk

    async def _send_legacy(self, source: End, target: End, *, several: bool) -> None:
        # The path is not quoted: in this protocol the remote shell expands it.
        options = [*_given({"-d": several}), "-t", "--", target.path or "."]
        async with (await self._connection(target)).process(self._command(*options)) as process:
            await Sender(process, self._files(), self._how()).run([_named(source.path)])
            await self._ended(process)

    async def _receive_legacy(self, source: End, target: End, *, several: bool) -> None:
        _check_directory(target.path, several)
        into = _is_directory(target.path)
        command = self._command("-f", "--", source.path or ".")
        async with (await self._connection(source)).process(command) as process:
            receiver = Receiver(process, self._files(), [source.path or "."], self._how())
            await receiver.run(target.path, into=into)
            process.stdin.write_eof()
            await self._ended(process)

    async def _ended(self, process: Process) -> None:
        printed = (await process.stderr.read()).strip()
        status = await process.wait()
        how = f"signal {process.exit_signal}" if status is None else f"status {status}"
        if (status or process.exit_signal) and not self.failures:
            self.complain(safe(printed, keep="\n") or f"scp: the remote scp ended with {how}")

    async def _direct(self, source: End, target: End) -> None:
        settings = self._settings
        flags = _given({"-q": settings.quiet, "-O": settings.legacy})
        words = [self._command(*flags, *settings.words, "--"), source.path or "."]
        words.append(shlex.quote(target.destination))
        async with (await self._connection(source)).process(" ".join(words)) as process:
            process.stdin.write_eof()
            printed = await process.stderr.read()
            status = await process.wait()
        if printed:
            print(safe(printed, keep="\n").rstrip(), file=sys.stderr)
        if status != 0:
            # Without a status, nothing says that the copy is whole.
            self.failures += 1


def _given(flags: dict[str, bool]) -> list[str]:
    return [flag for flag, given in flags.items() if given]


def _named(path: str) -> str:
    """Return a path whose last part is a name, which the copy gets."""
    name = last_name(path)
    return os.path.realpath(path) if name in ("", ".", "..") else path.rstrip("/") or path


def _is_there(path: str) -> bool:
    return os.path.lexists(path)


def _is_directory(path: str) -> bool:
    return os.path.isdir(path)


def _check_directory(path: str, several: bool) -> None:
    """Check that several sources have a directory to go to."""
    if several and not _is_directory(path):
        raise CopyFailed(f"{safe(path)}: Not a directory")


async def _expanded(client: SFTPClient, path: str) -> str:
    """Return a remote path, in which the server expands ``~``; empty is the start directory."""
    if path.startswith("~"):
        return await client.expanduser(path)
    return path or "."
