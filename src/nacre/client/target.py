"""The host and the user to connect to: what a configuration makes of a name."""

from __future__ import annotations

import getpass
import os

from nacre.config.client.config import ClientConfig
from nacre.config.client.numeric import numeric
from nacre.config.schema import COMMAND_LINE
from nacre.config.syntax.tokens import expand, host_tokens
from nacre.errors import ConfigurationError
from nacre.value import replace, value
from nacre.wire.text import safe


@value
class Target:
    """The host and the user to connect to.

    :ivar name: the host as the user gave it.
    :ivar host: the name or address to connect to: HostName, or ``name``, in lower case.
    :ivar alias: HostKeyAlias.
    :ivar jump: ProxyJump.
    """

    name: str
    host: str
    port: int
    user: str
    alias: str | None = None
    jump: str | None = None

    @classmethod
    def of(cls, name: str, config: ClientConfig) -> Target:
        """Return the target for a host's name.

        :raises ConfigurationError: Hostname, or User in a file, has a token that is not possible.
        """
        host = expand(config.host_name or "%h", {"h": name}).lower()
        target = cls(
            name,
            numeric(host, config.address_family) or host,
            config.port,
            config.user or getpass.getuser(),
            config.host_key_alias,
            config.proxy_jump,
        )
        if "%" not in target.user and "$" not in target.user:
            return target
        return replace(target, user=_expanded_user(target, config))

    @property
    def destination(self) -> str:
        """``user@host``, safe to print."""
        return f"{safe(self.user)}@{safe(self.name)}"

    def tokens(self) -> dict[str, str]:
        """Return the values of percent tokens (ssh_config(5), TOKENS)."""
        return host_tokens(
            host=self.host,
            original=self.name,
            port=str(self.port),
            user=self.user,
            alias=self.alias,
            jump=self.jump,
        )


def _expanded_user(target: Target, config: ClientConfig) -> str:
    """Return User with its tokens and variables replaced; one of the command line is as it is."""
    settings = config.settings.get("User", ())
    if not settings or settings[0].origin == COMMAND_LINE:
        return target.user
    from nacre.config.client.words import SCHEMA

    tokens = target.tokens()
    allowed = {name: tokens[name] for name in SCHEMA["User"].tokens}
    try:
        return expand(target.user, allowed, os.environ)
    except ConfigurationError as error:
        raise settings[0].origin.error(f"User: {error}") from None
