"""``scp`` as a program: the way each source is copied, over SFTP or the scp protocol."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from nacre.cli.common.connect import NO_FILES
from nacre.cli.common.failures import reason
from nacre.cli.common.log import Log
from nacre.cli.common.meter import Meter
from nacre.cli.common.transfer_options import OtherProgram
from nacre.cli.scp.legacy import BLOCK, How, Receiver, Sender
from nacre.cli.scp.remotes import End, RemoteCommand, Remotes, relay
from nacre.client.target import Target
from nacre.config.client.files import Config
from nacre.errors import NacreError, RemoteProtocolError, SFTPError
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.client.copies import TransferOptions
from nacre.sftp.client.disk import Disk
from nacre.sftp.client.options import SFTPOptions
from nacre.sftp.protocol.paths import last_name
from nacre.wire.text import safe


@dataclass(frozen=True, slots=True, kw_only=True)
class ScpSettings:
    """The command line's options.

    :ivar legacy: ``-O``: the scp protocol, not SFTP.
    :ivar direct: ``-R``: from one remote host straight to the other.
    :ivar rate: bytes per second, or None.
    :ivar server: ``-D``: a local program that serves SFTP, in place of every host.
    :ivar program: ``-S``: what runs commands on hosts, in place of nacre's own connections.
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
    program: OtherProgram | None
    words: tuple[str, ...]
    options: SFTPOptions


class CopyFailed(Exception):
    """A source can't be copied; the text is the message to print."""


class Copying:
    """One run: :meth:`run` copies, :meth:`close` ends all connections.

    :param files: what configures jump hosts.
    :ivar failures: how many messages :meth:`complain` has printed.
    """

    def __init__(self, settings: ScpSettings, log: Log, files: Config = NO_FILES) -> None:
        self._settings = settings
        self._remotes = Remotes(
            log,
            files,
            server=settings.server,
            program=settings.program,
            options=settings.options,
            rate=settings.rate,
        )
        self._meter = Meter(enabled=not settings.quiet)
        self._disk: Disk | None = None
        self.failures = 0

    @property
    def reached(self) -> Target | None:
        """The host that was last connected to, or tried."""
        return self._remotes.reached

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
        await self._remotes.close()
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
            _check_directory(target.path, several)
            await self._copy_here(source.path, target.path)

    async def _copy_here(self, source: str, target: str) -> None:
        """Copy on this machine, by cp(1)."""
        flags = _given({"-r": self._settings.recursive, "-p": self._settings.preserve})
        process = await asyncio.create_subprocess_exec("cp", *flags, "--", source, target)
        if await process.wait() != 0:
            self.failures += 1  # cp has said why

    # --- over SFTP ---

    async def _get(self, source: End, target: End, *, several: bool) -> None:
        client = await self._remotes.sftp(source)
        path = await _expanded(client, source.path)
        _check_directory(target.path, several)
        found = await _matching(client, path)
        await client.get(found, target.path, **self._options())

    async def _put(self, source: End, target: End, *, several: bool) -> None:
        client = await self._remotes.sftp(target)
        path = await _expanded(client, target.path)
        if not _is_there(source.path):
            raise CopyFailed(f'stat local "{safe(source.path)}": No such file or directory')
        if several and not await client.isdir(path):
            raise CopyFailed(f'"{safe(path)}": Not a directory')
        options = self._options()
        options["in_place"] = True
        await client.put(_named(source.path), path, **options)

    async def _through(self, source: End, target: End, *, several: bool) -> None:
        if self._settings.legacy:
            await self._relay_legacy(source, target, several=several)
            return
        reading, writing = await self._remotes.sftp(source), await self._remotes.sftp(target)
        path = await _expanded(writing, target.path)
        found = await _matching(reading, await _expanded(reading, source.path))
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
        async with self._remotes.command(target, self._command(*options)) as process:
            await Sender(process, self._files(), self._how()).run([_named(source.path)])
            await self._ended(process)

    async def _receive_legacy(self, source: End, target: End, *, several: bool) -> None:
        _check_directory(target.path, several)
        into = _is_directory(target.path)
        command = self._command("-f", "--", source.path or ".")
        async with self._remotes.command(source, command) as process:
            receiver = Receiver(process, self._files(), [source.path or "."], self._how())
            await receiver.run(target.path, into=into)
            process.stdin.write_eof()
            await self._ended(process)

    async def _relay_legacy(self, source: End, target: End, *, several: bool) -> None:
        options = [*_given({"-d": several}), "-t", "--", target.path or "."]
        async with (
            self._remotes.command(target, self._command(*options)) as sink,
            self._remotes.command(source, self._command("-f", "--", source.path or ".")) as from_,
        ):
            await relay(from_, sink, BLOCK)
            await self._ended(from_)
            await self._ended(sink)

    async def _ended(self, process: RemoteCommand) -> None:
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
        async with self._remotes.command(source, " ".join(words)) as process:
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


async def _matching(client: SFTPClient, pattern: str) -> list[str]:
    """Return the remote files that match; a pattern that is a file's own name counts as that."""
    found = await client.glob(pattern)
    if not found and await client.exists(pattern):
        return [pattern]
    if not found:
        raise CopyFailed(f"{safe(pattern)}: No such file or directory")
    return found


async def _expanded(client: SFTPClient, path: str) -> str:
    """Return a remote path, in which the server expands ``~``; empty is the start directory."""
    if path.startswith("~"):
        return await client.expanduser(path)
    return path or "."
