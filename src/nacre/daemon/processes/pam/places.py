"""How many logins may use PAM at a time: all together, and from one network's host."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from nacre.aio.waiting import Gate

LOGINS = 128
"""Processes of logins that are not complete: each takes some 10 MiB."""

SHARE = 16
"""How many of them one host may have."""


class Places:
    """Places for logins that are under way; a login waits until there is one."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()
        self._gate = Gate()

    async def take(self, host: str) -> Callable[[], None]:
        """Return when a login from ``host`` has a place; what is returned gives it back."""
        while self._taken[host] >= SHARE or self._taken.total() >= LOGINS:
            await self._gate.wait()
        self._taken[host] += 1
        given_back = False

        def give_back() -> None:
            nonlocal given_back
            if not given_back:
                given_back = True
                self._taken[host] -= 1
                self._taken += Counter()  # forgets the hosts that have none
                self._gate.wake()

        return give_back
