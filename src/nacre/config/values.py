"""Parsers for the kinds of values in OpenSSH's configuration.

Each parser gets the keyword and its text. It raises :class:`~nacre.errors.ConfigurationError` with
the keyword, the bad value and the allowed ones. Formats are those of ssh_config(5), and of
the section TIME FORMATS of sshd_config(5).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from nacre.errors import ConfigurationError
from nacre.value import replace, value
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.limits import Limits

T = TypeVar("T")


class LogLevel(IntEnum):
    """How much is logged. Each level includes the levels before it."""

    QUIET = 0
    FATAL = 1
    ERROR = 2
    INFO = 3
    VERBOSE = 4
    DEBUG1 = 5
    DEBUG2 = 6
    DEBUG3 = 7


LOG_LEVELS = {level.name.lower(): level for level in LogLevel} | {"debug": LogLevel.DEBUG1}
"""OpenSSH's names of the levels."""

BOOLEAN = {"yes": True, "true": True, "no": False, "false": False}
"""OpenSSH's words for yes and no."""

_TIME = re.compile(r"(?:\d+[sSmMhHdDwW]?)+")
_TIME_PART = re.compile(r"(\d+)([a-z]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZE = re.compile(r"(\d+)([kmgKMG]?)")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_SPLIT = re.compile(r"\s*([^\s=]+)(?:\s*=\s*|\s+|$)(.*)", re.DOTALL)
_WORD = re.compile(r'(?:[^\s"\\]|\\["\\ ]|\\|"(?:[^"\\]|\\.)*")+')
_QUOTED = re.compile(r'\\(["\\ ])|"')
_MOST_SECONDS = (1 << 31) - 1
_SIGNS = ("+", "-", "^")


def bad(keyword: str, value: str, allowed: str) -> ConfigurationError:
    """Return the error for a bad value.

    :param allowed: the allowed values, for the message.
    """
    return ConfigurationError(f"{keyword}: bad value {safe(value, 100)!r}; allowed: {allowed}")


def split(option: str) -> tuple[str, str]:
    """Split ``Keyword=Value`` or ``Keyword Value``; either part may be empty."""
    found = _SPLIT.fullmatch(option)
    return (found[1], found[2].strip()) if found else ("", "")


def unknown(keyword: str, known: Iterable[str]) -> ConfigurationError:
    """Return the error for an unknown keyword, which suggests a similar one of ``known``."""
    from difflib import get_close_matches

    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(keyword.lower(), by_lower, 1)
    hint = f"; did you mean {by_lower[near[0]]}?" if near else ""
    return ConfigurationError(f"Bad configuration option: {safe(keyword, 100)}{hint}")


def word(keyword: str, value: str, meanings: Mapping[str, T]) -> T:
    """Parse one of a few words, in upper or lower case, and return its meaning."""
    try:
        return meanings[value.lower()]
    except KeyError:
        raise bad(keyword, value, ", ".join(meanings)) from None


def boolean(keyword: str, value: str) -> bool:
    """Parse ``yes`` or ``true``, ``no`` or ``false``."""
    return word(keyword, value, BOOLEAN)


def integer(keyword: str, value: str, low: int, high: int) -> int:
    """Parse a decimal number from ``low`` to ``high``."""
    if re.fullmatch(r"[+-]?[0-9]{1,19}", value) and low <= int(value) <= high:
        return int(value)
    raise bad(keyword, value, f"a number from {low} to {high}")


def port(keyword: str, value: str) -> int:
    """Parse a port number, 1 to 65535."""
    return integer(keyword, value, 1, 65535)


def seconds(keyword: str, value: str) -> int:
    """Parse a time: ``90``, ``90s``, ``1h30m``, ``2d``. A number without a unit is in seconds."""
    if value.isascii() and len(value) <= 64 and _TIME.fullmatch(value):
        parts = _TIME_PART.findall(value.lower())
        total = sum(int(count) * _SECONDS[unit] for count, unit in parts)
        if total <= _MOST_SECONDS:
            return total
    raise bad(keyword, value, "a time such as 90, 90s or 1h30m")


def size(keyword: str, value: str) -> int:
    """Parse a size in bytes: ``4096``, ``64K``, ``1M``, ``1G``."""
    found = _SIZE.fullmatch(value) if value.isascii() and len(value) <= 16 else None
    if found is None:
        raise bad(keyword, value, "a size such as 64K, 1M or 1G")
    return int(found[1]) * _UNITS[found[2].lower()]


def words(keyword: str, value: str) -> tuple[str, ...]:
    r"""Split a value at white space; ``"..."`` may contain some, and ``\"`` is a quotation mark."""
    found: list[str] = []
    at = 0
    while at < len(value):
        if value[at].isspace():
            at += 1
            continue
        match = _WORD.match(value, at)
        if match is None:
            raise bad(keyword, value, "words, with every quotation mark closed")
        found.append(_QUOTED.sub(lambda m: m[1] or "", match[0]))
        at = match.end()
    return tuple(found)


def one_word(keyword: str, value: str) -> str:
    """Parse exactly one word, quoted or not."""
    found = words(keyword, value)
    if len(found) != 1 or not found[0]:
        raise bad(keyword, value, "one word")
    return found[0]


def some_words(keyword: str, value: str) -> tuple[str, ...]:
    """Parse one or more words."""
    found = words(keyword, value)
    if not found:
        raise bad(keyword, value, "one or more words")
    return found


def names(keyword: str, value: str) -> tuple[str, ...]:
    """Parse a comma-separated list without spaces, such as ``publickey,password``."""
    found = tuple(value.split(","))
    if not all(found) or any(c.isspace() for c in value):
        raise bad(keyword, value, "names with commas between them")
    return found


def algorithms(keyword: str, value: str, kind: str) -> str:
    """Check a list of algorithms, ``a,b``, ``+a``, ``-a*`` or ``^a``, and return it unchanged.

    :param kind: a name of :func:`nacre.protocol.options.known`, such as ``cipher``.
    """
    from nacre.protocol.options import choose  # loads the crypto package

    names = value[1:] if value.startswith(_SIGNS) else value
    if names.startswith(_SIGNS) or " " in value:
        raise bad(keyword, value, "names with commas between them, and one of + - ^ in front")
    try:
        choose(kind, value)
    except ConfigurationError as error:
        raise ConfigurationError(f"{keyword}: {error}") from None
    return value


def protocols(keyword: str, value: str) -> tuple[int, ...]:
    """Parse ``2``, ``2,1`` or ``1``: the versions that :mod:`nacre.aio.versions` may choose."""
    found = {"1": (1,), "2": (2,), "1,2": (2, 1), "2,1": (2, 1)}.get(value)
    if found is None:
        raise bad(keyword, value, "2, 2,1 or 1")
    return found


def assignments(keyword: str, value: str) -> tuple[tuple[str, str], ...]:
    """Parse one or more ``NAME=value``, for environment variables."""
    pairs = [text.partition("=") for text in some_words(keyword, value)]
    if not all(name and equals for name, equals, _ in pairs):
        raise bad(keyword, value, "one or more NAME=value")
    return tuple((name, content) for name, _, content in pairs)


# --- parsers with parameters, for tables of keywords ---

Parser: TypeAlias = Callable[[str, str], Any]
"""Gets the keyword and its text; returns the value."""


def one_of(meanings: Mapping[str, object]) -> Parser:
    """Return a parser of one of a few words; see :func:`word`."""
    return lambda keyword, value: word(keyword, value, meanings)


def number(low: int, high: int) -> Parser:
    """Return a parser of a number; see :func:`integer`."""
    return lambda keyword, value: integer(keyword, value, low, high)


def algorithms_of(kind: str) -> Parser:
    """Return a parser of a list of algorithms; see :func:`algorithms`."""
    return lambda keyword, value: algorithms(keyword, value, kind)


@value
class RekeyLimit:
    """When this side starts a key re-exchange; None is the default.

    :ivar size: after this many bytes in one direction.
    :ivar seconds: after this many seconds; 0 is never.
    """

    size: int | None = None
    seconds: int | None = None

    def apply(self, limits: Limits) -> Limits:
        """Return ``limits`` with these bounds in place of their own."""
        if self.size is not None:
            limits = replace(limits, rekey_bytes=self.size)
        if self.seconds is not None:
            limits = replace(limits, rekey_seconds=float(self.seconds))
        return limits


def rekey_limit(keyword: str, value: str) -> RekeyLimit:
    """Parse a size and perhaps a time, such as ``1G``, ``1G 1h`` or ``default none``."""
    found = words(keyword, value)
    if not 1 <= len(found) <= 2:
        raise bad(keyword, value, "a size or `default`, then optionally a time or `none`")
    count = None if found[0].lower() == "default" else size(keyword, found[0])
    if count is not None and count < 16:
        raise bad(keyword, found[0], "16 bytes or more")
    if len(found) == 1:
        return RekeyLimit(count)
    return RekeyLimit(count, 0 if found[1].lower() == "none" else seconds(keyword, found[1]))
