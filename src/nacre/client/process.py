"""A command, shell or subsystem on the other side, as the client sees it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from copy import copy
from typing import Any, Generic, TypeVar

from nacre.aio.channel import Channel, HasChannel, kind_of
from nacre.aio.stream import Allowance, Collector, Reader, Writer
from nacre.errors import (
    DeadlineExceeded,
    NacreError,
    OutputTooLarge,
    ProcessFailed,
    RequestFailed,
    StreamClosed,
)
from nacre.protocol.requests import (
    Break,
    Env,
    Exec,
    ExitSignal,
    ExitStatus,
    OtherRequest,
    PtyRequest,
    Request,
    Shell,
    Signal,
    Subsystem,
    WindowChange,
)
from nacre.protocol.tcpip import AGENT_REQUEST, X11_REQUEST
from nacre.value import value
from nacre.wire import given
from nacre.wire.numbers import MAIN, STDERR
from nacre.wire.text import safe

_logger = logging.getLogger("nacre.client")

Output = TypeVar("Output", str, bytes)

NO_MODES = b"\x00"
"""Encoded terminal modes without any mode: TTY_OP_END alone (RFC 4254 section 8)."""


_LENT = {AGENT_REQUEST: "agent", X11_REQUEST: "display"}


@value
class Completed(Generic[Output]):
    """How a command ended, and what it printed.

    :ivar command: what was run, or None for a shell.
    :ivar exit_status: its exit status, or None if a signal ended it or none was reported.
    :ivar exit_signal: the signal that ended it, without ``SIG``, or None.
    :ivar stdout: its standard output: text, or bytes with ``encoding=None``.
    :ivar stderr: its standard error, in the same form.
    """

    command: str | bytes | None
    exit_status: int | None
    exit_signal: str | None
    stdout: Output
    stderr: Output


@value
class Start:
    """What to start in a session: a command, a subsystem or, with neither, a shell.

    :ivar term: the terminal's type, such as ``xterm-256color``; None for no terminal.
    :ivar size: its columns and rows.
    :ivar modes: its encoded modes (RFC 4254 section 8).
    :ivar lends: the requests for what it may use of ours: an agent, a display.
    """

    command: str | bytes | None
    subsystem: str | None
    env: dict[str, str]
    term: str | None
    size: tuple[int, int]
    modes: bytes
    lends: tuple[OtherRequest, ...] = ()

    @property
    def request(self) -> Request:
        """The request that starts it."""
        if self.subsystem is not None:
            return Subsystem(self.subsystem)
        if self.command is None:
            return Shell()
        if isinstance(self.command, bytes):
            return Exec(self.command)
        return Exec(self.command.encode("utf-8", "surrogateescape"))

    @property
    def description(self) -> str:
        """What it is, for error messages."""
        if self.subsystem is not None:
            return f"the subsystem {safe(self.subsystem, 80)}"
        return "a shell" if self.command is None else f"the command {safe(self.command, 80)!r}"


class Process(HasChannel):
    """A running command, shell or subsystem. ``async with`` closes it at the end, which ends it.

    :ivar stdin: its standard input; ``write_eof`` ends it and keeps the other streams open.
    :ivar stdout: its standard output. With a terminal, this has its standard error too.
    :ivar stderr: its standard error.
    :ivar exit_status: its exit status, or None: it runs, a signal ended it, or none was reported.
    :ivar exit_signal: the signal that ended it, without ``SIG``, or None.
    """

    def __init__(self, channel: Channel, start: Start) -> None:
        self.exit_status: int | None = None
        self.exit_signal: str | None = None
        self.stdin = Writer(channel)
        self.stdout = Reader(channel)
        self.stderr = Reader(channel)
        self._channel = channel
        self._start = start
        channel.sinks = {MAIN: self.stdout, STDERR: self.stderr}
        channel.on_request = self._accept_request
        channel.on_change = self._end_stdin_when_finished

    async def begin(self, *, no_input: bool = False) -> None:
        """Send all requests at once, except that the answer for a terminal is waited for.

        A command that wants a terminal must not run without one.

        :param no_input: send EOF together with the request.
        """
        channel, start = self._channel, self._start
        await channel.wait_opened()
        for name, text in start.env.items():
            channel.request(Env(name, text))
        if start.term is not None:
            columns, rows = start.size
            request = PtyRequest(start.term, columns, rows, 0, 0, start.modes or NO_MODES)
            if not await channel.granted(channel.request(request, want_reply=True)):
                raise RequestFailed("the server gives no terminal; try without one (term=None)")
        lent = [(one.NAME, channel.request(one, want_reply=True)) for one in start.lends]
        channel.kind = kind_of("session", start.request)
        asked = channel.request(start.request, want_reply=True)
        if no_input:
            self.stdin.write_eof()
        if not await channel.granted(asked):
            raise RequestFailed(
                f"the server refused {start.description}: it may not allow that to this user"
            )
        for name, token in lent:
            if not await channel.granted(token):
                what = _LENT[name]
                _logger.warning("the server does not let %s use our %s", start.description, what)

    def _accept_request(self, request: Request) -> None:
        if isinstance(request, ExitStatus):
            self.exit_status = request.status
        elif isinstance(request, ExitSignal):
            self.exit_signal = safe(request.name, 64)
        self._end_stdin_when_finished()
        self._channel.changed.wake()

    def _end_stdin_when_finished(self) -> None:
        # Nobody reads what is sent to a process that has ended. OpenSSH's server drops it, and
        # tells that to OpenSSH's clients only (eow@openssh.com).
        if self.finished or self._exited:
            self._channel.stop_writing()

    @property
    def _exited(self) -> bool:
        return self.exit_status is not None or self.exit_signal is not None

    @property
    def complete(self) -> bool:
        """Whether how it ended and all of its output has been received."""
        channel = self._channel
        done = self._exited and channel.eof_received
        return done or (channel.closed and channel.error is None)

    @property
    def finished(self) -> bool:
        """Whether the process has ended, or the channel has: no more output follows."""
        return self._channel.closed or self._channel.closing or self.complete

    async def wait(self) -> int | None:
        """Return the exit status when the process has ended and sends no more output.

        A process that prints more than the window holds does not end until its output is read:
        read it, or use :meth:`Connection.run`.

        :returns: None if a signal ended it (see ``exit_signal``), or no status was reported.
        :raises ConnectionLost: the connection ended before all output was received; if the exit
            status was, ``exit_status`` has it.
        """
        while not self.finished:
            await self._channel.changed.wait()
        if not self.complete:
            self._channel.check()
        return self.exit_status

    def send_signal(self, name: str) -> None:
        """Send a signal, such as ``TERM`` or ``INT``, without ``SIG`` (RFC 4254 section 6.9)."""
        given.text(name, "the name of a signal")
        self._channel.request(Signal(name.removeprefix("SIG")))

    def resize(self, columns: int, rows: int, width: int = 0, height: int = 0) -> None:
        """Report the terminal's new size, in characters and in pixels."""
        self._channel.request(WindowChange(columns, rows, width, height))

    async def send_break(self, milliseconds: int = 0) -> None:
        """Send a BREAK (RFC 4335).

        :raises RequestFailed: the server did not perform it.
        """
        token = self._channel.request(Break(milliseconds), want_reply=True)
        if not await self._channel.granted(token):
            raise RequestFailed("the server sends no BREAK to this process")


