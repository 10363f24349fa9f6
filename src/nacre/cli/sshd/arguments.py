"""The command line of sshd(8)."""

from __future__ import annotations

import getopt
from collections.abc import Callable, Sequence

from nacre.config.syntax.lexer import quote
from nacre.errors import ConfigurationError
from nacre.wire.text import safe

DEFAULT_FILE = "/etc/ssh/sshd_config"

LETTERS = "46C:DE:GTVb:c:def:g:h:ik:o:p:qrtu:"

_LONG = ("config=",)
"""Options that sshd does not have."""

_WORDS = {
    "4": "AddressFamily=inet",
    "6": "AddressFamily=inet6",
    "q": "LogLevel=QUIET",
}
"""Options that stand for a keyword with a value."""

_VALUES = {"c": "HostCertificate", "g": "LoginGraceTime", "h": "HostKey"}
"""Options whose value is that of a keyword."""

_FLAGS = {
    "D": "foreground",
    "G": "show",
    "T": "show_tested",
    "V": "show_version",
    "e": "to_stderr",
    "i": "inherited",
    "t": "test",
}

_TEXTS = {"E": "log_file", "f": "file", "config": "service"}

_FORMER = frozenset("bkr")
"""Options of former versions of sshd, which change nothing any more."""

_MOST_DEBUG = 3
_LONGEST_NAME = 256


class SshdArguments:
    """A parsed command line.

    :ivar options: ``Keyword=Value`` texts, which count before the file.
    :ivar ports: the ports of ``-p``, which count instead of Port in the file.
    :ivar file: the configuration; ``none`` for no file.
    :ivar log_file: ``-E``: the file to log to, or None.
    :ivar service: ``--config``: the file of what sshd_config has no words for, or None.
    :ivar connections: the words of ``-C``.
    :ivar debug: how often ``-d`` was given, up to 3: one connection, and a log of the details.
    :ivar foreground: ``-D``; ``inherited``: ``-i``; ``to_stderr``: ``-e``; ``test``: ``-t``;
        ``show``: ``-G``; ``show_tested``: ``-T``; ``show_version``: ``-V``.
    """

    def __init__(self) -> None:
        self.options: list[str] = []
        self.ports: list[int] = []
        self.file = DEFAULT_FILE
        self.log_file: str | None = None
        self.service: str | None = None
        self.connections: list[str] = []
        self.debug = 0
        self.foreground = False
        self.inherited = False
        self.to_stderr = False
        self.test = False
        self.show = False
        self.show_tested = False
        self.show_version = False

    @property
    def path(self) -> str | None:
        """The file to read, or None for none."""
        return None if self.file.lower() == "none" else self.file

    @property
    def tests(self) -> bool:
        """Whether the configuration is only tested."""
        return self.test or self.show_tested

    @property
    def to_syslog(self) -> bool:
        """Whether the log goes to the log of the system, and not to standard error."""
        return not (self.to_stderr or self.debug or self.log_file is not None)


def parse_arguments(words: Sequence[str]) -> SshdArguments:
    """Parse a command line.

    :raises ConfigurationError: an option is unknown, lacks its value, or is not supported.
    """
    arguments = SshdArguments()
    try:
        found, rest = getopt.getopt(list(words), LETTERS, _LONG)
    except getopt.GetoptError as error:
        raise ConfigurationError(f"{error}") from None
    if rest:
        raise ConfigurationError(f"extra argument {safe(rest[0], 64)}")
    for dashed, value in found:
        _take(arguments, dashed.lstrip("-"), value)
    if arguments.debug:
        arguments.options.insert(0, f"LogLevel=DEBUG{arguments.debug}")
    if arguments.connections and not (arguments.show or arguments.show_tested):
        raise ConfigurationError("-C describes a connection for -T and -G: give one of them")
    if arguments.service is not None and (arguments.inherited or arguments.debug):
        raise ConfigurationError(
            "--config is for a server of many connections: leave it out with -i and -d"
        )
    return arguments


def _take(arguments: SshdArguments, letter: str, value: str) -> None:
    if letter in _WORDS:
        arguments.options.append(_WORDS[letter])
    elif letter in _VALUES:
        arguments.options.append(f"{_VALUES[letter]}={quote(value)}")
    elif letter in _FLAGS:
        setattr(arguments, _FLAGS[letter], True)
    elif letter in _TEXTS:
        setattr(arguments, _TEXTS[letter], value)
    elif letter not in _FORMER:
        _OTHERS[letter](arguments, value)


def _option(arguments: SshdArguments, value: str) -> None:
    arguments.options.append(value)


def _connection(arguments: SshdArguments, value: str) -> None:
    arguments.connections.append(value)


def _debug(arguments: SshdArguments, value: str) -> None:
    arguments.debug = min(arguments.debug + 1, _MOST_DEBUG)


def _port(arguments: SshdArguments, value: str) -> None:
    if not (value.isascii() and value.isdigit() and int(value) <= 65535):
        raise ConfigurationError(f"-p {safe(value, 64)}: give a port, or 0 for a free one")
    arguments.ports.append(int(value))


def _length(arguments: SshdArguments, value: str) -> None:
    # The length of host names in utmp, where nacre writes none.
    if not (value.isascii() and value.isdigit() and int(value) <= _LONGEST_NAME):
        raise ConfigurationError(f"-u {safe(value, 64)}: give a number up to {_LONGEST_NAME}")


_OTHERS: dict[str, Callable[[SshdArguments, str], None]] = {
    "C": _connection,
    "d": _debug,
    "o": _option,
    "p": _port,
    "u": _length,
}
