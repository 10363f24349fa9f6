"""How a client program runs: signals, errors and the exit status."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from nacre.cli.common.failures import explain
from nacre.cli.common.log import Log
from nacre.cli.common.start import FAILURE
from nacre.errors import NacreError

if TYPE_CHECKING:
    from nacre.cli.common.target import Target
    from nacre.client.connection import Connection

_PATIENCE = 2.0
"""Seconds the last words to a server may take."""


class _Killed(Exception):
    """A signal asks the program to end."""


def run_client(work: Coroutine[Any, Any, int], target: Target, log: Log) -> int:
    """Run ``work`` to its end and return the exit status; errors are told, and are 255.

    Whatever ends it, a signal too, ``finally`` clauses have run, so that the terminal is as before.
    """
    try:
        return asyncio.run(_until_killed(work))
    except NacreError as error:
        log.fatal(explain(error, target.name, target.whom))
    except _Killed as killed:
        log.fatal(f"Killed by signal {killed}.")
    except KeyboardInterrupt:
        # Whoever started us should see that it was the signal.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return FAILURE


async def _until_killed(work: Coroutine[Any, Any, int]) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    caught: list[int] = []

    def kill(number: int) -> None:
        caught.append(number)
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        # What nohup(1) or a parent has switched off stays off.
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, kill, int(number))
    try:
        return await work
    except asyncio.CancelledError:
        if caught:
            raise _Killed(caught[0]) from None
        raise


async def say_goodbye(connection: Connection) -> None:
    """Close a connection; a server that does not listen any more is not waited for."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await connection.close()
    except TimeoutError:
        connection.abort()
