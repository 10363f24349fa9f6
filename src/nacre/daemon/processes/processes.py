"""Sessions as processes: a command or a shell, with pipes or at a pseudo-terminal of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import termios
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from nacre.aio.waiting import Gate
from nacre.daemon.processes.child import GRACE, Child, Exit, Program
from nacre.daemon.processes.descriptors import (
    Descriptor,
    Printed,
    ProgramOutput,
    Taker,
    drop,
    pump_in,
    pump_out,
    stop,
)
from nacre.daemon.processes.pty import open_terminal, resize
from nacre.server.session import Session

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


class Processes:
    """The processes of all sessions of a server."""

    def __init__(self) -> None:
        self._children: set[Child] = set()

    async def run(
        self, session: Session, program: Program, stderr: Taker | None = None
    ) -> int | None:
        """Run ``program`` until it and its output have ended, or the call is cancelled.

        With pipes, a background process that holds them keeps the session open, as in OpenSSH; at
        a terminal the session ends with its leader. What outlives the session lives on, as with
        sshd, unless ``program.ends``: its streams are closed, and the kernel hangs up a terminal.

        :param stderr: takes the standard error of a program without a terminal; by default the
            client gets it.
        :returns: the exit status, or None when a signal ended it, which was already sent.
        :raises OSError: the program can't be started.
        :raises ValueError: an argument or a variable contains a NUL.
        """
        if session.terminal is None:
            running = _with_pipes(session, program, stderr or session.stderr)
        else:
            running = _at_terminal(session, program)
        with running as (child, work):
            if program.ends:
                self._children.add(child)
                child.gone.add_done_callback(lambda _: self._children.discard(child))
            if program.takes_signals:
                session.on_signal = lambda name: _signal(child, name)
            try:
                how = await work
            finally:
                _part(session, child, program)
        return _report(session, how)

    async def end(self) -> None:
        """End every process group that ends with its session; return when all have ended."""
        children = list(self._children)
        for child in children:
            child.end()
        if children:
            await asyncio.wait([child.gone for child in children], timeout=GRACE + 2)


def _part(session: Session, child: Child, program: Program) -> None:
    """End the process group, or let it live on; a group that is not empty is logged."""

    def note(outcome: str) -> None:
        if child.has_processes:
            session.connection.record("processes", group=child.pid, outcome=outcome)

    if program.ends:
        child.end()
        if not child.gone.done():
            note("ended")
        return
    child.leave()
    if child.has_processes:
        asyncio.get_running_loop().call_later(SETTLED, note, "left")


_Work = Coroutine[Any, Any, Exit]


@contextmanager
def _with_pipes(session: Session, program: Program, errors: Taker) -> Iterator[tuple[Child, _Work]]:
    ends: list[int] = []
    try:
        for make in (os.pipe, _socket_pair, os.pipe):
            ends += make()
        their_in, our_in, our_out, their_out, our_err, their_err = ends
        child = Child(program, their_in, their_out, their_err, terminal=False)
    except BaseException:
        for number in ends:
            os.close(number)
        raise
    for number in (their_in, their_out, their_err):
        os.close(number)
    ours = [Descriptor(our_in), Printed(our_out), Descriptor(our_err)]
    try:
        yield child, _pump_pipes(session, child, errors, *ours)
    finally:
        for descriptor in ours:
            descriptor.close()


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
    errors: Taker,
    stdin: Descriptor,
    stdout: Descriptor,
    stderr: Descriptor,
) -> Exit:
    async def feed() -> None:
        try:
            await pump_in(session.stdin, stdin)
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
        ProgramOutput(stdout, session.stdout, look),
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


@contextmanager
def _at_terminal(session: Session, program: Program) -> Iterator[tuple[Child, _Work]]:
    terminal = session.terminal
    assert terminal is not None
    number, slave, path = open_terminal(terminal, program.credentials)
    environment = {**program.environment, "TERM": terminal.term, "SSH_TTY": path}
    try:
        child = Child(replace(program, environment=environment), slave, slave, slave, terminal=True)
    except BaseException:
        os.close(number)
        raise
    finally:
        os.close(slave)
    master = Descriptor(number)
    session.on_resize = partial(resize, number)
    session.on_break = partial(_break, number)
    try:
        yield child, _pump_terminal(session, child, master)
    finally:
        session.on_resize = session.on_break = None
        # The kernel hangs up: the leader and the foreground process group get SIGHUP.
        master.close()


def _break(master: int, milliseconds: int) -> None:
    # A pseudo-terminal has no line: the system defines the effect of a BREAK.
    with suppress(termios.error):
        termios.tcsendbreak(master, 0)


async def _pump_terminal(session: Session, child: Child, master: Descriptor) -> Exit:
    async def feed() -> None:
        # EOF of the channel has no meaning for a terminal, whose user types VEOF.
        await pump_in(session.stdin, master)
        await drop(session.stdin)

    gate = Gate()
    child.on_exit = gate.wake
    feeding = asyncio.create_task(feed())
    showing = asyncio.create_task(pump_out(master, session.stdout))
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
