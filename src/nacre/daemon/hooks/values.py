"""Hooks as values: what an operator has defined, how far each one is, and what the process gets."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from nacre.value import value

Kind: TypeAlias = Literal["command", "url", "python"]

MOST_HOOKS = 32
"""Hooks of a server."""

LONGEST_TIMEOUT = 3600
"""Seconds that an attempt may take."""

TIMEOUT = 30
"""Seconds that an attempt may take by default."""

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
"""The names of hooks, which stand in logs and variables."""


@value(kw_only=True)
class Hook:
    """What an operator has defined.

    :ivar events: what it is told of; empty for everything.
    :ivar any_outcome: whether it is told of what has failed or was refused, too.
    :ivar target: the command, the URL, or the entry point.
    :ivar secret_file: the file with the key of the signature, of a URL; else empty.
    :ivar ca_file: the authorities whose servers are trusted, of a URL; empty for the system's.
    :ivar timeout: seconds that an attempt may take.
    :ivar give_up: seconds after which an event that could not be told is given up; 0 for never.
    """

    name: str
    events: tuple[str, ...]
    any_outcome: bool = False
    kind: Kind
    target: str
    secret_file: str = ""
    ca_file: str = ""
    timeout: int = TIMEOUT
    give_up: int = 0


@value(kw_only=True)
class Progress:
    """How far a hook is.

    :ivar position: the last event that it needs no more.
    :ivar delivered: events that it was told of; ``dead`` those that were given up.
    :ivar last: when it was told of an event last, in microseconds since the epoch; 0 for never.
    :ivar attempts: those that have failed of the event that is next.
    :ivar since: when that began, in microseconds since the epoch; 0 if nothing fails.
    :ivar problem: why it can't be told now; or empty.
    """

    position: int
    delivered: int = 0
    dead: int = 0
    last: int = 0
    attempts: int = 0
    since: int = 0
    problem: str = ""


@value(kw_only=True)
class StoredHook:
    """A hook of the table, its number there, and its progress."""

    number: int
    hook: Hook
    progress: Progress


@value(kw_only=True)
class DeadLetter:
    """An event that was given up.

    :ivar time: when that was, in microseconds since the epoch.
    """

    hook: int
    event: int
    time: int
    reason: str


@value(kw_only=True, repr=False)
class HookPlan:
    """What the process gets of a hook.

    :ivar secret: the key of the signature.
    :ivar authorities: certificates in PEM form that are trusted; empty for the system's.
    """

    number: int
    name: str
    kind: Kind
    target: str
    secret: bytes
    authorities: str
    timeout: int
    give_up: int
