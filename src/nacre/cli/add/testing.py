"""``nacre add -T``: whether the agent can sign with the private halves of public keys."""

from __future__ import annotations

import os
from pathlib import Path

from nacre.agent.client import Agent
from nacre.cli.add.arguments import AddOptions, AddRefused
from nacre.cli.add.keyfiles import public_key
from nacre.cli.add.talk import complain
from nacre.errors import UnusableKey

_SIZE = 1024


async def run(agent: Agent, options: AddOptions) -> bool:
    """Test each file; return whether all of them passed."""
    if not options.files:
        raise AddRefused("no keys to test: -T takes files with public keys")
    return all([await _test(agent, Path(name)) for name in options.files])


async def _test(agent: Agent, path: Path) -> bool:
    try:
        key, _ = public_key(path)
    except UnusableKey as error:
        complain(f"Couldn't read public key {path}: {error}")
        return False
    try:
        # The agent's client verifies the signature.
        await agent.sign(key, os.urandom(_SIZE), key.signature_algorithms[0])
    except UnusableKey as error:
        complain(f"Agent signature failed for {path}: {error}")
        return False
    return True
