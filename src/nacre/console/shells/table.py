"""All shells of pages, within bounds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

from nacre.console.shells.shell import AttachedPage, ConsoleShell, LogIn, Size

GRACE = 60.0
"""Seconds that a shell goes on without a page."""

LOOK_AGAIN = 1.0
"""Seconds after which it is looked whether the session of the browser still holds."""

MOST_SHELLS = 64
MOST_OF_SESSION = 4
"""Shells at once, of all sessions and of one."""

_NUMBER = 16
"""Random bytes of what a shell is found by."""


class TooManyShells(Exception):
    """There is no room for another shell."""


class ConsoleShells:
    """The shells of pages. It belongs to a loop."""

    def __init__(self) -> None:
        self._shells: dict[str, ConsoleShell] = {}
        self._ending: dict[ConsoleShell, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def open(self, session: object, log_in: LogIn, size: Size) -> str:
        """Begin a shell, and return what it is found by.

        :param session: that of the browser.
        :param log_in: logs its user in.
        :raises TooManyShells: there is no room.
        """
        own = sum(one.session is session for one in self._shells.values())
        if own >= MOST_OF_SESSION or len(self._shells) >= MOST_SHELLS:
            raise TooManyShells
        number = os.urandom(_NUMBER).hex()
        self._shells[number] = ConsoleShell(session, log_in, size)
        return number

    def find(self, session: object, number: str) -> ConsoleShell | None:
        """Return a shell of this session; None if there is none."""
        found = self._shells.get(number)
        return found if found is not None and found.session is session else None

    def attach(self, shell: ConsoleShell) -> AttachedPage:
        """Show a shell on a page from now on."""
        self._keep(shell)
        return shell.attach()

    def detach(self, shell: ConsoleShell, page: AttachedPage, holds: Callable[[], bool]) -> None:
        """Show a shell on a page no more; it ends if none shows it in time.

        :param holds: tells whether the session of the browser has not ended.
        """
        shell.detach(page)
        if shell.page is not None:
            return  # another page shows it
        if shell.over or not holds():
            self._end(shell)
            return
        waiting = asyncio.get_running_loop().create_task(self._wait(shell, holds))
        self._ending[shell] = waiting

    async def _wait(self, shell: ConsoleShell, holds: Callable[[], bool]) -> None:
        """End a shell after the time of grace, or with the session of the browser."""
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                while holds() and not shell.over:
                    await asyncio.wait({shell.running}, timeout=LOOK_AGAIN)
        del self._ending[shell]
        self._end(shell)

    def _keep(self, shell: ConsoleShell) -> None:
        waiting = self._ending.pop(shell, None)
        if waiting is not None:
            waiting.cancel()

    async def close(self) -> None:
        """End all of them."""
        for one in list(self._shells.values()):
            self._end(one)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _end(self, shell: ConsoleShell) -> None:
        self._shells = {key: one for key, one in self._shells.items() if one is not shell}
        self._keep(shell)
        shell.detach(shell.page)
        task = asyncio.get_running_loop().create_task(shell.close())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
