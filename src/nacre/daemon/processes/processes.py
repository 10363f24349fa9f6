"""Sessions as processes: a command or a shell, with pipes or at a pseudo-terminal of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import termios
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from nacre.aio.waiting import Gate
from nacre.daemon.processes.child import GRACE, Child, ChildProcess, Exit, Job, Program
from nacre.daemon.processes.descriptors import (
    Descriptor,
    Printed,
    ProgramOutput,
    Taker,
    drop,
    pump_in,
    pump_in_noted,
    pump_out,
    stop,
)
from nacre.daemon.processes.login_records import LoginRecord
from nacre.daemon.processes.pty import TerminalKeyboard, echoes, open_terminal, resize
from nacre.daemon.processes.start import start
from nacre.daemon.recording.recording import Recording
from nacre.daemon.watching.shown import ShownSession, tapped
from nacre.server.admission.user_threads import UserThreads
from nacre.server.session import Session, Terminal

# fmt: off
SIGNALS = (
    "ABRT", "ALRM", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "TERM", "USR1",
    "USR2",
)
# fmt: on
"""The signals a client may send (RFC 4254 section 6.10)."""

SETTLED = 1.0
"""Seconds after which a process that has outlived its session is logged, if it still runs."""

_QUIET = 0.1
"""Seconds without output after which a terminal counts as empty, once its leader has ended."""


Plan: TypeAlias = Callable[[], Program]
"""Returns what to run. It blocks, so it is called in the thread that starts the program."""


class Processes:
    """The processes of all sessions of a server."""

    def __init__(self, threads: UserThreads) -> None:
        """Prepare.

        :param threads: where programs are started.
        """
        self._threads = threads
        self._children: set[Child] = set()
        self._noting: set[asyncio.Task[None]] = set()

    async def run(
        self,
        session: Session,
        what: Job | Plan,
        stderr: Taker | None = None,
        recording: Recording | None = None,
        shown: ShownSession | None = None,
    ) -> int | None:
        """Run a job until it and its output have ended, or the call is cancelled.

        With pipes, a background process that holds them keeps the session open, as in OpenSSH; at
        a terminal the session ends with its leader. What outlives the session lives on, as with
        sshd, unless the job ``ends``: its streams are closed, and the kernel hangs up a terminal.

        :param what: the job; without a terminal it may be found out when it is started.
        :param stderr: takes the standard error of a program without a terminal; by default the
            client gets it.
        :param recording: records what the program prints, and perhaps what the client sends.
        :param shown: shows what the program prints to those who watch.
        :returns: the exit status, or None when a signal ended it, which was already sent.
        :raises OSError: the program can't be started, or not in time.
        :raises ValueError: an argument or a variable contains a NUL.
        """
        if session.terminal is None:
            running = self._with_pipes(session, what, stderr or session.stderr, recording, shown)
        else:
            assert isinstance(what, Program)
            running = self._at_terminal(session, what, recording, shown)
        async with running as (started, child, work):
            job = started.job
            if job.ends:
                self._children.add(child)
                child.gone.add_done_callback(lambda _: self._children.discard(child))
            if job.takes_signals:
                session.on_signal = lambda name: _signal(child, name)
            try:
                if job.notice:
                    await session.stderr.write(job.notice)
                how = await work()
            finally:
                _part(session, child, job)
        return _report(session, how)

    async def end(self) -> None:
        """End every process group that ends with its session; return when all have ended."""
        children = list(self._children)
        for child in children:
            child.end()
        if children:
            await asyncio.wait([child.gone for child in children], timeout=GRACE + 2)
        if self._noting:
            await asyncio.wait(self._noting, timeout=GRACE)

    async def _started(self, session: Session, work: Callable[[], _Started]) -> _Started:
        """Call what starts the program; end a process that comes after the session's end."""

        def end(started: _Started) -> None:
            for number in started.ends:
                os.close(number)
            self._note_logout(session, started)
            with suppress(OSError):
                Child(started.job, started.process).end()

        return await self._threads.run(session.user, work, end)

    @asynccontextmanager
    async def _with_pipes(
        self,
        session: Session,
        what: Job | Plan,
        errors: Taker,
        recording: Recording | None,
        shown: ShownSession | None,
    ) -> AsyncIterator[tuple[_Started, Child, _Work]]:
        started = await self._started(session, partial(_start_with_pipes, what))
        stdin, stdout, stderr = started.ends
        ours = [Descriptor(stdin), Printed(stdout), Descriptor(stderr)]
        try:
            child = Child(started.job, started.process)
            printed: Taker = tapped(session.stdout, shown, recording)
            errors = tapped(errors, shown, recording, errors=True)
            if shown is not None:
                shown.tell_through(errors)
            work = partial(_pump_pipes, session, child, printed, errors, recording, *ours)
            yield started, child, work
        finally:
            for descriptor in ours:
                descriptor.close()

    @asynccontextmanager
    async def _at_terminal(
        self,
        session: Session,
        program: Program,
        recording: Recording | None,
        shown: ShownSession | None,
    ) -> AsyncIterator[tuple[_Started, Child, _Work]]:
        terminal = session.terminal
        assert terminal is not None
        started = await self._started(session, partial(_start_at_terminal, program, terminal))
        (number,) = started.ends
        master = Descriptor(number)
        session.on_resize = partial(resize, number)
        if recording is not None:
            session.on_resize = recording.resizing(session.on_resize)
        session.on_break = partial(_break, number)
        keyboard = TerminalKeyboard(number)
        try:
            with _shown_at(shown, session, keyboard):
                child = Child(program, started.process)
                printed: Taker = tapped(session.stdout, shown, recording)
                if shown is not None:
                    shown.tell_through(printed)
                work = partial(_pump_terminal, session, child, master, printed, recording)
                yield started, child, work
        finally:
            session.on_resize = session.on_break = None
            keyboard.close()
            # The kernel hangs up: the leader and the foreground process group get SIGHUP.
            master.close()
            self._note_logout(session, started)

    def _note_logout(self, session: Session, started: _Started) -> None:
        """Have the end of a login at a terminal recorded, in a task of its own."""
        job = started.job
        if not isinstance(job, Program) or job.login is None or not started.terminal:
            return
        note = partial(job.login.end, started.terminal)
        task = asyncio.ensure_future(self._threads.run(session.user, note))
        self._noting.add(task)
        task.add_done_callback(self._noting.discard)


