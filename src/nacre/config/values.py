"""Parsers for the kinds of values in OpenSSH's configuration.

Each parser gets the keyword and its text. It raises :class:`~nacre.errors.ConfigurationError` with
the keyword, the bad value and the allowed ones. Formats are those of ssh_config(5), and of
the section TIME FORMATS of sshd_config(5).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
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


LOG_LEVELS = {level.name.lower(): level for level in LogLevel} | {
    "debug": LogLevel.DEBUG1,
    "silent": LogLevel.QUIET,
}
"""OpenSSH's names of the levels."""

BOOLEAN = {"yes": True, "true": True, "no": False, "false": False}
"""OpenSSH's words for yes and no."""

_TIME = re.compile(r"(?:\d+[sSmMhHdDwW]?)+")
_TIME_PART = re.compile(r"(\d+)([a-z]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([kmgtpeKMGTPE]?)")
_UNITS = {unit: 1 << (10 * power) for power, unit in enumerate(("", *"kmgtpe"))}
_LARGEST_SIZE = (1 << 63) - 1
_MOST_SECONDS = (1 << 31) - 1
_SIGNS = ("+", "-", "^")


def bad(keyword: str, value: str, allowed: str) -> ConfigurationError:
    """Return the error for a bad value.

    :param allowed: the allowed values, for the message.
    """
    return ConfigurationError(f"{keyword}: bad value {safe(value, 100)!r}; allowed: {allowed}")


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
    if re.fullmatch(r"[ \t]*[+-]?[0-9]{1,19}", value) and low <= int(value) <= high:
        return int(value)
    raise bad(keyword, value, f"a number from {low} to {high}")


def port(keyword: str, value: str, lowest: int = 1) -> int:
    """Parse a port, ``lowest`` to 65535, or the name of a TCP service."""
    if value and not value[0].isdigit() and value[0] not in "+-":
        number = service(value)
        if number is None:
            raise bad(keyword, value, "a number from 1 to 65535, or a service's name")
        return number
    return integer(keyword, value, lowest, 65535)


def service(name: str) -> int | None:
    """Return the TCP port of a service of this system, or None if there is none of the name."""
    from socket import getservbyname

    try:
        return getservbyname(name, "tcp")
    except (OSError, ValueError):  # ValueError: not ASCII, or a zero byte
        return None


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
    found = _SIZE.fullmatch(value) if value.isascii() and len(value) <= 24 else None
    if found is not None:
        whole, _, part = found[1].partition(".")
        unit = _UNITS[found[2].lower()]
        total: int = int(whole) * unit + int(part or 0) * unit // 10 ** len(part)
        if total <= _LARGEST_SIZE:
            return total
    raise bad(keyword, value, "a size such as 64K, 1M or 1G")


def names(keyword: str, value: str) -> tuple[str, ...]:
    """Parse a comma-separated list without spaces, such as ``publickey,password``."""
    found = tuple(value.split(","))
    if not all(found) or any(c.isspace() for c in value):
        raise bad(keyword, value, "names with commas between them")
    return found


_FOREIGN = {
    "cipher": frozenset({"none", "rijndael-cbc@lysator.liu.se"}),
    "kex": frozenset[str](),
    "MAC": frozenset(
        {
            *("hmac-md5-96", "hmac-md5-96-etm@openssh.com", "hmac-md5-etm@openssh.com"),
            *("hmac-sha1-96-etm@openssh.com", "hmac-ripemd160", "hmac-ripemd160@openssh.com"),
            *(f"umac-{bits}{mode}@openssh.com" for bits in (64, 128) for mode in ("", "-etm")),
        }
    ),
    "host key": frozenset({"ssh-xmss-cert-v01@openssh.com"}),
    "signature": frozenset({"ssh-xmss-cert-v01@openssh.com"}),
    "CA signature": frozenset[str](),
}
"""Names that OpenSSH knows and nacre does not, by the kinds of
:func:`nacre.protocol.options.known`."""


