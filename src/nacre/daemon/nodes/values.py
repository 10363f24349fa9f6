"""What nodes know of each other."""

from __future__ import annotations

import re
import secrets
import socket
from typing import Literal, TypeAlias

from nacre.errors import ConfigurationError
from nacre.value import value
from nacre.wire.text import safe

NodeState: TypeAlias = Literal["serving", "stopping"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@value
class NodeIdentity:
    """Which node a process belongs to.

    :ivar name: its name, as administrators know it.
    :ivar server: random text that all processes of one server have, also of one that is restarted
        without an end; empty for a program that is no server.
    """

    name: str
    server: str


@value(kw_only=True)
class ServingNode:
    """A process that serves, or has served.

    :ivar name: that of its node.
    :ivar process: its number there.
    :ivar version: that of its nacre.
    :ivar state: ``gone`` for one whose lease has ended without its doing.
    :ivar began: when it began, in seconds since the epoch, by the clock of the database.
    :ivar left: seconds until its lease ends; negative when it has ended.
    :ivar connections: how many of its users' connections there are.
    """

    name: str
    process: int
    version: str
    state: NodeState | Literal["gone"]
    began: float
    left: float
    connections: int


@value(kw_only=True)
class NodeConnection:
    """A connection whose user is logged in.

    :ivar id: its numbers, as in the log of its node.
    :ivar since: when the user was let in, in seconds since the epoch.
    """

    id: str
    user: str
    peer: str
    since: float
    methods: tuple[str, ...]


def node_identity(name: str | None, server: str = "") -> NodeIdentity:
    """Return the identity of a server.

    :param name: as it was given; None for the name of the host.
    :param server: that of the server that this one follows; empty for a new one.
    """
    return NodeIdentity(name or _host_name(), server or secrets.token_hex(8))


def check_node_name(name: str) -> str:
    """Return a name that was given.

    :raises ConfigurationError: it can't be one.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{safe(name, 64)!r} can't be the name of a node: use at most 64 letters, digits, "
            "dots, hyphens and underscores, the first of them a letter or a digit"
        )
    return name


def _host_name() -> str:
    name = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()).lstrip("-._")[:64]
    return name or "node"
