"""How a program runs on one connection and ends it: signals, errors, the exit status."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from nacre.cli.common.failures import explain, level_of
from nacre.cli.common.log import Log
from nacre.cli.common.start import FAILURE
from nacre.errors import NacreError

if TYPE_CHECKING:
    from nacre.client.connection import Connection
    from nacre.client.target import Target

_PATIENCE = 2.0
"""Seconds for the orderly end of a connection."""


class _Killed(Exception):
    """A signal ended the program; its number is the argument."""


def run_client(work: Coroutine[Any, Any, int], target: Target, log: Log) -> int:
    """Run ``work`` and return its exit status; log an error, and return FAILURE.

    A signal cancels ``work``, so that its ``finally`` clauses restore the terminal.
    """
    try:
        return asyncio.run(_until_killed(work))
    except NacreError as error:
        log.write(level_of(error), explain(error, target.name, target.destination))
    except _Killed as killed:
        log.fatal(f"Killed by signal {killed}.")
    except KeyboardInterrupt:
        # The parent should see that the signal ended this process.
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
        # A signal that nohup(1) or the parent ignores stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, kill, int(number))
    try:
        return await work
    except asyncio.CancelledError:
        if caught:
            raise _Killed(caught[0]) from None
        raise


async def close_or_abort(connection: Connection) -> None:
    """Close a connection; abort it if the server does not answer in time."""
    try:
        async with asyncio.timeout(_PATIENCE):
            await connection.wait_host_keys()
            await connection.close()
    except TimeoutError:
        connection.abort()
