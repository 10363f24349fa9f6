"""What ``nacre ssh`` does on this machine after the login: a command, leaving the terminal.

The process that leaves the terminal is a child from the beginning: an event loop and its threads do
not survive a fork.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

from nacre.cli.common.start import FAILURE
from nacre.client.target import Target
from nacre.config.destination import check_for_shell
from nacre.config.syntax.tokens import expand

Leave = Callable[[], None]
"""Lets the program go on in the background; the process that the user waits for ends."""


async def run_local_command(command: str, target: Target, device: str | None = None) -> None:
    """Run LocalCommand by the user's shell, and wait for its end. Its status does not matter.

    :param device: the tunnel device of this host, for ``%T``; None without one.
    :raises ConfigurationError: the command has a token that is not possible, or one for the name of
        a host or user that could do harm in a shell.
    """
    text = expand(command, {**target.tokens(), "T": device or "NONE"})
    if text != command:
        check_for_shell((target.name, target.host), target.user)
    await run_shell(text)


async def run_shell(command: str) -> None:
    """Run a command by the user's shell, and wait for its end. Its status does not matter."""
    shell = os.environ.get("SHELL") or "/bin/sh"
    process = await asyncio.create_subprocess_exec(shell, "-c", command)
    await process.wait()


def leave_streams(*, errors: bool) -> None:
    """Let go of standard input and output, for whose end others may wait.

    :param errors: whether standard error stays as it is.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(2 if errors else 3):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def leave_terminal() -> None:
    """Go on in a child, and end this process, with status 0: its user has the terminal back.

    This is for a program whose loop runs. The child has the parent's loop and its descriptors,
    and no threads: those that the loop's executor had are replaced.
    """
    from nacre.aio.home import handing_over

    loop = asyncio.get_running_loop()
    with handing_over():
        if os.fork() != 0:
            os._exit(0)
    # Of a forked child, asyncio takes away the running loop, and what wakes it up for signals.
    asyncio._set_running_loop(loop)
    loop.set_default_executor(ThreadPoolExecutor())
    tasks = asyncio.all_tasks(loop)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, _cancel, tasks)
    leave_streams(errors=False)


def _cancel(tasks: set[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()


def in_background(run: Callable[[Leave], int], then: Callable[[], int] = lambda: 0) -> int:
    """Run a program in a child, and return its exit status, or that of ``then`` once it leaves.

    :param run: gets what lets the child leave its terminal and this process.
    :param then: what this process does when the child has left.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)

        def leave() -> None:
            os.setsid()
            os.write(writing, b"\0")
            os.close(writing)

        return run(leave)
    os.close(writing)

    def pass_on(number: int, _frame: FrameType | None) -> None:
        os.kill(child, number)

    # A key that interrupts reaches the child as well, which is in the same group.
    before = {signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN)}
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, pass_on)
    if os.read(reading, 1):
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reading)
        return then()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return FAILURE if status < 0 else status
