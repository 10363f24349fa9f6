"""AddKeysToAgent: the agent gets the keys of files that a login has used."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nacre.agent.client import Agent
from nacre.errors import UnusableKey
from nacre.keys.agents.constraints import Constraints
from nacre.keys.base import PrivateKey
from nacre.value import replace
from nacre.wire.text import safe

_SECURITY_KEY = "sk-"
Confirm = Callable[[str], Awaitable[bool]]
"""Gets a question; returns whether the user said yes."""


class KeepInAgent:
    """Adds keys to an agent.

    :param word: the value of AddKeysToAgent: ``true``, ``ask``, ``confirm``, a number of seconds,
        or ``confirm`` and that.
    :param confirm: asks the user; without it nothing is added where the value is ``ask``.
    :param debug: gets what was done.
    :param provider: the library that reaches security keys, or None: that of the environment.
    """

    def __init__(
        self,
        agent: Agent,
        word: str,
        confirm: Confirm | None,
        debug: Callable[[str], None],
        provider: str | None = None,
    ) -> None:
        first, _, second = word.partition(" ")
        seconds = second or first
        self._agent = agent
        self._asks = first == "ask"
        self._constraints = Constraints(
            lifetime=int(seconds) if seconds.isdigit() else None, confirm=first == "confirm"
        )
        self._confirm = confirm
        self._debug = debug
        self._provider = provider

    async def __call__(self, key: PrivateKey, source: str) -> None:
        """Add ``key``, which the file ``source`` has. That it can't be added is a detail."""
        if not key.comment:
            key.comment = source
        if self._asks and not await self._may_add(key, source):
            return
        wanted = self._constraints
        if key.public.plain.type.startswith(_SECURITY_KEY):
            from nacre.agent.providers import provider_of

            wanted = replace(wanted, provider=provider_of(self._provider))
        try:
            await self._agent.add(key, wanted)
        except UnusableKey as error:
            self._debug(f"could not add identity {safe(source)} to the agent: {error}")
        else:
            self._debug(f"identity added to agent: {safe(source)}")

    async def _may_add(self, key: PrivateKey, source: str) -> bool:
        question = f"Add key {safe(source)} ({safe(key.comment)}) to agent?"
        return self._confirm is not None and await self._confirm(question)
