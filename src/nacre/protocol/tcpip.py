"""What is said of forwarded ports, as values (RFC 4254 section 7)."""

from __future__ import annotations

from nacre.wire.message import U32, Record, Text, record

AGENT_CHANNEL = "auth-agent@openssh.com"
"""The type of a channel that leads to the client's agent."""

AGENT_REQUEST = "auth-agent-req@openssh.com"
"""The request on a session that lets its processes use the client's agent."""

DIRECT = "direct-tcpip"
"""The type of a channel on which the client has the server connect somewhere."""

FORWARDED = "forwarded-tcpip"
"""The type of a channel for a connection to a port that the server listens on for the client."""

LISTEN = "tcpip-forward"
"""The global request to listen on a port; its success carries the port where 0 was asked for."""

CANCEL = "cancel-tcpip-forward"
"""The global request to listen no longer."""

PORTS = range(1, 65536)
"""Ports of TCP that somebody can connect to."""


@record
class TCPIPChannel(Record):
    """The data of ``direct-tcpip``: where to, and from where (RFC 4254 section 7.2).

    Of ``forwarded-tcpip``: where the server listens, as the client asked for it, and who came.
    """

    host: Text
    port: U32
    originator: Text
    originator_port: U32


@record
class TCPIPForward(Record):
    """The data of ``tcpip-forward`` and ``cancel-tcpip-forward`` (RFC 4254 section 7.1)."""

    host: Text
    port: U32


@record
class AllocatedPort(Record):
    """What the success of a ``tcpip-forward`` for port 0 carries."""

    port: U32