def algorithms(keyword: str, value: str, kind: str) -> str:
    """Check a list of algorithms, ``a,b``, ``+a``, ``-a*`` or ``^a``, and return it unchanged.

    Names that only OpenSSH has are allowed: :func:`own_algorithms` drops them.

    :param kind: a name of :func:`nacre.protocol.options.known`, such as ``cipher``.
    """
    from nacre.protocol.options import known  # loads the crypto package

    text = value[1:] if value.startswith(_SIGNS) else value
    text = text.removesuffix(",")
    if not text or text.startswith(_SIGNS) or " " in value or not all(text.split(",")):
        raise bad(keyword, value, "names with commas between them, and one of + - ^ in front")
    if not value.startswith("-"):
        own, foreign = known(kind), _FOREIGN[kind]
        for name in text.split(","):
            if name not in own and name not in foreign and not _matching(kind, name):
                raise ConfigurationError(
                    f"{keyword}: {safe(name, 100)!r} is not a supported {kind} algorithm; "
                    f"supported are {', '.join(own)}"
                )
    return value


def _matching(kind: str, pattern: str) -> list[str]:
    """Return the names that match a pattern; only lists of types of keys may have patterns."""
    from fnmatch import fnmatchcase

    from nacre.protocol.options import known

    if kind not in ("host key", "signature", "CA signature") or not any(c in pattern for c in "*?"):
        return []
    return sorted(n for n in (*known(kind), *_FOREIGN[kind]) if fnmatchcase(n, pattern))


def _names_of(kind: str, text: str) -> Iterator[str]:
    for name in text.split(","):
        if name:
            yield from _matching(kind, name) or [name]


def all_algorithms(kind: str, value: str | None, default: Iterable[str]) -> list[str]:
    """Return the names of a list that :func:`algorithms` took, those that only OpenSSH has too.

    :param default: the default list.
    """
    from fnmatch import fnmatchcase

    text = value or "+"
    sign = text[0] if text.startswith(_SIGNS) else ""
    if sign == "-":
        patterns = text[1:].split(",")
        return [n for n in default if not any(fnmatchcase(n, each) for each in patterns)]
    named = _names_of(kind, text[len(sign) :])
    before, behind = {"+": (default, named), "^": (named, default)}.get(sign, (named, ()))
    return list(dict.fromkeys((*before, *behind)))


def own_algorithms(kind: str, value: str | None) -> str | None:
    """Return a list that :func:`algorithms` took, without the names that only OpenSSH has."""
    if value is None or value.startswith("-"):
        return value
    sign = value[0] if value.startswith(_SIGNS) else ""
    names = [name for name in _names_of(kind, value[len(sign) :]) if name not in _FOREIGN[kind]]
    if not names and not sign:
        raise ConfigurationError(
            f"nacre has none of the {kind} algorithms {safe(value, 200)}: name another one too"
        )
    return f"{sign}{','.join(names)}" if names else None


def protocols(keyword: str, value: str) -> tuple[int, ...]:
    """Parse ``2``, ``2,1`` or ``1``: the versions that :mod:`nacre.aio.versions` may choose."""
    found = {"1": (1,), "2": (2,), "1,2": (2, 1), "2,1": (2, 1)}.get(value)
    if found is None:
        raise bad(keyword, value, "2, 2,1 or 1")
    return found


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

    def completed(self, other: RekeyLimit) -> RekeyLimit:
        """Return this limit, with the time of another one if it gives none."""
        return RekeyLimit(self.size, other.seconds if self.seconds is None else self.seconds)

    def apply(self, limits: Limits) -> Limits:
        """Return ``limits`` with these bounds in place of their own."""
        if self.size is not None:
            limits = replace(limits, rekey_bytes=self.size)
        if self.seconds is not None:
            limits = replace(limits, rekey_seconds=float(self.seconds))
        return limits


