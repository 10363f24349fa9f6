"""The lock of an agent: a passphrase without which it uses no key."""

from __future__ import annotations

import asyncio
import os

from nacre.errors import UnusableKey

_STEP, _LONGEST = 0.1, 10.0


class AgentLock:
    """A lock with a passphrase, of which only a hash is kept.

    After each wrong passphrase the next answer takes a tenth of a second longer, up to ten seconds;
    guesses of several clients wait for one another.
    """

    def __init__(self) -> None:
        self._hash: str | None = None
        self._wrong = 0
        self._trying = asyncio.Lock()

    @property
    def locked(self) -> bool:
        """Whether it is locked."""
        return self._hash is not None

    async def lock(self, passphrase: bytes) -> None:
        """Lock it.

        :raises UnusableKey: it is locked already.
        """
        from nacre.crypto.password import hash_password

        async with self._trying:
            if self._hash is not None:
                raise UnusableKey("the agent is locked already")
            self._hash = await asyncio.to_thread(hash_password, passphrase, os.urandom)

    async def unlock(self, passphrase: bytes) -> None:
        """Unlock it.

        :raises UnusableKey: the passphrase is wrong, or it is not locked.
        """
        from nacre.crypto.password import verify_password

        async with self._trying:
            if self._hash is None:
                raise UnusableKey("the agent is not locked")
            if await asyncio.to_thread(verify_password, self._hash, passphrase):
                self._hash = None
                self._wrong = 0
                return
            self._wrong += 1
            await asyncio.sleep(min(self._wrong * _STEP, _LONGEST))
            raise UnusableKey("the passphrase to unlock the agent is wrong")
