"""Hosts as users write them for a jump: ``[user@]host[:port]``, or an ``ssh://`` URI.

Names end up in the command line of a ProxyCommand, so what a shell would act on is refused here, as
ssh(1) does.
"""

from __future__ import annotations

from collections.abc import Iterable

from nacre.config import values
from nacre.config.syntax.lexer import quote
from nacre.errors import ConfigurationError
from nacre.value import value
from nacre.wire.text import safe

MAX_HOPS = 16
"""Jump hosts on the way to a host: each is one more login, and encrypts all data once more."""

_FOR_SHELLS = frozenset("'`\"\\;&<>|(){}")
_FORM = "[user@]host[:port] or ssh://[user@]host[:port], an IPv6 address in brackets"


@value
class Destination:
    """A host to connect to.

    :ivar user: None if none was given; so is ``port``.
    """

    host: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user is not None else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{user}{host}" + (f":{self.port}" if self.port is not None else "")


def check_host(host: str) -> str:
    """Return ``host``, unless it is empty or a shell or a program could take it for something else.

    :raises ConfigurationError: it begins with ``-``, or has a character that shells act on.
    """
    bad = any(c in _FOR_SHELLS or c in "$," or c.isspace() or not c.isprintable() for c in host)
    if not host or host.startswith("-") or bad:
        raise ConfigurationError(
            f"{safe(host, 100)!r} can't be the name of a host: it is empty, begins with -, or has "
            "a space, a comma or a character that shells act on"
        )
    return host


def check_user(user: str) -> str:
    """Return ``user``, unless it is empty or a shell or a program could take it for something else.

    A backslash may stand within a user's name (``DOMAIN\\user``), and so may spaces and ``$``.

    :raises ConfigurationError: it, or a word of it, begins with ``-``; it ends with a backslash; or
        it has a character that shells act on.
    """
    bad = any(c in _FOR_SHELLS - {"\\"} or (c != " " and not c.isprintable()) for c in user)
    words = user.split(" ")
    if not user or user.endswith("\\") or bad or any(word.startswith("-") for word in words):
        raise ConfigurationError(
            f"{safe(user, 100)!r} can't be the name of a user: it is empty, begins with -, ends "
            "with a backslash, or has a character that shells act on"
        )
    return user


def check_for_shell(hosts: Iterable[str], user: str | None) -> None:
    """Check the names that a command for a shell gets in place of its tokens.

    :param hosts: an empty one, of a program that has none yet, is passed over.
    :param user: None if a file of the configuration names it, which is trusted as the command is.
    :raises ConfigurationError: see :func:`check_host` and :func:`check_user`.
    """
    for host in filter(None, hosts):
        check_host(host)
    if user is not None:
        check_user(user)


def parse(keyword: str, text: str) -> Destination:
    """Parse one destination.

    :param keyword: whose value it is, for errors.
    :raises ConfigurationError: it has another form, or a name that is not possible.
    """
    uri = text.lower().startswith("ssh://")
    user, at, place = (text[6:].rstrip("/") if uri else text).rpartition("@")
    if uri:
        from urllib.parse import unquote

        user = unquote(user.partition(";")[0])
    if place.startswith("["):
        host, closed, rest = place[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        if not closed or colon not in ("", ":"):
            raise values.bad(keyword, text, _FORM)
    else:
        host, colon, port = place.partition(":")
    if (colon and not port) or (at and not user) or not host or "/" in host:
        raise values.bad(keyword, text, _FORM)
    try:
        check_host(host)
        user = check_user(user) if at else ""
    except ConfigurationError as error:
        raise ConfigurationError(f"{keyword}: {error}") from None
    return Destination(host, user or None, values.port(keyword, port) if colon else None)


def options(destination: Destination) -> list[str]:
    """Return ``Keyword=Value`` texts for what a destination names beside the host."""
    found = [f"User={quote(destination.user)}"] if destination.user is not None else []
    return found + ([f"Port={destination.port}"] if destination.port is not None else [])


def parse_jumps(keyword: str, text: str) -> tuple[Destination, ...]:
    """Parse destinations with commas between them, in the order in which to visit them.

    :raises ConfigurationError: one has another form, or there are too many.
    """
    parts = text.split(",")
    check_count(len(parts))
    return tuple(parse(keyword, part.strip()) for part in parts)


def check_count(hops: int) -> None:
    """Check the number of jump hosts on the way to a host.

    :raises ConfigurationError: there are more than MAX_HOPS.
    """
    if hops > MAX_HOPS:
        raise ConfigurationError(f"ProxyJump: {hops} jump hosts: give at most {MAX_HOPS}")
