"""The phases of a connection, and the two roles."""

from __future__ import annotations

from enum import Enum, IntEnum


class Role(Enum):
    """Which end of the connection an engine is."""

    CLIENT = "client"
    SERVER = "server"


class Phase(IntEnum):
    """The phase of a connection. It only moves forward.

    Phases 4 and 5, session request and interactive session, belong to a channel: a connection has
    many channels, each in one of the two.
    """

    VERSION = 1
    """Version negotiation (RFC 4253 section 4.2)."""

    KEX = 2
    """The first key and algorithm negotiation (RFC 4253 sections 7-9)."""

    AUTHENTICATION = 3
    """User authentication (RFC 4252)."""

    CONNECTION = 4
    """Session requests and interactive sessions (RFC 4254)."""

    CLOSED = 6
    """The connection has ended: nothing more is received or sent."""
