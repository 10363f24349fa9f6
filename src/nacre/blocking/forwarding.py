"""Forwarded ports, tunnels and agent sockets without await."""

from __future__ import annotations

from nacre.blocking.background import Attribute, Closing, background, plain, waiting
from nacre.blocking.streams import Reader, Writer
from nacre.client.forwarding import devices as _devices
from nacre.client.forwarding import listener as _listener
from nacre.client.forwarding import tunnel as _tunnel
from nacre.server import agent as _agent


class Listener(Closing[_listener.Listener]):
    """A forwarded port or Unix socket, served in the background. ``with`` closes it at the end.

    Like :class:`nacre.Listener`.
    """

    host = Attribute[str]()
    port = Attribute[int]()
    path = Attribute[str]()
    closed = Attribute[bool]()

    close = waiting(_listener.Listener.close)
    wait_closed = waiting(_listener.Listener.wait_closed)


class Tunnel(Closing[_tunnel.Tunnel]):
    """A connection that the server made for the client. ``with`` closes it at the end.

    Like :class:`nacre.Tunnel`; its streams are raw files.
    """

    def __init__(self, inner: _tunnel.Tunnel) -> None:
        super().__init__(inner)
        self.reader = Reader(inner.reader)
        self.writer = Writer(inner.writer)

    close = waiting(_tunnel.Tunnel.close)
    wait_closed = waiting(_tunnel.Tunnel.wait_closed)

    def _leave(self) -> None:
        # Unlike ``close``, ``with`` does not wait for the peer.
        background.call_soon(self._inner.close)


class DeviceTunnel(Closing[_devices.DeviceTunnel]):
    """Two tunnel devices that a channel joins. ``with`` closes it at the end.

    Like :class:`nacre.DeviceTunnel`.
    """

    name = Attribute[str]()
    closed = Attribute[bool]()

    close = waiting(_devices.DeviceTunnel.close)
    wait_closed = waiting(_devices.DeviceTunnel.wait_closed)

    def _leave(self) -> None:
        background.call_soon(self._inner.close)


class AgentSocket(Closing[_agent.AgentSocket]):
    """A Unix socket that leads to the client's agent. ``with`` removes it at the end.

    Like :class:`nacre.AgentSocket`.
    """

    path = Attribute[str]()

    close = plain(_agent.AgentSocket.close)
