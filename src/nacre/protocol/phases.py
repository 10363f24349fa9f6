"""The phases of a connection, and the two roles."""

from __future__ import annotations

from enum import Enum, IntEnum


class Role(Enum):
    """Which end of the connection an engine is."""

    CLIENT = "client"
    SERVER = "server"


class Phase(IntEnum):
    """Where a connection stands. It only ever goes on, never back.

    Phases 4 and 5, session request and interactive session, are of a channel: one connection has
    many channels, and each may be in another of the two.
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
    """Nothing is received or sent any more."""
