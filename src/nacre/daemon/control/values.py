"""What a server says of its connections, and how values become lines of JSON and are read again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeAlias, TypeVar

from nacre.errors import NacreError

V = TypeVar("V")

State: TypeAlias = Literal["login", "open", "rest"]
"""Of a connection: its client logs in; it is served; it rests, and no process serves it."""


class ControlError(NacreError):
    """A request on the control socket can't be answered; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A session of a connection.

    :ivar channel: its channel.
    :ivar request: ``shell``, ``command`` or ``subsystem``; empty before there is one.
    :ivar what: the command line or the name of the subsystem.
    :ivar terminal: whether it has a terminal.
    """

    channel: int
    request: str
    what: str
    terminal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """What only the process that serves a connection knows.

    :ivar idle: seconds since the client sent something.
    :ivar received: bytes that the system has received from the client, and ``sent`` those that the
        client has acknowledged; None where the connection is not TCP.
    :ivar sessions: how many sessions there are; ``running`` has the first of them.
    :ivar forwards: the channels that are no sessions; ``listens`` the places that are listened on.
    """

    idle: float
    received: int | None
    sent: int | None
    sessions: int
    forwards: int
    listens: int
    running: tuple[Running, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """A connection.

    :ivar id: its numbers as in the log, joined by dots: the gate or the worker, if there are any,
        the listener if there are several, and the connection.
    :ivar user: the user who is logged in; before the login the name that was given last, if that is
        known.
    :ivar peer: the client's address and port.
    :ivar since: when it began, in seconds since the epoch.
    :ivar methods: the methods that the user has logged in by.
    :ivar process: the number of the process that serves it; None for one at rest.
    :ivar details: None for one at rest, for one of another node, and where its process did not
        answer.
    :ivar node: the name of the node that has it, where several servers share a store.
    """

    id: str
    user: str
    state: State
    peer: str
    since: float
    methods: tuple[str, ...]
    process: int | None
    details: Details | None
    node: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """A connection that is being ended."""

    id: str
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A session is watched from now on: what follows are frames (``nacre.daemon.watching``).

    :ivar terminal: whether it has a terminal.
    """

    terminal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """A record of the log, as with ``--log-format json``."""

    record: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Records that were dropped, because the reader was too slow.

    :ivar lines: how many.
    """

    lines: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The end of an answer.

    :ivar silent: how many processes of the server did not answer in time.
    """

    silent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """What was asked is refused, with the reason."""

    reason: str


ANSWERS: Mapping[str, type[Any]] = {
    one.__name__.lower(): one
    for one in (Connected, Killed, Begun, Logged, Lost, Finished, Rejected)
}
"""The values of answers by their names on the wire."""


def line_of(value: object) -> bytes:
    """Return a value as a line of JSON: an object with the name of its kind as the only member."""
    return json_line({type(value).__name__.lower(): asdict(value)})  # type: ignore[call-overload]


def json_line(members: Mapping[str, object]) -> bytes:
    """Return an object as a line of JSON."""
    return json.dumps(members, default=str).encode() + b"\n"


def value_of(line: bytes) -> Any:
    """Return the value of an answer.

    :raises ControlError: it is none.
    """
    found = object_of(line)
    if len(found) != 1 or not ANSWERS.keys() >= found.keys():
        raise ControlError("the server says what this program does not know")
    ((name, members),) = found.items()
    return made(ANSWERS[name], members)


def object_of(line: bytes) -> dict[str, Any]:
    """Return an object of JSON.

    :raises ControlError: it is none.
    """
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ControlError("a line is no object of JSON")
    return found


def made(kind: type[V], members: object) -> V:
    """Return a value of a dataclass, made of an object of JSON.

    :raises ControlError: a member is unknown, missing or of another type.
    """
    if not isinstance(members, dict):
        raise ControlError(f"{kind.__name__.lower()} is no object")
    given = {}
    for field in fields(kind):  # type: ignore[arg-type]
        if field.name in members:
            name = f"{kind.__name__.lower()}.{field.name}"
            given[field.name] = _member(name, str(field.type), members[field.name])
    if unknown := sorted(members.keys() - given.keys()):
        raise ControlError(f"{kind.__name__.lower()} has no {unknown[0][:64]!r}")
    try:
        return kind(**given)
    except TypeError as error:
        raise ControlError(f"{kind.__name__.lower()} lacks something") from error


def _member(name: str, kind: str, value: Any) -> Any:
    base = kind.removesuffix(" | None")
    if value is None and base != kind:
        return None
    if many := _MANY.fullmatch(base):
        if isinstance(value, list):
            return tuple(_member(name, many[1], one) for one in value)
    elif base in _PARTS:
        return made(_PARTS[base], value)
    elif _TYPES[base](value):
        return value
    raise ControlError(f"{name} is not of the type {kind}")


_MANY = re.compile(r"tuple\[(\w+), \.\.\.\]")
_PARTS: Mapping[str, type[Any]] = {"Details": Details, "Running": Running}
_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "str": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: type(value) is int,
    "float": lambda value: type(value) in (int, float),
    "State": lambda value: isinstance(value, str),
    "Mapping[str, object]": lambda value: isinstance(value, dict),
}
"""How the types of members are checked."""
