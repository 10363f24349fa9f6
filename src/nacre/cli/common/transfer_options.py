"""The options that ``sftp`` and ``scp`` share, as keywords of ssh_config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nacre.cli.common.arguments import (
    HELP,
    PROFILE,
    check_value,
    checked,
    cipher_word,
    getopt_or_refuse,
    split_port,
)
from nacre.config.destination import check_host, check_user
from nacre.config.syntax.lexer import quote
from nacre.errors import ConfigurationError
from nacre.limits import KIB
from nacre.value import value
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.sftp.client.options import SFTPOptions

LETTERS = "1246ACc:F:hi:J:l:o:P:qS:vX:"
"""The options that the two share, in the form of :mod:`getopt`."""

WORDS = {
    "1": "Protocol=1",
    "2": "Protocol=2",
    "4": "AddressFamily=inet",
    "6": "AddressFamily=inet6",
    "A": "ForwardAgent=yes",
    "C": "Compression=yes",
}
"""Options that stand for a configuration keyword with a value."""

VALUES = {"i": "IdentityFile", "J": "ProxyJump", "P": "Port"}
"""Options whose value is that of a configuration keyword."""

_SFTP_OPTIONS = {
    "buffer": ("read_size", "a size in bytes"),
    "nrequests": ("requests", "a number of requests"),
    "version": ("version", "a version of SFTP"),
}
_READ_SIZE = 32 * KIB
"""Bytes of one request of those that are counted, where no size is given."""

_USUAL_VERSION, _LATEST_VERSION = 3, 6
"""The versions of SFTP from the usual one on, as in nacre.sftp.protocol.messages."""

_SAME = "1246ACcFiJoqv"
"""Options that an ssh program has with the same meaning."""

_FILES_ONLY = (
    "-x",
    "-oPermitLocalCommand=no",
    "-oClearAllForwardings=yes",
    "-oRemoteCommand=none",
    "-oRequestTTY=no",
)
"""What an ssh program is told: the session moves files, whatever its configuration says."""


@value
class OtherProgram:
    """``-S``: a program that is run in place of nacre's own connections, such as ssh(1).

    :ivar path: the program; without a slash, it is looked for as a shell does.
    :ivar words: the options of the command line that concern the connection.
    """

    path: str
    words: tuple[str, ...]

    def line(
        self, host: str, options: Sequence[str], command: str, *, subsystem: bool = False
    ) -> list[str]:
        """Return the words that run a command on a host.

        :param options: ``Keyword=Value`` texts for this host.
        :param command: the command line, or with ``subsystem`` a subsystem's name.
        """
        given = [f"-o{option}" for option in options]
        started = ["-s"] if subsystem else []
        return [self.path, *_FILES_ONLY, *self.words, *given, *started, "--", host, command]


class Common:
    """A parsed command line.

    :ivar config_file: ``-F``: the only configuration file to read, or ``none`` for no file at all;
        None for the user's and the system's.
    :ivar options: ``Keyword=Value`` texts; of one keyword the first counts.
    :ivar show_help: ``--help`` or ``-h``.
    :ivar rate: ``-l`` in bytes per second, or None.
    :ivar read_size: bytes of one READ and one WRITE, or None for the client's choice.
    :ivar requests: READs or WRITEs that may be unanswered at once, or None.
    :ivar version: the version of SFTP to ask for.
    :ivar quiet: ``-q``.
    :ivar verbosity: how often ``-v`` was given, up to 3.
    :ivar program: ``-S``: the program to run in place of nacre's own connections, or None.
    :ivar passed: the options for that program.
    :ivar others: the program's own options, in order: letter and value.
    :ivar words: the words that are not options.
    """

    def __init__(self) -> None:
        self.config_file: str | None = None
        self.options: list[str] = []
        self.show_help = False
        self.rate: int | None = None
        self.read_size: int | None = None
        self.requests: int | None = None
        self.version = _USUAL_VERSION
        self.quiet = False
        self.verbosity = 0
        self.program: str | None = None
        self.passed: list[str] = []
        self.others: list[tuple[str, str]] = []
        self.words: list[str] = []

    def other_program(self) -> OtherProgram | None:
        """Return the program of ``-S``, or None without one."""
        return None if self.program is None else OtherProgram(self.program, tuple(self.passed))

    def session_options(self) -> SFTPOptions:
        """Return the options of the SFTP session."""
        options: SFTPOptions = {"read_size": self.read_size}
        if self.version != _USUAL_VERSION:
            options["version"] = self.version
        if self.requests is not None:
            options["window"] = self.requests * (self.read_size or _READ_SIZE)
        return options


def parse(words: Sequence[str], letters: str) -> Common:
    """Parse a command line.

    :param letters: the program's own options, in the form of :mod:`getopt`.
    :raises ConfigurationError: an option is unknown, lacks its value, or is not supported.
    """
    common = Common()
    found, common.words = getopt_or_refuse(words, LETTERS + letters)
    for dashed, given in found:
        if dashed == f"--{PROFILE}":
            common.options.append(checked(dashed, "Profile", given))
        elif dashed in (f"--{HELP}", "-h"):
            common.show_help = True
        else:
            _take(common, dashed[1], given)
    if common.quiet or common.verbosity:
        level = "QUIET" if common.quiet else f"DEBUG{common.verbosity}"
        common.options.append(f"LogLevel={level}")
    return common


def _take(common: Common, letter: str, value: str) -> None:
    if letter in _SAME:
        common.passed.append(f"-{letter}{value}")
    if letter in WORDS:
        common.options.append(WORDS[letter])
    elif letter == "S":
        common.program = value
    elif letter in VALUES:
        if letter == "P":
            common.passed.append(f"-p{value}")
        check_value(letter, value, common.options)
        keyword = VALUES[letter]
        quoted = f"{keyword}={quote(value)}"
        common.options.append(quoted if letter == "i" else checked(f"-{letter}", keyword, value))
    elif letter == "c":
        common.options.append(cipher_word(value))
    elif letter == "o":
        common.options.append(value)
    elif letter == "F":
        common.config_file = value
    elif letter == "l":
        common.rate = number("-l", value, "a limit in Kbit/s") * 1000 // 8
    elif letter == "q":
        common.quiet = True
    elif letter == "X":
        _take_sftp_option(common, value)
    elif letter == "v":
        common.verbosity = min(common.verbosity + 1, 3)
    else:
        common.others.append((letter, value))


def _take_sftp_option(common: Common, value: str) -> None:
    name, _, given = value.partition("=")
    if name not in _SFTP_OPTIONS:
        known = " or ".join([f"{name}=number" for name in _SFTP_OPTIONS])
        raise ConfigurationError(f"-X {safe(value)}: give {known}")
    attribute, what = _SFTP_OPTIONS[name]
    setattr(common, attribute, number(f"-X {name}", given, what))
    if not _USUAL_VERSION <= common.version <= _LATEST_VERSION:
        raise ConfigurationError(f"-X {safe(value)}: give a version from 3 to 6")


def number(option: str, value: str, what: str) -> int:
    """Return an option's value as a positive number.

    :param what: the meaning of the number, for the message.
    :raises ConfigurationError: the value is not a positive number.
    """
    if not (value.isascii() and value.isdigit() and int(value)):
        raise ConfigurationError(f"{option} {safe(value)}: give {what}, a positive number")
    return int(value)


def split_place(place: str, scheme: str) -> tuple[str, list[str], str] | None:
    """Split ``[user@]host:path`` or ``scheme://[user@]host[:port][/path]``.

    :returns: the host, ``Keyword=Value`` texts for user and port, and the path; None for a path
        of this machine.
    :raises ConfigurationError: the host or the user can't be one.
    """
    options: list[str] = []
    if place.lower().startswith(f"{scheme}://"):
        from urllib.parse import unquote

        authority, _, path = place[len(scheme) + 3 :].partition("/")
        user, _, host = authority.rpartition("@")
        name, port = split_port(host)
        if user:
            user = check_user(unquote(user.partition(";")[0]))
            options.append(f"User={quote(user)}")
        if port:
            options.append(f"Port={port}")
        return check_host(name), options, unquote(path)
    end = _colon(place)
    if end < 0:
        return None
    host, options = split_host(place[:end])
    return host, options, place[end + 1 :]


def split_host(place: str) -> tuple[str, list[str]]:
    """Split ``[user@]host``; brackets around the host, or around both, are left out.

    :returns: the host, and ``Keyword=Value`` texts for the user.
    :raises ConfigurationError: the host or the user can't be one.
    """
    user, _, host = _unbracketed(place).rpartition("@")
    options = [f"User={quote(check_user(user))}"] if user else []
    return check_host(_unbracketed(host)), options


def _unbracketed(text: str) -> str:
    return text[1:-1] if text.startswith("[") and text.endswith("]") else text


def _colon(place: str) -> int:
    """Return the index of the colon after the host; -1 if a slash comes first: a local path."""
    if place.startswith(":"):
        return -1
    bracketed = place.startswith("[")
    for at, character in enumerate(place):
        bracketed = bracketed or place.startswith("@[", at)
        if bracketed and place.startswith("]:", at):
            return at + 1
        if character == ":" and not bracketed:
            return at
        if character == "/":
            return -1
    return -1
