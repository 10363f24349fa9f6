"""``sftp`` as a program: the connection in a loop's thread, the commands in the main thread.

Signals reach the main thread only. So it reads the terminal and waits for the loop: Ctrl-C cancels
the command that runs, and the session stays open for the next one.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TextIO

from nacre.aio.background import Background
from nacre.cli.common.connect import NO_FILES, dial_and_log_in
from nacre.cli.common.failures import reason
from nacre.cli.common.log import Log
from nacre.cli.common.meter import Meter
from nacre.cli.common.modes import LineEditing
from nacre.cli.common.program import close_or_abort
from nacre.cli.sftp.dispatch import run_line
from nacre.cli.sftp.lines import BadLine
from nacre.cli.sftp.shell import CommandFailed, Quit, SFTPShell, ShellSettings
from nacre.cli.sftp.transfers import fetch
from nacre.client.connection import Connection
from nacre.client.sftp import open_sftp
from nacre.client.target import Target
from nacre.config.client.config import ClientConfig
from nacre.config.client.files import Config
from nacre.errors import NacreError, SFTPError
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.client.options import SFTPOptions
from nacre.sftp.client.turns import Pace
from nacre.wire.text import safe

PROMPT = "sftp> "
_HISTORY = "~/.nacre_sftp_history"
_HISTORY_LINES = 1000


class RemoteHost:
    """The connection and the SFTP session of one run; :meth:`close` ends both."""

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._sftp: SFTPClient | None = None

    async def open(
        self,
        target: Target,
        config: ClientConfig,
        log: Log,
        files: Config = NO_FILES,
        *,
        subsystem: str,
        rate: int | None,
        options: SFTPOptions,
    ) -> SFTPClient:
        """Log in and start the session.

        :param files: what configures jump hosts.
        :param subsystem: its name, or the path of a server program on the host.
        :param rate: bytes per second, or None.
        :param options: those of the SFTP session.
        :raises NacreError: the login fails, or the server does not start SFTP.
        """
        self._connection = await dial_and_log_in(target, config, log, files=files)
        server = subsystem.encode() if "/" in subsystem else None
        sftp = await open_sftp(
            self._connection.open_session(),
            server,
            subsystem=subsystem,
            peer=self._connection.peer_version,
            **options,
        )
        return self._begun(sftp, rate)

    async def open_local(
        self, command: str | Sequence[str], rate: int | None, options: SFTPOptions
    ) -> SFTPClient:
        """Start the session with a program of this machine; there is no connection.

        :param command: its words, or a text that is split as by a shell.
        """
        from nacre.cli.common.local_server import start_server

        return self._begun(await start_server(command, **options), rate)

    def _begun(self, sftp: SFTPClient, rate: int | None) -> SFTPClient:
        if rate is not None:
            sftp.session.turns.pace = Pace(rate)
        self._sftp = sftp
        return sftp

    async def close(self) -> None:
        """End the session, then the connection."""
        if self._sftp is not None:
            self._sftp.close()
            with contextlib.suppress(NacreError):
                await self._sftp.wait_closed()
        if self._connection is not None:
            await close_or_abort(self._connection)


class SFTPProgram:
    """Runs commands on a session: from a file, from the prompt, or from the command line's path.

    :param batch: whether the first command that fails ends it, with status 1.
    """

    def __init__(
        self, loop: Background, sftp: SFTPClient, settings: ShellSettings, *, batch: bool
    ) -> None:
        self._loop = loop
        self._sftp = sftp
        self._batch = batch
        self._meter = Meter(enabled=not settings.quiet)
        home = loop.call(lambda: _start_directory(sftp))
        self._shell = SFTPShell(sftp, home, settings, self._meter)

    def start_at(self, path: str, local: str | None) -> bool | None:
        """Change to the path of the command line, or download it if it is a file.

        :returns: None after a change of directory: commands follow. Otherwise whether all files
            were downloaded: the run is over.
        """
        if self._loop.call(lambda: self._sftp.isdir(path)):
            self._shell.inform(f"Changing to: {safe(path)}")
            self._loop.call(lambda: self._sftp.chdir(path))
            return None
        return self._download(path, local)

    def _download(self, path: str, local: str | None) -> bool:
        try:
            self._loop.call(lambda: fetch(self._shell, [path], local))
        except (CommandFailed, BadLine) as error:
            self._shell.complain(str(error))
        except OSError as error:
            self._shell.check_alive(error)
            self._shell.complain(f"{safe(str(error.filename or path))}: {reason(error)}")
        return not self._shell.failures

    def run_lines(self, lines: TextIO) -> int:
        """Run the commands of a file, and print each line first; return the exit status."""
        for line in lines:
            text = line.rstrip("\n")
            command, ignore, silent = _prefixes(text)
            if not silent:
                print(f"{PROMPT}{text}", flush=True)
            try:
                worked = self._run(command)
            except Quit:
                break
            if not worked and not ignore and self._batch:
                return 1
        return 0

    def interact(self) -> int:
        """Run the commands that are typed at the prompt; return the exit status."""
        from nacre.cli.sftp.completion import Completer

        completer = Completer(self._sftp, self._loop.call)
        with completer.history(os.path.expanduser(_HISTORY), _HISTORY_LINES):
            while True:
                try:
                    with LineEditing(0, self._repeat) if os.isatty(0) else nullcontext():
                        line = input(PROMPT)
                except EOFError:
                    print()
                    return 0
                except KeyboardInterrupt:
                    print()
                    continue
                try:
                    self._run(_prefixes(line)[0])
                except Quit:
                    return 0
                except KeyboardInterrupt:
                    self._meter.clear()
                    print("\nInterrupt", flush=True)

    @staticmethod
    def _repeat() -> None:
        """Show the prompt and the line so far: readline does not know that it was stopped."""
        readline = sys.modules.get("readline")
        line = "" if readline is None else readline.get_line_buffer()
        print(PROMPT, line, sep="", end="", flush=True)

    def _run(self, command: str) -> bool:
        return self._loop.call(lambda: run_line(self._shell, command))


def _prefixes(line: str) -> tuple[str, bool, bool]:
    """Split the prefixes off a line, which may come in either order.

    :returns: the command; whether its failure is ignored (``-``); whether the line is not printed
        in a batch (``@``).
    """
    command = line.strip()
    ignore = silent = False
    while command.startswith(("-", "@")):
        ignore = ignore or command[0] == "-"
        silent = silent or command[0] == "@"
        command = command[1:].lstrip()
    return command, ignore, silent


async def _start_directory(sftp: SFTPClient) -> str:
    """Return the directory of the session, and let paths start there.

    From then on the client makes every path absolute, as messages show it. A directory that is
    missing, or may not be looked at, is left to the server, which resolves relative paths.
    """
    directory = await sftp.getcwd()
    try:
        await sftp.chdir(directory)
    except OSError as error:
        if isinstance(error, NacreError) and not isinstance(error, SFTPError):
            raise
    return directory


def run_program(work: Callable[[Background], int]) -> int:
    """Call ``work`` with a loop, and end the loop after it; return the exit status."""
    loop = Background("nacre.sftp", busy_poll=True)
    try:
        return work(loop)
    finally:
        sys.stdout.flush()
        loop.stop()
