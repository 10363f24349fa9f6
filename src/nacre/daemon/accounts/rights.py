"""What a user may have forwarded: sshd's words, and the options of the key the user came with."""

from __future__ import annotations

from collections.abc import Iterable

from nacre.config.server import ServerConfig
from nacre.daemon.accounts.accounts import Login
from nacre.keys.key_options import NO_OPTIONS, HostPort
from nacre.keys.patterns import matches

_PRIVILEGED = 1024
"""Ports below are root's."""


class Forwarding:
    """The rights of one login. Who has no shell forwards nothing.

    :ivar agent: the user's sessions may use the client's agent.
    """

    def __init__(self, login: Login | None, config: ServerConfig) -> None:
        """Put together what there is to know.

        :param login: what the user works as; None is nothing.
        """
        self._config = config
        self._key = NO_OPTIONS if login is None else login.key
        # This process may have rights that the account does not have.
        self._lowest = 1 if login is None or login.account.credentials is None else _PRIVILEGED
        allowed = login is not None and login.has_shell and not config.disable_forwarding
        ports = allowed and self._key.port_forwarding
        self._local = ports and "local" in config.allow_tcp_forwarding
        self._remote = ports and "remote" in config.allow_tcp_forwarding
        self.agent = allowed and config.allow_agent_forwarding and self._key.agent_forwarding

    def may_connect(self, host: str, port: int) -> bool:
        """Tell whether the user may connect to ``host``.

        Hosts are compared as they were written, and never by what a lookup says of them: a name
        would mean what its owner wants it to (PermitOpen in sshd_config(5)).
        """
        if not self._local:
            return False
        lists = (self._config.permit_open, self._key.permit_open or None)
        return all(_names(one, host, port) for one in lists)

    def where_to_listen(self, host: str, port: int) -> str | None:
        """Return the address to listen on where the client asked for ``host``, or None for no."""
        if not self._remote or 0 < port < self._lowest:
            return None
        lists = (self._config.permit_listen, self._key.permit_listen or None)
        if not all(_match(one, host.lower(), port) for one in lists):
            return None
        if self._config.gateway_ports == "clientspecified":
            return "" if host == "*" else host
        return "" if self._config.gateway_ports == "yes" else "localhost"


def _names(places: Iterable[HostPort] | None, host: str, port: int) -> bool:
    return places is None or any(
        one in ("*", host) and number in (None, port) for one, number in places
    )


def _match(places: Iterable[HostPort] | None, host: str, port: int) -> bool:
    return places is None or any(
        matches(host, pattern) and number in (None, port) for pattern, number in places
    )
