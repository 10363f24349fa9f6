"""The command line of ssh-keygen(1)."""

from __future__ import annotations

import getopt
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from nacre.cli.common.given import HELP, GivenOptions
from nacre.errors import ConfigurationError, NacreError
from nacre.wire.text import safe

FLAGS = "ABHKLQUXceghiklopquvy"
"""Letters of options without a value."""

VALUES = "CDEFIMNOPRVYZabfmnrstwz"
"""Letters of options with a value."""

HASHES = ("md5", "sha1", "sha256", "sha384", "sha512")
FORMATS = ("RFC4716", "PKCS8", "PEM")
DEFAULT_ROUNDS = 16

_MOST_BITS = 2**32 - 1
_MOST_ROUNDS = 2048
"""Rounds of bcrypt; a file with more could not be read again (nacre.keys.formats.openssh)."""


class CommandLineError(ConfigurationError):
    """The words of a command line do not fit together: its usage is printed."""


class Refused(NacreError):
    """What was asked for is not done; ssh-keygen ends with 1, not with 255 as after an error."""


class KeygenOptions(GivenOptions):
    """A parsed command line of ``nacre keygen``."""

    def inform(self, text: str) -> None:
        """Print text, unless ``-q`` asks for questions and errors only."""
        if "q" not in self:
            print(text, flush=True)

    @property
    def file(self) -> Path | None:
        """The file of ``-f``."""
        name = self.value("f")
        return None if name is None else Path(name)

    @property
    def bits(self) -> int | None:
        """The size of ``-b``."""
        text = self.value("b")
        return None if text is None else int(text)

    @property
    def rounds(self) -> int:
        """The rounds of ``-a``."""
        return int(self.value("a") or DEFAULT_ROUNDS)

    @cached_property
    def hash_name(self) -> str:
        """The hash of ``-E``, as hashlib calls it."""
        return (self.value("E") or "sha256").lower()


def parse_arguments(words: Sequence[str]) -> KeygenOptions:
    """Parse a command line.

    Options may be joined (``-qN ''``), and have their values in the same word (``-b2048``). The
    first other word ends them.

    :raises CommandLineError: an option is unknown, lacks its value, or excludes another.
    :raises ConfigurationError: a value is bad.
    """
    letters = FLAGS + "".join(f"{letter}:" for letter in VALUES)
    try:
        found, rest = getopt.getopt(list(words), letters, [HELP])
    except getopt.GetoptError as error:
        raise CommandLineError(safe(error.msg)) from None
    given: dict[str, list[str]] = {}
    for dashed, value in found:
        letter = dashed.lstrip("-")
        if letter in _CHECKS:
            _CHECKS[letter](value)
        given.setdefault(letter, []).append(value)
    _check_together(given, rest)
    return KeygenOptions(given, rest)


def _check_together(given: dict[str, list[str]], files: list[str]) -> None:
    if "p" in given and "c" in given:
        raise CommandLineError("Can only have one of -p and -c.")
    if "l" in given and not given.keys().isdisjoint("HR"):
        raise CommandLineError("Cannot use -l with -H or -R.")
    if "Y" in given:
        return
    if "s" in given and "k" not in given:
        if not files:
            raise CommandLineError("Too few arguments.")
    elif files and given.keys().isdisjoint("kQM"):
        raise CommandLineError("Too many arguments.")


def _number(letter: str, what: str, most: int) -> Callable[[str], None]:
    def check(value: str) -> None:
        if not (value.isascii() and value.isdigit() and 1 <= int(value[:20]) <= most):
            raise ConfigurationError(
                f"-{letter} {safe(value, 64)}: give {what}, a number from 1 to {most}"
            )

    return check


def _one_of(letter: str, what: str, names: Sequence[str]) -> Callable[[str], None]:
    def check(value: str) -> None:
        if value.lower() not in [name.lower() for name in names]:
            raise ConfigurationError(
                f"-{letter} {safe(value, 64)}: give {what}: {', '.join(names)}"
            )

    return check


def _cipher(value: str) -> None:
    from nacre.keys.formats.openssh import CIPHERS

    if value not in CIPHERS or value == "none":
        names = ", ".join(name for name in CIPHERS if name != "none")
        raise ConfigurationError(f"-Z {safe(value, 64)}: give a cipher: {names}")


def _no_library(value: str) -> None:
    raise ConfigurationError(
        "-D: nacre loads no PKCS#11 libraries: give the token's keys to an agent with `ssh-add -s "
        "LIBRARY`, which lists them with `ssh-add -L` and signs with them: see -U"
    )


_CHECKS: dict[str, Callable[[str], None]] = {
    "D": _no_library,
    "E": _one_of("E", "a hash", HASHES),
    "M": _one_of("M", "what to do", ("generate", "screen")),
    "Z": _cipher,
    "a": _number("a", "the rounds", _MOST_ROUNDS),
    "b": _number("b", "the bits", _MOST_BITS),
    "m": _one_of("m", "a format", FORMATS),
}
