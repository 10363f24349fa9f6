"""``nacre add -x`` and ``-X``: no key of the agent can be used while it is locked."""

from __future__ import annotations

import sys

from nacre.agent.client import Agent
from nacre.cli.add.arguments import AddOptions, AddRefused
from nacre.cli.add.talk import ask_secret
from nacre.errors import UnusableKey


async def run(agent: Agent, options: AddOptions) -> bool:
    """Lock or unlock the agent."""
    lock = "x" in options
    passphrase = await ask_secret("Enter lock password: ")
    if lock and await ask_secret("Again: ") != passphrase:
        raise AddRefused("Passwords do not match.")
    try:
        await (agent.lock(passphrase) if lock else agent.unlock(passphrase))
    except UnusableKey as error:
        raise AddRefused(f"Failed to {'' if lock else 'un'}lock agent: {error}") from None
    print(f"Agent {'' if lock else 'un'}locked.", file=sys.stderr)
    return True
