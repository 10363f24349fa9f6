"""Errands: one step each that a process does with the rights of an account, for the server.

The template forks the process, which does its step and writes how that went to its link: a number
of errno, or 0 and perhaps a word. It ends, at the latest, when the link is closed.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import partial

from nacre.daemon.processes.child import watch
from nacre.daemon.processes.template import TEMPLATE, Forked, Kind
from nacre.limits import KIB

_PATIENCE = 30.0
"""Seconds that a process has: a program that accepts nothing makes the connecting wait."""


class Errand:
    """A process that has done its step, and may have to undo it.

    :ivar word: what it has told.
    """

    def __init__(self, forked: Forked) -> None:
        self._forked = forked
        self._ended = False
        self.word = ""
        forked.link.setblocking(False)
        try:
            watch(forked.pid, asyncio.get_running_loop(), self._reap)
        except OSError:
            self.kill()
            self._reap()
            raise

    def _reap(self) -> None:
        self._ended = True
        self._forked.wait()

    async def done(self) -> None:
        """Return when the step is done.

        :raises OSError: it failed.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_PATIENCE):
                told = await loop.sock_recv(self._forked.link, KIB)
        except TimeoutError:
            raise TimeoutError(f"nothing has accepted it for {_PATIENCE:g} seconds") from None
        number, _, self.word = told.decode(errors="replace").strip().partition(" ")
        if number != "0":
            failed = int(number) if number.isdigit() else 0
            raise OSError(failed, os.strerror(failed) if failed else "the process failed")

    def release(self) -> None:
        """Have the process undo its step, and end."""
        self._forked.link.close()

    def kill(self) -> None:
        """End the process at once."""
        self._forked.link.close()
        if not self._ended:
            self._forked.kill()


async def run_errand(kind: Kind, given: Mapping[str, object], descriptor: int) -> Errand:
    """Have a process do its step with a descriptor; return when it is done.

    :raises OSError: it failed, or the process could not be started.
    """
    loop = asyncio.get_running_loop()
    starting = loop.run_in_executor(None, partial(_forked, kind, given, descriptor))
    try:
        errand = Errand(await asyncio.shield(starting))
    except asyncio.CancelledError:
        starting.add_done_callback(_give_up)
        raise
    try:
        await errand.done()
    except BaseException:
        errand.kill()
        raise
    return errand


def _forked(kind: Kind, given: Mapping[str, object], descriptor: int) -> Forked:
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        return TEMPLATE.fork(kind, given, (null, null, null), descriptor)
    finally:
        os.close(null)


def _give_up(starting: asyncio.Future[Forked]) -> None:
    with suppress(OSError):
        Errand(starting.result()).kill()