def _part(session: Session, child: Child, job: Job) -> None:
    """End the process group, or let it live on; a group that is not empty is logged."""

    def note(outcome: str) -> None:
        if child.has_processes:
            session.connection.record("processes", group=child.pid, outcome=outcome)

    if job.ends:
        child.end()
        if not child.gone.done():
            note("ended")
        return
    child.leave()
    if child.has_processes:
        asyncio.get_running_loop().call_later(SETTLED, note, "left")


_Work = Callable[[], Coroutine[Any, Any, Exit]]


class _Started(NamedTuple):
    """A process, what it does, our ends of its streams, and the path of its terminal if any."""

    job: Job
    process: ChildProcess
    ends: tuple[int, ...]
    terminal: str = ""


def _start_with_pipes(what: Job | Plan) -> _Started:
    job = what() if callable(what) else what
    ends: list[int] = []
    try:
        for make in (os.pipe, _socket_pair, os.pipe):
            ends += make()
        their_in, our_in, our_out, their_out, our_err, their_err = ends
        process = start(job, their_in, their_out, their_err, terminal=False)
    except BaseException:
        for number in ends:
            os.close(number)
        raise
    for number in (their_in, their_out, their_err):
        os.close(number)
    return _Started(job, process, (our_in, our_out, our_err))


def _socket_pair() -> tuple[int, int]:
    """Make the two ends of a standard output. As in sshd it is a socket: pipes copy by pages.

    The other streams are pipes. A socket can't be opened again by name, as /dev/stderr is; and a
    shell whose standard input is a socket takes itself for a remote shell and reads ~/.bashrc.
    """
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


