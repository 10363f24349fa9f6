"""A running agent without await."""

from __future__ import annotations

import os

from nacre.agent import client as _agent
from nacre.blocking.background import Attribute, Facade, waiting


class Agent(Facade[_agent.Agent]):
    """An agent that listens on a Unix socket. Like :class:`nacre.Agent`."""

    path = Attribute[str]()

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(_agent.Agent(path))

    @classmethod
    def from_environment(cls) -> Agent | None:
        """Return the agent that ``SSH_AUTH_SOCK`` names, or None."""
        found = _agent.Agent.from_environment()
        return None if found is None else cls(found.path)

    keys = waiting(_agent.Agent.keys)
    identities = waiting(_agent.Agent.identities)
    rsa1_keys = waiting(_agent.Agent.rsa1_keys)
    sign = waiting(_agent.Agent.sign)
    add = waiting(_agent.Agent.add)
    remove = waiting(_agent.Agent.remove)
    remove_all = waiting(_agent.Agent.remove_all)
    lock = waiting(_agent.Agent.lock)
    unlock = waiting(_agent.Agent.unlock)
    add_token = waiting(_agent.Agent.add_token)
    remove_token = waiting(_agent.Agent.remove_token)
    extension = waiting(_agent.Agent.extension)
    extensions = waiting(_agent.Agent.extensions)
