"""Forwarded ports, tunnels and agent sockets without await."""

from __future__ import annotations

from nacre.blocking.background import Attribute, Closing, background, plain, waiting
from nacre.blocking.streams import Reader, Writer
from nacre.client.forwarding import forwards as _forward
from nacre.server import agent as _agent


class Listener(Closing[_forward.Listener]):
    """A forwarded port, served in the background. ``with`` closes it at the end.

    Like :class:`nacre.Listener`.
    """

    host = Attribute[str]()
    port = Attribute[int]()
    closed = Attribute[bool]()

    close = waiting(_forward.Listener.close)
    wait_closed = waiting(_forward.Listener.wait_closed)


class Tunnel(Closing[_forward.Tunnel]):
    """A connection that the server made for the client. ``with`` closes it at the end.

    Like :class:`nacre.Tunnel`; its streams are raw files.
    """

    def __init__(self, inner: _forward.Tunnel) -> None:
        super().__init__(inner)
        self.reader = Reader(inner.reader)
        self.writer = Writer(inner.writer)

    close = waiting(_forward.Tunnel.close)
    wait_closed = waiting(_forward.Tunnel.wait_closed)

    def _leave(self) -> None:
        # Unlike ``close``, ``with`` does not wait for the peer.
        background.call_soon(self._inner.close)


class AgentSocket(Closing[_agent.AgentSocket]):
    """A Unix socket that leads to the client's agent. ``with`` removes it at the end.

    Like :class:`nacre.AgentSocket`.
    """

    path = Attribute[str]()

    close = plain(_agent.AgentSocket.close)
