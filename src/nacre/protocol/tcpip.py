"""Names and data of forwarding: TCP/IP, agents and X11 (RFC 4254 sections 6.3, 7), Unix sockets."""

from __future__ import annotations

from nacre.errors import ConfigurationError
from nacre.protocol.tunnel import TUNNEL
from nacre.value import value
from nacre.wire.message import U32, Bool, Record, String, Text, record
from nacre.wire.text import safe

AGENT_CHANNEL = "auth-agent@openssh.com"
"""The type of a channel that leads to the client's agent."""

AGENT_REQUEST = "auth-agent-req@openssh.com"
"""The request on a session that lets its processes use the client's agent."""

DIRECT = "direct-tcpip"
"""The type of a channel for a connection that the server makes for the client (``ssh -L``)."""

DIRECT_STREAMLOCAL = "direct-streamlocal@openssh.com"
"""The type of a channel for a connection that the server makes to a Unix socket."""

FORWARDED_STREAMLOCAL = "forwarded-streamlocal@openssh.com"
"""The type of a channel for a connection to a Unix socket that the server listens on."""

FORWARDED = "forwarded-tcpip"
"""The type of a channel for a connection to a port that the server listens on (``ssh -R``)."""

LISTEN = "tcpip-forward"
"""The global request to listen on a port; for port 0 the reply holds the port that was chosen."""

CANCEL = "cancel-tcpip-forward"
"""The global request to stop listening on a port."""

LISTEN_STREAMLOCAL = "streamlocal-forward@openssh.com"
"""The global request to listen on a Unix socket (OpenSSH's PROTOCOL, section 2.4)."""

CANCEL_STREAMLOCAL = "cancel-streamlocal-forward@openssh.com"
"""The global request to stop listening on a Unix socket."""

OPENED_BY_CLIENTS = frozenset({DIRECT, DIRECT_STREAMLOCAL, TUNNEL})
"""The channels by which clients forward; :mod:`nacre.server.forwarding` answers them."""

REQUESTED_BY_CLIENTS = frozenset({LISTEN, CANCEL, LISTEN_STREAMLOCAL, CANCEL_STREAMLOCAL})
"""The global requests by which clients forward."""

CANCELLED_BY_CLIENTS = frozenset({CANCEL, CANCEL_STREAMLOCAL})
"""Those of them that end something, for which no reply is needed."""

PORTS = range(1, 65536)
"""The TCP ports that a client can connect to."""


def check_port(name: str, port: object, *, chosen: str = "") -> None:
    """Check a port that a caller names: the system would take 69658 for 4122.

    :param name: the parameter, for the error.
    :param chosen: who chooses a port for 0; empty if 0 is no choice.
    :raises ConfigurationError: it is not an int, or out of range.
    """
    lowest = 0 if chosen else 1
    if isinstance(port, int) and not isinstance(port, bool) and lowest <= port <= PORTS[-1]:
        return
    hint = f"; 0 lets {chosen} choose" if chosen else ""
    raise ConfigurationError(
        f"{name}={safe(repr(port), 64)} is not a port: give an int from {lowest} to 65535{hint}"
    )


X11_CHANNEL = "x11"
"""The type of a channel for a program at the server that connects to the client's display."""

X11_REQUEST = "x11-req"
"""The request on a session that lets its programs use the client's display."""

X11_PORT = 6000
"""The TCP port of display 0; those of the others follow."""


@value
class Endpoint:
    """Where a forwarding listens, or where it leads: a port of a host, or a Unix socket.

    :ivar host: a name or an address; of a listener also "" for every address.
    :ivar port: its port; of a listener that is requested also 0, for one that is chosen.
    :ivar path: the path of a Unix socket, in place of ``host`` and ``port``; "" for none.
    """

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        """Return a text that is safe to print."""
        return safe(self.path) or f"{safe(self.host) or 'every address,'} port {self.port}"


@record
class TCPIPChannel(Record):
    """The type-specific data of ``direct-tcpip`` and ``forwarded-tcpip`` (RFC 4254 section 7.2).

    ``host`` and ``port`` are the target of a ``direct-tcpip``. In a ``forwarded-tcpip`` they are
    what the server listens on, as the client requested it.
    """

    host: Text
    port: U32
    originator: Text
    originator_port: U32


@record
class StreamlocalChannel(Record):
    """The type-specific data of ``direct-streamlocal@openssh.com`` (OpenSSH's PROTOCOL, 2.4)."""

    path: Text
    reserved: Text
    reserved_number: U32


@record
class StreamlocalForward(Record):
    """The data of ``streamlocal-forward@openssh.com`` and of its cancellation."""

    path: Text


@record
class ForwardedStreamlocalChannel(Record):
    """The type-specific data of ``forwarded-streamlocal@openssh.com`` (OpenSSH's PROTOCOL, 2.4)."""

    path: Text
    reserved: Text


@record
class TCPIPForward(Record):
    """The data of ``tcpip-forward`` and ``cancel-tcpip-forward`` (RFC 4254 section 7.1)."""

    host: Text
    port: U32


@record
class AllocatedPort(Record):
    """The data of the success of a ``tcpip-forward`` for port 0 (RFC 4254 section 7.1)."""

    port: U32


@record
class X11Request(Record):
    """The data of ``x11-req``.

    ``single`` is whether one connection is forwarded and no more. ``cookie`` is hexadecimal.
    """

    single: Bool
    protocol: String
    cookie: String
    screen: U32


@record
class X11Channel(Record):
    """The type-specific data of an ``x11`` channel: where the program has connected from."""

    originator: Text
    originator_port: U32
