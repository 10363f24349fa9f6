"""The types of values: how each is parsed, and how ``-G`` and ``-T`` print it.

A :class:`~nacre.config.schema.Kind` joins a parser of :mod:`nacre.config.values` with its way back.
Tables of keywords choose among these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nacre.config import values
from nacre.config.schema import Kind, Shown
from nacre.errors import ConfigurationError

MOST = (1 << 31) - 1
"""The largest number."""

_MOST_FILES = 32

_unquoted = frozenset("\"'\\#=").isdisjoint
"""Whether a word has no quotation mark, and nothing else that the lexer would look at."""


ALGORITHM_KINDS = {
    "CASignatureAlgorithms": "CA signature",
    "Ciphers": "cipher",
    "HostbasedAcceptedAlgorithms": "signature",
    "HostKeyAlgorithms": "host key",
    "KexAlgorithms": "kex",
    "MACs": "MAC",
    "PubkeyAcceptedAlgorithms": "signature",
}
"""The keywords of lists of algorithms, with their kinds; see :func:`algorithms`."""


def single(
    allowed: str,
    parse: values.Parser,
    show: Callable[[Any], Shown] = str,
    *,
    plain: Callable[[str], bool] | None = None,
) -> Kind:
    """Return the type of a value that is one word."""

    def take(keyword: str, found: list[str]) -> Any:
        return parse(keyword, _only(keyword, found))

    return Kind(allowed, take, show, plain=plain)


def several(
    allowed: str,
    parse: Callable[[str, list[str]], Any],
    show: Callable[[Any], Shown] = " ".join,
) -> Kind:
    """Return the type of a value of one or more words."""
    return Kind(allowed, parse, show)


def _only(keyword: str, found: list[str]) -> str:
    if len(found) > 1:
        raise ConfigurationError(
            f"{keyword}: extra words at the end of the line: give one value, or quote it"
        )
    if not found[0]:
        raise ConfigurationError(f"{keyword}: the value is empty")
    return found[0]


def choice(meanings: Mapping[str, object], shown: Mapping[Any, str | None] | None = None) -> Kind:
    """Return the type of one of a few words.

    :param meanings: each word with its value.
    :param shown: each value as it is printed; by default the first word that means it.
    """
    names = dict(shown or {})
    for word, meaning in meanings.items():
        names.setdefault(meaning, word)
    parse = values.one_of(meanings)
    known = frozenset(meanings).__contains__
    return single(", ".join(meanings), parse, lambda found: names[found], plain=known)


def number(low: int, high: int = MOST) -> Kind:
    """Return the type of a decimal number."""
    bounds = f"a number from {low} to {high}" if high != MOST else f"a number from {low} on"
    return single(bounds, values.number(low, high), plain=between(low, high))


def between(low: int, high: int) -> Callable[[str], bool]:
    """Return a quick test of a decimal number; see ``plain`` of :class:`Kind`."""

    def test(text: str) -> bool:
        return len(text) < 9 and text.isascii() and text.isdecimal() and low <= int(text) <= high

    return test


def algorithms(kind: str) -> Kind:
    """Return the type of a list of algorithms; see :func:`nacre.config.values.algorithms`."""
    return single(
        "names with commas between them, perhaps with + - or ^ in front",
        values.algorithms_of(kind),
    )


_GSS_METHODS = (
    *("gss-gex-sha1-", "gss-group1-sha1-", "gss-group14-sha1-", "gss-group14-sha256-"),
    *("gss-group16-sha512-", "gss-nistp256-sha256-", "gss-curve25519-sha256-"),
)


def _gss_methods(keyword: str, text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if name not in _GSS_METHODS:
            raise values.bad(keyword, name, ", ".join(_GSS_METHODS))
    return names


GSS_KEX = single(
    "names with commas between them, such as gss-group14-sha256-", _gss_methods, ",".join
)


def yes_no(shown: Mapping[Any, str] | None = None) -> Kind:
    """Return the type of yes and no."""
    return choice(values.BOOLEAN, shown or {True: "yes", False: "no"})


def _words(_keyword: str, found: list[str]) -> tuple[str, ...]:
    return tuple(found)


def _files(keyword: str, found: list[str]) -> tuple[str, ...]:
    """Return names of files; ``none`` alone is no file."""
    if len(found) > _MOST_FILES:
        raise ConfigurationError(f"{keyword}: more than {_MOST_FILES} files")
    return or_none(keyword, found)


def or_none(keyword: str, found: list[str]) -> tuple[str, ...]:
    """Return the words; ``none`` means that there are none, and must stand alone.

    :raises ConfigurationError: it does not, or a word is empty.
    """
    if not all(found):
        raise ConfigurationError(f"{keyword}: a value is empty")
    if "none" not in [name.lower() for name in found]:
        return tuple(found)
    if len(found) > 1:
        raise ConfigurationError(f"{keyword}: none can't stand beside other values")
    return ()


def _gathered(keyword: str, found: list[str]) -> tuple[str, ...]:
    return (_only(keyword, found),)


def _text(keyword: str, found: list[str]) -> str | None:
    return None if found[0].lower() == "none" else found[0]


def _optional(keyword: str, text: str) -> str | None:
    return None if text.lower() == "none" else text


def _text_shown(found: str | None) -> Shown:
    return found


def _timeout(keyword: str, text: str) -> int | None:
    return None if text == "none" else values.seconds(keyword, text)


def _octal(keyword: str, text: str) -> int:
    if not text or set(text) - set("01234567") or len(text) > 9 or int(text, 8) > 0o777:
        raise values.bad(keyword, text, "an octal mode such as 0177")
    return int(text, 8)


def _assignments(keyword: str, found: list[str]) -> tuple[tuple[str, str], ...]:
    pairs = [text.partition("=") for text in found]
    if not all(name and equals for name, equals, _ in pairs):
        raise values.bad(keyword, " ".join(found), "one or more NAME=value")
    first: dict[str, str] = {}
    for name, _, content in pairs:
        first.setdefault(name, content)
    return tuple(first.items())


def _names(found: Iterable[str]) -> Shown:
    return ",".join(found)


YES_NO = yes_no()
TRUE_FALSE = yes_no({True: "true", False: "false"})
WORD = single("one word", lambda _, text: text, lambda found: found, plain=_unquoted)
OPTIONAL_WORD = single("one word, or none", _optional, _text_shown, plain=_unquoted)
TEXT = Kind("the rest of the line, or none", _text, _text_shown, raw=True)
WORDS = several("one or more words", _words)
GATHERED_WORDS = several("one or more words", _words, tuple)
FILES = several("one or more files, or none", _files, lambda found: " ".join(found) or "none")
GATHERED_FILE = Kind("a file, or none", _gathered, lambda found: tuple(found), plain=_unquoted)
NAMES = single("names with commas between them", values.names, _names)
SECONDS = single("a time such as 90, 90s or 1h30m", values.seconds, plain=between(0, MOST))
TIMEOUT = single(
    "a time such as 90, 90s or 1h30m, or none",
    _timeout,
    lambda found: "none" if found is None else str(found),
)
MASK = single("an octal mode such as 0177", _octal, lambda found: f"0{found:o}")
ASSIGNMENTS = several(
    "one or more NAME=value", _assignments, lambda found: [f"{n}={v}" for n, v in found]
)
LOG_LEVEL = choice(
    values.LOG_LEVELS,
    {values.LogLevel.QUIET: "SILENT", values.LogLevel.DEBUG1: "DEBUG"}
    | {
        level: level.name
        for level in values.LogLevel
        if level not in (values.LogLevel.QUIET, values.LogLevel.DEBUG1)
    },
)
