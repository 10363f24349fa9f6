"""Names and data of X11 forwarding (RFC 4254 section 6.3)."""

from __future__ import annotations

from nacre.wire.message import U32, Bool, Record, String, Text, record

X11_CHANNEL = "x11"
"""The type of a channel for a program at the server that connects to the client's display."""

X11_REQUEST = "x11-req"
"""The request on a session that lets its programs use the client's display."""

PORT = 6000
"""The TCP port of display 0; those of the others follow."""


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
