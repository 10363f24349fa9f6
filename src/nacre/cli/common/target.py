"""The host and the user that a client program connects to."""

from __future__ import annotations

import getpass
import os
import socket

from nacre.config.client.config import ClientConfig
from nacre.config.syntax.tokens import expand
from nacre.value import value
from nacre.wire.text import safe


@value
class Target:
    """The host and the user to connect to.

    :ivar name: the host as the user gave it.
    :ivar host: the name or address to connect to: HostName, or ``name``.
    """

    name: str
    host: str
    port: int
    user: str

    @classmethod
    def of(cls, name: str, config: ClientConfig) -> Target:
        """Return the target for a host's name.

        :raises ConfigurationError: HostName has an unknown ``%`` token.
        """
        host = expand(config.host_name or "%h", {"h": name})
        return cls(name, host, config.port, config.user or getpass.getuser())

    @property
    def destination(self) -> str:
        """``user@host``, safe to print."""
        return f"{safe(self.user)}@{safe(self.name)}"

    def tokens(self) -> dict[str, str]:
        """Return the values of percent tokens (ssh_config(5), TOKENS)."""
        return {
            "d": os.path.expanduser("~"),
            "h": self.host,
            "i": str(os.getuid()),
            "L": socket.gethostname().partition(".")[0],
            "l": socket.gethostname(),
            "n": self.name,
            "p": str(self.port),
            "r": self.user,
            "u": getpass.getuser(),
        }