def rekey_limit(keyword: str, found: list[str]) -> RekeyLimit:
    """Parse a size and perhaps a time, such as ``1G``, ``1G 1h`` or ``default none``."""
    if len(found) > 2:
        raise bad(keyword, " ".join(found), "a size or `default`, then optionally a time or `none`")
    count = (None if found[0] == "default" else size(keyword, found[0])) or None
    if count is not None and count < 16:
        raise bad(keyword, found[0], "16 bytes or more, or 0 for the default")
    if len(found) == 1:
        return RekeyLimit(count)
    return RekeyLimit(count, 0 if found[1].lower() == "none" else seconds(keyword, found[1]))


def rekey_limit_shown(found: RekeyLimit) -> str:
    """Return a limit as ``-G`` prints it: bytes and seconds, 0 for the default and for never."""
    return f"{found.size or 0} {found.seconds or 0}"


FACILITIES = (
    *("DAEMON", "USER", "AUTH", "AUTHPRIV"),
    *(f"LOCAL{number}" for number in range(8)),
)
"""Facilities of syslog(3), as SyslogFacility names them."""

_SERVICES = {
    **{f"af{n}{p}": (n << 5) | (p << 3) for n in range(1, 5) for p in range(1, 4)},
    **{f"cs{n}": n << 5 for n in range(8)},
    "ef": 0xB8,
    "le": 0x04,
    "lowdelay": 0x10,
    "throughput": 0x08,
    "reliability": 0x04,
}
_SERVICE_NAMES = {code: name for name, code in reversed(_SERVICES.items())} | {0x04: "le"}


def ip_qos(keyword: str, found: list[str]) -> tuple[int | None, int | None]:
    """Parse the classes of service of interactive and of other sessions, one for both or two.

    :returns: bytes for the field TOS or traffic class; None leaves it to the system.
    """
    if len(found) > 2:
        raise bad(keyword, " ".join(found), "one or two classes")
    codes = [_service(keyword, text) for text in found]
    return codes[0], codes[-1]


def _service(keyword: str, text: str) -> int | None:
    lower = text.lower()
    if lower == "none":
        return None
    if lower in _SERVICES:
        return _SERVICES[lower]
    try:
        code = int(lower, 0) if not lower.isdigit() else int(lower, 8 if lower[0] == "0" else 10)
    except ValueError:
        code = -1
    if not 0 <= code <= 255:
        raise bad(keyword, text, "af11 to af43, cs0 to cs7, ef, le, lowdelay, a number, or none")
    return code


def ip_qos_shown(found: tuple[int | None, int | None]) -> str:
    """Return classes of service as ``-G`` prints them."""
    return " ".join(
        "none" if code is None else _SERVICE_NAMES.get(code) or f"0x{code:02x}" for code in found
    )


class WrittenTime(int):
    """Seconds, which ``-G`` and ``-T`` print as they were written: ``5m``."""

    text: str

    def __new__(cls, keyword: str, text: str) -> WrittenTime:
        found = super().__new__(cls, seconds(keyword, text))
        found.text = text
        return found

    def __reduce__(self) -> tuple[type[WrittenTime], tuple[str, str]]:
        return WrittenTime, ("a time", self.text)

    def __str__(self) -> str:
        return self.text


def channel_timeouts(keyword: str, found: list[str]) -> tuple[tuple[str, int], ...]:
    """Parse ``TYPE=TIME``, once or more, or ``none``: seconds for each pattern of channel types."""
    if [text.lower() for text in found] == ["none"]:
        return ()
    pairs = []
    for text in found:
        kind, equals, time = text.partition("=")
        if not (kind and equals):
            raise bad(keyword, text, "TYPE=TIME, such as session=5m, or none")
        pairs.append((kind, WrittenTime(keyword, time)))
    return tuple(pairs)


def channel_timeouts_shown(found: tuple[tuple[str, WrittenTime], ...]) -> str:
    """Return timeouts as ``-G`` prints them."""
    return " ".join(f"{kind}={time}" for kind, time in found) or "none"