async def _pump_pipes(
    session: Session,
    child: Child,
    printed: Taker,
    errors: Taker,
    recording: Recording | None,
    stdin: Descriptor,
    stdout: Descriptor,
    stderr: Descriptor,
) -> Exit:
    async def feed() -> None:
        try:
            if recording is None or not recording.takes_input:
                await pump_in(session.stdin, stdin)
            else:
                await pump_in_noted(session.stdin, stdin, recording.input, lambda: True)
        finally:
            stdin.close()
        await drop(session.stdin)

    gate = Gate()

    def over() -> bool:
        return child.how is not None and all(output.ended for output in outputs)

    def look() -> None:
        if over():
            gate.wake()

    child.on_exit = look
    outputs = (
        ProgramOutput(stdout, printed, look),
        ProgramOutput(stderr, errors, look),
    )
    feeding = asyncio.create_task(feed())
    try:
        while not over():
            await gate.wait()
    finally:
        await stop(feeding)
        for output in outputs:
            await output.stop()
    return _how(child)


def _start_at_terminal(program: Program, terminal: Terminal) -> _Started:
    number, slave, path = open_terminal(terminal, program.credentials)
    environment = {**program.environment, "TERM": terminal.term, "SSH_TTY": path}
    try:
        run = replace(program, environment=environment)
        with _recorded(program.login, path):
            process = start(run, slave, slave, slave, terminal=True)
        return _Started(program, process, (number,), path)
    except BaseException:
        os.close(number)
        raise
    finally:
        os.close(slave)


@contextmanager
def _recorded(login: LoginRecord | None, path: str) -> Iterator[None]:
    """Record a login before its program can look for it, and its end if no program is started."""
    if login is None:
        yield
        return
    login.begin(path)
    try:
        yield
    except BaseException:
        login.end(path)
        raise


@contextmanager
def _shown_at(
    shown: ShownSession | None, session: Session, keyboard: TerminalKeyboard
) -> Iterator[None]:
    """Let those who watch see the sizes of a terminal, and type at it, if anybody may."""
    if shown is None:
        yield
        return
    assert session.on_resize is not None
    session.on_resize = shown.resizing(session.on_resize)
    with shown.at_terminal(keyboard):
        yield


def _break(master: int, milliseconds: int) -> None:
    # A pseudo-terminal has no line: the system defines the effect of a BREAK.
    with suppress(termios.error):
        termios.tcsendbreak(master, 0)


async def _pump_terminal(
    session: Session,
    child: Child,
    master: Descriptor,
    printed: Taker,
    recording: Recording | None,
) -> Exit:

    async def feed() -> None:
        # EOF of the channel has no meaning for a terminal, whose user types VEOF.
        if recording is None or not recording.takes_input:
            await pump_in(session.stdin, master)
        else:
            shown = partial(echoes, master.number)
            await pump_in_noted(session.stdin, master, recording.input, shown)
        await drop(session.stdin)

    gate = Gate()
    child.on_exit = gate.wake
    feeding = asyncio.create_task(feed())
    showing = asyncio.create_task(pump_out(master, printed))
    try:
        while child.how is None:
            await gate.wait()
        await _until_quiet(master, showing)
    finally:
        await stop(feeding)
        await stop(showing)
    return _how(child)


async def _until_quiet(master: Descriptor, showing: asyncio.Task[None]) -> None:
    """Return when all output was sent, or none came for :data:`_QUIET` seconds."""
    while not showing.done():
        waits = master.waits
        await asyncio.wait({showing}, timeout=_QUIET)
        if master.waiting and master.waits == waits:
            return


def _signal(child: Child, name: str) -> None:
    if name in SIGNALS:
        child.send_signal(signal.Signals[f"SIG{name}"])


def _how(child: Child) -> Exit:
    assert child.how is not None
    return child.how


def _report(session: Session, how: Exit) -> int | None:
    if how.signal is None:
        return how.status
    name = f"signal {how.signal}"
    with suppress(ValueError):
        name = signal.Signals(how.signal).name.removeprefix("SIG")
    session.exit_signal(name, how.core_dumped)
    return None
