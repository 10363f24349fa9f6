"""The configuration of a server for one user's connection: what Match blocks change."""

from __future__ import annotations

from collections.abc import Callable

from nacre.config.server.config import ServerConfig
from nacre.value import value


@value(kw_only=True)
class Connecting:
    """Who connects, from where and to where: what ``Match`` of sshd_config(5) asks for.

    :ivar user: the name that is logging in, or None before it is known.
    :ivar invalid_user: whether there is no such user.
    :ivar groups: the names of the user's groups; called only if a criterion asks.
    :ivar address: the client's address; ``host``: its name, called only if a criterion asks.
    :ivar rdomain: the routing domain of the connection, or None.
    """

    user: str | None = None
    invalid_user: bool = False
    groups: Callable[[], tuple[str, ...]] = tuple
    address: str = ""
    host: Callable[[], str] = str
    local_address: str = ""
    local_port: int = 0
    rdomain: str | None = None


class ServerRules:
    """A server's configuration, with its Match blocks.

    :ivar base: what holds outside of Match blocks, for the server and before a user is known.
    """

    def __init__(self, base: ServerConfig) -> None:
        self.base = base

    def lookup(self, who: Connecting) -> ServerConfig:
        """Return the configuration for a connection."""
        return self.base
