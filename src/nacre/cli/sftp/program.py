"""``sftp`` as a program: a connection in one thread, the human or the batch in the other.

The terminal's thread is the main one, so that Ctrl-C reaches it: it ends the command that runs, and
the session goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TextIO, TypeVar

from nacre.cli.common.connect import dial_and_log_in
from nacre.cli.common.failures import reason
from nacre.cli.common.local_server import start_server
from nacre.cli.common.log import Log
from nacre.cli.common.meter import Meter
from nacre.cli.common.program import say_goodbye
from nacre.cli.common.target import Target
from nacre.cli.sftp.completion import Completer
from nacre.cli.sftp.dispatch import run_line
from nacre.cli.sftp.lines import BadLine
from nacre.cli.sftp.shell import CommandFailed, Quit, SFTPShell, ShellSettings
from nacre.cli.sftp.transfers import fetch
from nacre.client.connection import Connection
from nacre.client.sftp import open_sftp
from nacre.config.client import ClientConfig
from nacre.errors import NacreError
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.client.pace import Pace

T = TypeVar("T")

PROMPT = "sftp> "
_HISTORY = "~/.nacre_sftp_history"
_HISTORY_LINES = 1000


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._thread = threading.Thread(target=self._main, name="nacre.sftp", daemon=True)
        self._thread.start()
        self._ready.wait()

    def _main(self) -> None:
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            self._loop.call_soon(self._ready.set)
            self._loop.run_forever()

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what ``work`` returns or raises; Ctrl-C cancels it, and is raised then."""
        future = asyncio.run_coroutine_threadsafe(_settled(work), self._loop)
        try:
            result, error = future.result()
        except BaseException:
            done = threading.Event()
            future.cancel()
            self._loop.call_soon_threadsafe(lambda: self._loop.call_later(0.05, done.set))
            done.wait(5)
            raise
        if error is not None:
            raise error
        value: T = result
        return value

    def close(self) -> None:
        """End the loop; what still runs in it is cancelled."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


async def _settled(work: Awaitable[T]) -> tuple[Any, BaseException | None]:
    # An exception of a loop's own, such as CancelledError, would be taken for the future's.
    try:
        return await work, None
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        return None, error


class RemoteHost:
    """The connection and the session of one run; :meth:`close` ends both."""

    def __init__(self) -> None:
        self._connection: Connection | None = None
        self._sftp: SFTPClient | None = None

    async def open(
        self,
        target: Target,
        config: ClientConfig,
        log: Log,
        *,
        subsystem: str,
        read_size: int | None,
        requests: int | None,
        rate: int | None,
    ) -> SFTPClient:
        """Log in and start the session."""
        self._connection = await dial_and_log_in(target, config, log)
        server = subsystem.encode() if "/" in subsystem else None
        window = None if requests is None else requests * (read_size or 32768)
        sftp = await open_sftp(
            self._connection.open_session(),
            server,
            subsystem=subsystem,
            read_size=read_size,
            window=window,
        )
        if rate is not None:
            sftp.session.pace = Pace(rate)
        self._sftp = sftp
        return sftp

    async def open_local(self, command: str) -> SFTPClient:
        """Start a server of this machine, without a connection."""
        self._sftp = await start_server(command)
        return self._sftp

    async def close(self) -> None:
        """End the session, then the connection."""
        if self._sftp is not None:
            self._sftp.close()
            with contextlib.suppress(NacreError):
                await self._sftp.wait_closed()
        if self._connection is not None:
            await say_goodbye(self._connection)


class SFTPProgram:
    """One run.

    :param batch: whether the first command that fails ends it, with status 1.
    """

    def __init__(
        self, loop: Loop, sftp: SFTPClient, settings: ShellSettings, *, batch: bool
    ) -> None:
        self._loop = loop
        self._sftp = sftp
        self._batch = batch
        self._meter = Meter(enabled=not settings.quiet)
        self._settings = settings
        self._home = loop.call(_home(sftp))
        self.shell = SFTPShell(sftp, self._home, settings, self._meter)

    def start_at(self, path: str, local: str | None) -> bool | None:
        """Go to a path of the command line; a file is fetched.

        Return whether that worked when it is all there is to do, else None.
        """
        if path and self._loop.call(self._sftp.isdir(path)):
            if self._batch or not self._settings.quiet:
                self.shell.say(f"Changing to: {path}")
            self._loop.call(self._sftp.chdir(path))
            return None
        return self._do_quietly(fetch(self.shell, [path], local))

    def _do_quietly(self, work: Coroutine[Any, Any, None]) -> bool:
        try:
            self._loop.call(work)
        except (CommandFailed, BadLine) as error:
            self.shell.complain(str(error))
            return False
        except OSError as error:
            if isinstance(error, ConnectionError):
                raise
            self.shell.complain(f"{error.filename}: {reason(error)}")
            return False
        return not self.shell.failures

    def run_lines(self, lines: TextIO, *, echo: bool) -> int:
        """Do the lines of a file; return the exit status."""
        for line in lines:
            text = line.rstrip("\n")
            ignore, silent = False, False
            stripped = text.lstrip()
            # In either order, as OpenSSH takes them.
            while stripped[:1] in ("-", "@") and stripped[:1]:
                ignore = ignore or stripped[0] == "-"
                silent = silent or stripped[0] == "@"
                stripped = stripped[1:].lstrip()
            if echo and not silent:
                print(f"{PROMPT}{text}", flush=True)
            try:
                worked = self._loop.call(run_line(self.shell, stripped))
            except Quit:
                break
            if not worked and not ignore and self._batch:
                return 1
        return 0

    def interact(self) -> int:
        """Let a human type; return the exit status."""
        completer = Completer(self._sftp, self._loop.call)
        with completer.history(os.path.expanduser(_HISTORY), _HISTORY_LINES):
            while True:
                try:
                    line = input(PROMPT)
                except EOFError:
                    print()
                    return 0
                except KeyboardInterrupt:
                    print()
                    continue
                try:
                    self._loop.call(run_line(self.shell, line.strip().lstrip("-@")))
                except Quit:
                    return 0
                except KeyboardInterrupt:
                    self._meter.clear()
                    print("\nInterrupt", flush=True)


async def _home(sftp: SFTPClient) -> str:
    """Return the directory we are in at first; from here on all paths are absolute, as shown."""
    home = await sftp.getcwd()
    await sftp.chdir(home)
    return home


def run_program(work: Callable[[Loop], int]) -> int:
    """Run ``work`` with a loop, and end the loop whatever happens."""
    loop = Loop()
    try:
        return work(loop)
    finally:
        sys.stdout.flush()
        loop.close()
