"""What the server and the process of a login say to each other: values, one in each packet.

The server sends a request and gets an answer. The end of the server's socket closes the session.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias, get_args

from nacre.value import value

LARGEST = 1 << 18
"""Bytes of a packet, more than a socket's buffer takes."""

Pairs: TypeAlias = tuple[tuple[str, str], ...]


@value
class Begin:
    """Begin a transaction of PAM.

    :ivar service: the name of the file in ``/etc/pam.d``.
    :ivar user: the name that the client has given.
    :ivar host: the client's address.
    """

    service: str
    user: str
    host: str


@value(repr=False)
class CheckPassword:
    """Check a password, which answers the one hidden prompt, and the account.

    :ivar empty: whether an account without a password may log in with an empty one.
    :ivar new: the password to set if this one has expired, or None to set none.
    """

    password: str
    empty: bool = False
    new: str | None = None


@value
class HoldDialogue:
    """Check who the user is and the account, and change an expired password.

    What PAM asks for that is asked with :class:`Prompts`, in place of the outcome.

    :ivar empty: as in :class:`CheckPassword`.
    :ivar pretended: the user may not log in anyway, and is asked as others are; it always fails.
    """

    empty: bool = False
    pretended: bool = False


@value(repr=False)
class Respond:
    """Answer the prompts of :class:`Prompts`, in order."""

    responses: tuple[str, ...]


@value
class CheckAccount:
    """Check whether the account may be used."""


@value
class OpenSession:
    """Open a session, as an account.

    :ivar groups: the account's groups, to which modules may add some.
    """

    groups: tuple[int, ...]


@value
class Judged:
    """How a request went.

    :ivar reason: why it failed, for the log; "" if it succeeded.
    :ivar expired: the password must be changed first, and would be right without that.
    :ivar texts: what modules have to say to the user, a line each.
    """

    reason: str = ""
    expired: bool = False
    texts: tuple[str, ...] = ()


@value
class Prompts:
    """What PAM asks the user, and says before it.

    :ivar prompts: texts, and whether the answer may be seen while it is typed.
    """

    texts: tuple[str, ...]
    prompts: tuple[tuple[str, bool], ...]


@value
class OpenedSession:
    """A session was opened.

    :ivar environment: the variables that modules have set.
    :ivar groups: the groups of the session's processes.
    :ivar umask: their umask.
    :ivar texts: what modules have to say to the user, a line each.
    """

    environment: Pairs
    groups: tuple[int, ...]
    umask: int
    texts: tuple[str, ...]


Request: TypeAlias = Begin | CheckPassword | HoldDialogue | Respond | CheckAccount | OpenSession
Answer: TypeAlias = Judged | Prompts | OpenedSession

_MESSAGES: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (*get_args(Request), *get_args(Answer))
}


def encode(message: Any) -> bytes:
    """Return a message as JSON, with the name of its class first."""
    fields = [getattr(message, name) for name in type(message).__match_args__]
    text = json.dumps([type(message).__name__, *fields], ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def decode(data: bytes) -> Any:
    """Return the message that :func:`encode` has made this of."""
    name, *fields = json.loads(data.decode("utf-8", "surrogatepass"))
    return _MESSAGES[name](*map(_frozen, fields))


def _frozen(field: Any) -> Any:
    """Return a field with tuples in place of lists, which JSON has."""
    return tuple(map(_frozen, field)) if isinstance(field, list) else field
