"""The calls of :class:`nacre.Connection` that forward: ports, sockets, SOCKS, agent, display."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from nacre.aio.connection import BaseConnection
from nacre.aio.waiting import Opening
from nacre.errors import ConfigurationError
from nacre.protocol.tcpip import Endpoint, check_port
from nacre.wire import given

if TYPE_CHECKING:
    from nacre.client.forwarding.devices import DeviceTunnel
    from nacre.client.forwarding.forwards import Forwards
    from nacre.client.forwarding.listener import Listener
    from nacre.client.forwarding.tunnel import Tunnel
    from nacre.protocol.asks import SessionProof
    from nacre.protocol.requests import OtherRequest
    from nacre.protocol.tunnel import TunnelMode
    from nacre.tunnels.unix import UnixSockets

Path: TypeAlias = "str | os.PathLike[str]"
"""The path of a Unix socket; "" for none."""


class ForwardingCalls(BaseConnection):
    """A client's connection, as far as it forwards. Nothing is loaded until it does."""

    _forwards: Forwards | None = None
    _session: SessionProof | None = None

    @property
    def forwarded(self) -> tuple[str, ...]:
        """The connections that are forwarded now, as texts: ``#2 from ADDRESS port N to …``."""
        return () if self._forwards is None else self._forwards.open_now()

    @property
    def _forwarding(self) -> Forwards:
        if self._forwards is None:
            from nacre.client.forwarding.forwards import Forwards

            self._forwards = Forwards(self, self._session)
        return self._forwards

    def open_connection(self, host: str, port: int) -> Opening[Tunnel]:
        """Have the server connect to ``host``: await it, or use ``async with``.

        :param host: a name or an address, which the server looks up.
        :raises ConfigurationError: ``port`` is not a port.
        :raises ChannelOpenFailed: the server does not allow it, or could not connect.
        :raises ConnectionLost: or another error: what ended the connection.
        """
        given.text(host, "host")
        check_port("port", port)
        return Opening(lambda: self._forwarding.open(Endpoint(host, port)))

    def open_unix_connection(self, path: Path) -> Opening[Tunnel]:
        """Have the server connect to a Unix socket of its host: await it, or use ``async with``.

        Servers offer that as ``direct-streamlocal@openssh.com`` (OpenSSH's PROTOCOL, section 2.4).

        :raises ConfigurationError: ``path`` is empty.
        :raises ChannelOpenFailed: the server does not allow it, or could not connect.
        :raises ConnectionLost: or another error: what ended the connection.
        """
        place = _destination("", 0, path)
        return Opening(lambda: self._forwarding.open(place))

    def forward_local(
        self,
        host: str = "",
        port: int = 0,
        *,
        path: Path = "",
        listen_host: str = "localhost",
        listen_port: int = 0,
        listen_path: Path = "",
        unix: UnixSockets | None = None,
    ) -> Opening[Listener]:
        """Listen here, and have the server connect for each connection (``ssh -L``).

        Await it, or use ``async with``. The destination is ``host`` and ``port``, or the Unix
        socket ``path`` of the server. A connection that the server refuses is closed, and logged as
        a warning.

        :param listen_host: where to listen: an address of this host, or "" for all of them.
        :param listen_port: 0 lets the system choose; see ``Listener.port``.
        :param listen_path: a Unix socket to listen on, in place of ``listen_host`` and
            ``listen_port``; it is removed at the end.
        :param unix: how that socket is made; by default only its owner may connect to it, and there
            may be no file of that name.
        :raises ConfigurationError: there is no destination, or two, or a number is not a port.
        :raises OSError: the address or the path can't be used.
        :raises ConnectionLost: or another error: what ended the connection.
        """
        place = _destination(host, port, path)
        listen = _listen(listen_host, listen_port, listen_path, "the system")
        return Opening(lambda: self._forwarding.local(place, listen, unix))

    def forward_remote(
        self,
        host: str = "",
        port: int = 0,
        *,
        path: Path = "",
        listen_host: str = "localhost",
        listen_port: int = 0,
        listen_path: Path = "",
    ) -> Opening[Listener]:
        """Have the server listen, and connect from here for each connection (``ssh -R``).

        Await it, or use ``async with``. The destination is ``host`` and ``port``, or the Unix
        socket ``path`` of this host.

        :param listen_host: where the server listens: "localhost", "" for every address, or one of
            the server's; it may not allow all of them.
        :param listen_port: 0 lets the server choose; see ``Listener.port``. SSH-1 needs a number
            here, and the call must come before the session begins.
        :param listen_path: a Unix socket of the server to listen on, in place of ``listen_host``
            and ``listen_port``.
        :raises ConfigurationError: there is no destination, or two, or a number is not a port.
        :raises RequestFailed: the server does not listen there.
        :raises ConnectionLost: or another error: what ended the connection.
        """
        place = _destination(host, port, path)
        listen = _listen(listen_host, listen_port, listen_path, "the server")
        return Opening(lambda: self._forwarding.remote(place, listen))

    def forward_dynamic(
        self,
        *,
        listen_host: str = "localhost",
        listen_port: int = 0,
        listen_path: Path = "",
        unix: UnixSockets | None = None,
    ) -> Opening[Listener]:
        """Listen here as a SOCKS proxy (4, 4a, 5) that connects from the server (``ssh -D``).

        The proxy serves every program that can connect to it. Parameters and errors are those of
        :meth:`forward_local`.
        """
        listen = _listen(listen_host, listen_port, listen_path, "the system")
        return Opening(lambda: self._forwarding.dynamic(listen, unix))

    def forward_remote_dynamic(
        self,
        *,
        permitted: Sequence[tuple[str, int | None]] | None = None,
        listen_host: str = "localhost",
        listen_port: int = 0,
        listen_path: Path = "",
    ) -> Opening[Listener]:
        """Have the server listen for SOCKS clients, and connect from here (``ssh -R PORT``).

        Every program that can connect to the server's port reaches this host's network, so say with
        ``permitted`` what may be reached where that matters. Other parameters and errors are those
        of :meth:`forward_remote`.

        :param permitted: hosts and ports that clients may connect to, where the host ``*`` and the
            port None stand for any; None permits everything. Hosts are compared as texts.
        """
        listen = _listen(listen_host, listen_port, listen_path, "the server")
        return Opening(lambda: self._forwarding.remote_dynamic(permitted, listen))

    def forward_agent(self, path: str | os.PathLike[str] | None = None) -> None:
        """Let sessions that start from now on use an agent of this host (``ssh -A``).

        Anyone with the rights of root on the server can then use the agent's keys while the
        connection lasts, though not read them.

        :param path: the agent's socket; by default what ``SSH_AUTH_SOCK`` names.
        :raises ConfigurationError: there is no agent.
        """
        self._forwarding.lend_agent(path)

    @property
    def forwards_agent(self) -> bool:
        """Whether sessions may use an agent of this host."""
        return self._forwards is not None and self._forwards.lends_agent

    def forward_tunnel(
        self,
        mode: TunnelMode = "point-to-point",
        *,
        unit: int | None = None,
        remote_unit: int | None = None,
    ) -> Opening[DeviceTunnel]:
        """Join a tunnel device of this host to one of the server (``ssh -w``).

        Await it, or use ``async with``. The devices get their addresses from the caller.

        :param mode: ``point-to-point`` for packets of IP, ``ethernet`` for frames.
        :param unit: the number of this host's device, such as 3 for ``tun3``; None for any. A new
            one needs the rights of root.
        :param remote_unit: that of the server's; None for any.
        :raises ConfigurationError: ``remote_unit`` is no number of a device.
        :raises OSError: this host's device can't be had.
        :raises ChannelOpenFailed: the server does not allow it.
        :raises ConnectionLost: or another error: what ended the connection.
        """
        from nacre.client.forwarding.devices import join_devices
        from nacre.tunnels.device import UNITS

        if remote_unit is not None and remote_unit not in UNITS:
            raise ConfigurationError(f"remote_unit={remote_unit} is no number of a device")
        return Opening(lambda: join_devices(self, mode, unit, remote_unit))

    async def forward_x11(
        self,
        display: str | None = None,
        *,
        trusted: bool = True,
        timeout: float = 1200.0,
        single: bool = False,
        xauth: str = "/usr/bin/xauth",
    ) -> None:
        """Let programs of sessions that start from now on use a display of this host (``ssh -X``).

        The server gets a random cookie in place of the display's own. A trusted program can do what
        a program of this host can: read the keys that are typed, and what others show. Anyone with
        the rights of root on the server can be such a program while the connection lasts.

        :param display: in the form of the variable ``DISPLAY``; None for its value.
        :param trusted: False has the display make a cookie with few rights, and allows connections
            for ``timeout`` seconds; 0 for no limit.
        :param single: whether each session's programs may connect once only.
        :param xauth: the program xauth, which knows the display's cookie.
        :raises ConfigurationError: there is no display, or xauth makes no such cookie.
        """
        from nacre.client.forwarding.x11 import X11Terms, forward_display

        self.check()
        terms = X11Terms(trusted, timeout, xauth, single)
        self._forwarding.display = await forward_display(display, terms)

    def _lends(self, *, agent: bool = True, x11: bool = True) -> tuple[OtherRequest, ...]:
        """Return the requests for what a session may use of this host."""
        return () if self._forwards is None else self._forwards.lends(agent=agent, x11=x11)


def _destination(host: str, port: int, path: Path) -> Endpoint:
    """Return a destination: a host and its port, or a path."""
    given.text(host, "host")
    text = _path(path, "path")
    if bool(host) == bool(text):
        raise ConfigurationError("give a destination: a host and a port, or the path of a socket")
    if text:
        return Endpoint(path=text)
    check_port("port", port)
    return Endpoint(host, port)


def _listen(host: str, port: int, path: Path, chooses: str) -> Endpoint:
    """Return where to listen: an address and a port, or a path."""
    if text := _path(path, "listen_path"):
        return Endpoint(path=text)
    given.text(host, "listen_host")
    check_port("listen_port", port, chosen=chooses)
    return Endpoint(host, port)


def _path(path: Path, name: str) -> str:
    return given.text(path if isinstance(path, str) else os.fspath(path), name)
