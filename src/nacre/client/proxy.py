"""ProxyCommand (ssh_config(5)): a program whose standard streams lead to a server."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import Awaitable
from contextlib import suppress

from nacre.aio.carrier import Streams
from nacre.aio.waiting import Later
from nacre.client.route import carried
from nacre.errors import ConnectFailed, ConnectionLost, DeadlineExceeded
from nacre.wire.text import safe

_SH = "/bin/sh"

_UNINTERRUPTED = 'trap "" INT; exec "$@"'
"""Ctrl-C at a terminal reaches the command too, and must not end a session that lives on."""

_GRACE = 0.2
"""Seconds that a command has to end by itself, once its input is closed."""

_PATIENCE = 2.0
"""Seconds that a command has to end after SIGHUP, before it is killed."""

_STATUS = 1.0
"""Seconds to wait for the exit status of a command that has closed its output."""


class ProxyCommand:
    """A command that is run by the user's shell in place of a connection.

    Its standard error is ours. At the end its input is closed and it gets SIGHUP, as from OpenSSH;
    one that ignores both is killed, and none is left unreaped.

    :param command: the command line, with tokens replaced; the shell runs it by ``exec``.
    """

    def __init__(self, command: str) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._streams: Streams
        self._answered = False

    async def start(self) -> Streams:
        """Run the command, and return its standard streams as what carries a connection.

        :raises ConnectFailed: it can't be run.
        """
        process = self._run(subprocess.PIPE, subprocess.PIPE)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            streams = await carried((process.stdout, process.stdin))
        except BaseException:
            await self._end()
            raise
        assert isinstance(streams, Streams)
        self._streams = streams
        return Streams(self, streams.writer, close=self._close, abort=self._abort)

    async def receive_socket(self, timeout: float | None = None) -> socket.socket:
        """Run the command, and return the connected socket that it passes back (ProxyUseFdpass).

        It is passed over the Unix socket that is the command's standard output (SCM_RIGHTS).

        :param timeout: seconds until it is there, or None for no limit.
        :raises ConnectFailed: it can't be run, or ends without passing one.
        :raises DeadlineExceeded: ``timeout`` passed.
        """
        ours, theirs = socket.socketpair()
        with ours:
            ours.setblocking(False)
            with theirs:
                self._run(theirs.fileno(), theirs.fileno())
            deadline = asyncio.timeout(timeout)
            try:
                async with deadline:
                    passed = await _descriptor(ours)
                if passed is None:
                    raise await self._ended("without passing a connection back")
                sock = socket.socket(fileno=passed)
            except TimeoutError as error:
                if not deadline.expired():
                    raise
                raise DeadlineExceeded(
                    f"the proxy command {self._shown} has passed no connection back within "
                    f"{timeout:.3g} seconds"
                ) from error
            finally:
                await self._end()
        sock.setblocking(False)
        return sock

    def _run(self, stdin: int, stdout: int) -> subprocess.Popen[bytes]:
        shell = os.environ.get("SHELL") or _SH
        words = [_SH, "-c", _UNINTERRUPTED, "sh", shell, "-c", f"exec {self._command}"]
        try:
            self._process = subprocess.Popen(words, bufsize=0, stdin=stdin, stdout=stdout)
        except (OSError, ValueError) as error:
            raise ConnectFailed(
                f"can't run the proxy command {self._shown}: {safe(str(error))}"
            ) from error
        return self._process

    @property
    def _shown(self) -> str:
        return repr(safe(self._command, 200))

    # --- the command's output, as a stream ---

    async def read(self, n: int, /) -> bytes:
        """Return what the command printed.

        :raises ConnectionLost: it has ended, or has closed its output.
        """
        data = await self._streams.reader.read(n)
        if not data:
            raise await self._ended("before the connection did")
        self._answered = True
        return data

    async def _ended(self, when: str) -> ConnectionLost:
        """Return the error for a command that has ended too soon."""
        kind = ConnectionLost if self._answered else ConnectFailed
        status = await self._wait(_STATUS)
        if status is None:
            how = "closed its output"
        elif status < 0:
            how = f"was ended by signal {signal.Signals(-status).name}"
        else:
            how = f"ended with status {status}"
        return kind(f"the proxy command {self._shown} {how}, {when}; run it by itself to see why")

    # --- the end ---

    def _close(self) -> Awaitable[None]:
        self._streams.close()
        return Later(self._end)

    def _abort(self) -> None:
        self._streams.abort()
        self._hang_up()

    def _hang_up(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    async def _end(self) -> None:
        """Let the command pass on what it has read, and end it."""
        try:
            await self._wait(_GRACE)
        finally:
            self._hang_up()
        if await self._wait(_PATIENCE) is None:
            assert self._process is not None
            self._process.kill()
            await self._wait(_PATIENCE)

    async def _wait(self, seconds: float) -> int | None:
        """Return the command's exit status, or None if it still runs after that time."""
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            return await asyncio.to_thread(self._process.wait, seconds)
        return None


async def _descriptor(sock: socket.socket) -> int | None:
    """Return the descriptor that is passed over a Unix socket; None if its other end closes."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sock, ready.set)
    try:
        while True:
            await ready.wait()
            ready.clear()
            try:
                data, descriptors, _, _ = socket.recv_fds(sock, 1, 1)
            except BlockingIOError:
                continue
            if descriptors:
                os.set_inheritable(descriptors[0], False)
                return descriptors[0]
            if not data:
                return None
    finally:
        loop.remove_reader(sock)