async def start_process(channel: Channel, start: Start) -> Process:
    """Start a process in a session's channel; a cancelled call leaves no channel open."""
    process = Process(channel, start)
    try:
        await process.begin()
    except BaseException:
        process.close()
        raise
    return process


@value
class Run:
    """How to run a process to its end.

    :ivar input: its standard input.
    :ivar timeout: seconds for all of it, or None.
    :ivar check: whether to raise unless its exit status is 0.
    :ivar max_output: bytes of output to keep, standard error included.
    :ivar encoding: of its output; None returns bytes.
    """

    input: bytes
    timeout: float | None
    check: bool
    max_output: int
    encoding: str | None

    def text(self, output: bytes) -> Any:
        """Return output in the form the caller asked for; undecodable bytes become U+FFFD."""
        return output if self.encoding is None else output.decode(self.encoding, "replace")


async def run_process(channel: Channel, start: Start, run: Run) -> Completed[Any]:
    """Run a process to its end; its channel is closed even after an error.

    Its output is kept as it is received, independently of its input, so neither waits for the
    other. An error has what was received by then.
    """
    process = Process(channel, start)
    allowance = Allowance(run.max_output)
    stdout, stderr = Collector(channel, allowance), Collector(channel, allowance)
    channel.sinks = {MAIN: stdout, STDERR: stderr}
    error: NacreError | None = None
    try:
        await _to_its_end(process, start, run, allowance)
    except NacreError as raised:
        # What fails behind the end, such as the rest of the input, changes nothing about it.
        error = None if process.complete else raised
    finally:
        channel.close()
    completed = Completed(
        start.command,
        process.exit_status,
        process.exit_signal,
        run.text(stdout.data),
        run.text(stderr.data),
    )
    if allowance.exceeded:
        error = OutputTooLarge(
            f"{start.description} printed more than {run.max_output} bytes and was stopped; "
            "raise max_output, or read its streams piece by piece with process()"
        )
    elif error is None and run.check and completed.exit_status != 0:
        error = _failed(start, completed)
    if error is not None:
        raise _holding(error, completed) from error.__cause__
    return completed


async def _to_its_end(process: Process, start: Start, run: Run, allowance: Allowance) -> None:
    changed = process._channel.changed
    deadline = asyncio.timeout(run.timeout)
    try:
        async with deadline:
            await process.begin(no_input=not run.input)
            if run.input:
                with contextlib.suppress(StreamClosed):
                    await process.stdin.write(run.input)
                process.stdin.write_eof()
            while not allowance.exceeded and not process.finished:
                await changed.wait()
            if not allowance.exceeded:
                await process.wait()
    except TimeoutError as error:
        if not deadline.expired():
            raise
        raise DeadlineExceeded(
            f"{start.description} did not end within {run.timeout} seconds and was stopped; "
            "give it more time, or look at what it printed (stdout, stderr)"
        ) from error


def _failed(start: Start, completed: Completed[Any]) -> ProcessFailed:
    if completed.exit_signal is not None:
        how = f"was ended by signal {completed.exit_signal}"
    elif completed.exit_status is None:
        how = "ended, and the server did not report how"
    else:
        how = f"failed with exit status {completed.exit_status}"
    printed = safe(completed.stderr[-400:].strip())
    return ProcessFailed(f"{start.description} {how}" + (f": {printed}" if printed else ""))


def _holding(error: NacreError, completed: Completed[Any]) -> NacreError:
    """Return a copy of ``error`` that holds what is known of the command.

    What ends a connection is one error for all of its calls, and each has its own output.
    """
    held = copy(error)
    held.stdout, held.stderr = completed.stdout, completed.stderr
    held.exit_status, held.exit_signal = completed.exit_status, completed.exit_signal
    return held
