"""What a user may forward: the keywords of sshd_config(5) and the options of the user's key."""

from __future__ import annotations

from collections.abc import Iterable

from nacre.config.server.config import ServerConfig
from nacre.config.server.kinds import Permitted
from nacre.daemon.accounts.accounts import Login
from nacre.daemon.processes.account_devices import open_as
from nacre.daemon.processes.account_sockets import AccountSockets
from nacre.errors import AccountError
from nacre.keys.key_options import NO_OPTIONS, HostPort
from nacre.keys.patterns import matches
from nacre.protocol.tunnel import TunnelMode
from nacre.tunnels.device import TunnelDevice
from nacre.tunnels.unix import UnixSockets

_PRIVILEGED = 1024
"""Ports below this one are reserved for root."""

_LOOPBACK = ("127.0.0.1", "::1")
"""Addresses that a client may choose where only the loopback interface is allowed."""


class Forwarding:
    """The rights of one login. A user without a shell may forward nothing.

    :ivar agent: the user's sessions may use the client's agent.
    :ivar x11: they may use the client's display.
    :ivar unix: makes the user's Unix sockets.
    :ivar recorded: what is forwarded is recorded, by a server that records.
    """

    def __init__(self, login: Login | None, config: ServerConfig) -> None:
        """Combine the configuration and the login.

        :param login: what the user's sessions run as; None grants nothing.
        """
        self._config = config
        self.recorded = login is not None and login.record != "no"
        self._key = NO_OPTIONS if login is None else login.key
        self._open = _places(config.permit_open), self._key.permit_open or None
        self._listen = _places(config.permit_listen), self._key.permit_listen or None
        # This process may have rights that the account lacks.
        self._lowest = 1 if login is None or login.account.credentials is None else _PRIVILEGED
        allowed = login is not None and login.has_shell and not config.disable_forwarding
        self._devices = allowed
        self._rights = None if login is None else _numbers(login)
        ports = allowed and self._key.port_forwarding
        self._local = ports and "local" in config.allow_tcp_forwarding
        self._remote = ports and "remote" in config.allow_tcp_forwarding
        # As in sshd, AllowTcpForwarding ends the forwarding of Unix sockets too.
        unix = config.allow_stream_local_forwarding
        self._unix_local = self._local and "local" in unix
        self._unix_remote = self._remote and "remote" in unix
        self.unix = _sockets(login, config)
        self.x11 = allowed and config.x11_forwarding and self._key.x11_forwarding
        self.agent = allowed and config.allow_agent_forwarding and self._key.agent_forwarding

    async def open_device(self, mode: TunnelMode, unit: int | None) -> TunnelDevice:
        """Open the tunnel device that the client wants, with the rights of the account.

        :raises AccountError: that is not allowed.
        :raises OSError: the account can't have the device.
        """
        if not self._devices or self._config.permit_tunnel not in ("yes", mode):
            raise AccountError("PermitTunnel and the user's rights allow no such device")
        forced = self._key.tunnel
        if forced is not None:
            number = None if forced == "any" else int(forced)
            if unit not in (None, number):
                raise AccountError(f"the user's key is for the device {forced}")
            unit = number
        if self._rights is None:
            return TunnelDevice.open(mode, unit)
        return await open_as(self._rights, mode, unit)

    def may_connect(self, host: str, port: int) -> bool:
        """Tell whether the user may connect to ``host``.

        Names are compared as text and never looked up: otherwise the owner of a name could point it
        at a permitted address (PermitOpen in sshd_config(5)).
        """
        if not self._local:
            return False
        return all(_names(one, host, port) for one in self._open)

    def may_connect_to(self, path: str) -> bool:
        """Tell whether the user may connect to a Unix socket.

        As in sshd, a list of places denies every path that is not one of its hosts.
        """
        return self._unix_local and all(_names(one, path, None) for one in self._open)

    def may_listen_at(self) -> bool:
        """Tell whether the user may have a Unix socket; PermitListen is about ports alone."""
        return self._unix_remote

    def where_to_listen(self, host: str, port: int) -> str | None:
        """Return the address to listen on for a request with ``host``, or None to refuse."""
        if not self._remote or 0 < port < self._lowest:
            return None
        if not all(_match(one, host.lower(), port) for one in self._listen):
            return None
        if self._config.gateway_ports == "clientspecified":
            return "" if host == "*" else host
        if self._config.gateway_ports == "yes":
            return ""
        return host if host in _LOOPBACK else "localhost"


def _numbers(login: Login) -> tuple[int, int, tuple[int, ...]] | None:
    """Return the numbers of the account if its rights are not those of this process."""
    rights = login.account.credentials
    return None if rights is None else (rights.uid, rights.gid, rights.groups)


def _sockets(login: Login | None, config: ServerConfig) -> UnixSockets:
    """Return what makes Unix sockets with the rights of the account."""
    mask, replace = config.stream_local_bind_mask, config.stream_local_bind_unlink
    rights = None if login is None else login.account.credentials
    if login is None or (rights is None and login.root is None):
        return UnixSockets(mask, replace)
    account = login.account
    numbers = account.uid, account.gid, account.groups
    return AccountSockets(mask, replace, numbers, login.root)


def _places(permitted: Iterable[Permitted] | None) -> list[HostPort] | None:
    return None if permitted is None else [one.place for one in permitted]


def _names(places: Iterable[HostPort] | None, host: str, port: int | None) -> bool:
    return places is None or any(
        one in ("*", host) and number in (None, port) for one, number in places
    )


def _match(places: Iterable[HostPort] | None, host: str, port: int) -> bool:
    return places is None or any(
        matches(host, pattern) and number in (None, port) for pattern, number in places
    )
