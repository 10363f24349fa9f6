"""What a session of SFTP may do, and what is logged of it: the options of sftp-server(8).

One parser reads them for ``nacre-sftp-server``, and for ``internal-sftp`` as the command of a
subsystem or as a forced command (sshd_config(5)).
"""

from __future__ import annotations

import getopt
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from nacre.config.values import LOG_LEVELS, LogLevel, bad, word
from nacre.errors import ConfigurationError
from nacre.sftp.protocol.extensions import EXTENSIONS, announced_as
from nacre.sftp.protocol.messages import (
    FXP,
    LATEST_VERSION,
    REQUESTS,
    VERSION_3,
    Open,
    SFTPRequest,
)
from nacre.sftp.server.calls import LOOKS
from nacre.value import value

INTERNAL = "internal-sftp"
"""The command that stands for the server's own SFTP, in sshd_config(5) and forced commands."""

FACILITIES = ("DAEMON", "USER", "AUTH", *(f"LOCAL{number}" for number in range(8)))
"""The facilities of syslog(3) that may be named."""

READ_ONLY = "the session is read-only"
DENIED = "it is among the denied requests"
NOT_ALLOWED = "it is not among the allowed requests"

LETTERS = "d:f:l:P:p:u:V:eR"
"""The options that concern a session, in the form of :mod:`getopt`."""

_MOST_MASK = 0o777


def request_name(kind: type[SFTPRequest[Any]]) -> str:
    """Return the name by which sftp-server(8) allows and denies a request, such as ``opendir``."""
    extension = announced_as(kind.EXTENSION).partition("@")[0]
    return extension or FXP(kind.NUMBER).name.lower()


def _by_name() -> dict[str, tuple[type[SFTPRequest[Any]], ...]]:
    found: dict[str, tuple[type[SFTPRequest[Any]], ...]] = {}
    for kind in (*REQUESTS.values(), *EXTENSIONS.values()):
        name = request_name(kind)
        found[name] = (*found.get(name, ()), kind)
    return found


REQUESTS_BY_NAME = _by_name()
"""The requests that can be allowed or denied, by name; ``check-file`` stands for three."""


@value(kw_only=True)
class SFTPRestrictions:
    """What one session of SFTP may do. The defaults restrict nothing, and log errors alone.

    :ivar start: the directory at which relative paths start, with ``%d`` or ``%h`` for the home
        directory and ``%u`` for the user's name; empty for the usual one.
    :ivar read_only: whether requests that change anything are refused.
    :ivar umask: permission bits that new files and directories do not get; None for the usual ones.
    :ivar allowed: names of :data:`REQUESTS_BY_NAME`; None for all of them.
    :ivar denied: names of requests that are refused even if they are allowed.
    :ivar log_level: from INFO on, operations are logged that change or open files; from VERBOSE
        on, all. A server that logs more by its own level goes on to do so.
    :ivar facility: one of :data:`FACILITIES`, for a program that logs to syslog(3).
    :ivar version: the version of SFTP, 3 to 6, that is spoken with clients that ask for it or a
        later one.
    :ivar to_stderr: whether a program logs to standard error in place of syslog(3).
    """

    start: str = ""
    read_only: bool = False
    umask: int | None = None
    allowed: tuple[str, ...] | None = None
    denied: tuple[str, ...] = ()
    log_level: int = LogLevel.ERROR
    facility: str = "AUTH"
    version: int = LATEST_VERSION
    to_stderr: bool = False

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> SFTPRestrictions:
        """Return the value whose fields are in ``given``, which came through JSON."""
        fields: dict[str, Any] = {
            name: tuple(field) if isinstance(field, list) else field
            for name, field in given.items()
        }
        return cls(**fields)

    def denials(self) -> dict[type[SFTPRequest[Any]], str]:
        """Return the requests that the session may not make, each with the reason.

        A read-only session may make OPEN; the filesystem refuses it with flags that write.
        """
        found = {}
        for name, kinds in REQUESTS_BY_NAME.items():
            if (reason := self._refusal(name, kinds[0])) is not None:
                found.update(dict.fromkeys(kinds, reason))
        return found

    def _refusal(self, name: str, kind: type[SFTPRequest[Any]]) -> str | None:
        if self.read_only and kind not in LOOKS and kind is not Open:
            return READ_ONLY
        if name in self.denied:
            return DENIED
        if self.allowed is not None and name not in self.allowed:
            return NOT_ALLOWED
        return None

    def start_directory(self, *, home: str, user: str) -> str:
        """Return ``start`` with its tokens replaced; empty for the usual directory."""
        return _expanded(self.start, home=home, user=user)


UNRESTRICTED = SFTPRestrictions()


def parse(words: Sequence[str]) -> SFTPRestrictions:
    """Parse the options of sftp-server(8) that concern a session: ``-d -e -f -l -P -p -R -u``,
    and ``-V``, which is nacre's own.

    :raises ConfigurationError: an option is unknown or lacks its value, or a value is bad.
    """
    try:
        found, rest = getopt.getopt(list(words), LETTERS)
    except getopt.GetoptError as error:
        raise ConfigurationError(f"{error}; allowed: {_ALLOWED}") from None
    if rest:
        raise ConfigurationError(f"{rest[0]!r} is no option; allowed: {_ALLOWED}")
    chosen: dict[str, Any] = {}
    for option, given in found:
        name, taken = _OPTIONS[option]
        if name in chosen and name in ("allowed", "denied"):
            raise ConfigurationError(f"{option} is given twice: join the requests by commas")
        chosen[name] = taken(option, given)
    return SFTPRestrictions(**chosen)


def parse_command(command: str) -> SFTPRestrictions | None:
    """Return what ``internal-sftp`` with options asks for, or None for any other command.

    As in sshd, the words are separated by white space, and quotation marks have no meaning.

    :raises ConfigurationError: see :func:`parse`.
    """
    name, *words = command.split() or [""]
    return parse(words) if name == INTERNAL else None


def _requests(option: str, value: str) -> tuple[str, ...]:
    names = tuple(value.split(","))
    for name in names:
        if name not in REQUESTS_BY_NAME:
            raise bad(option, name, ", ".join(REQUESTS_BY_NAME))
    return names


def _start(option: str, value: str) -> str:
    _expanded(value, home="", user="")  # an unknown token is reported at the start
    return value


def _expanded(text: str, *, home: str, user: str) -> str:
    if "%" not in text:
        return text
    from nacre.config.syntax.tokens import expand  # most programs start without

    return expand(text, {"d": home, "h": home, "u": user})


def _umask(option: str, value: str) -> int:
    digits = value.isascii() and value.isdigit() and not value.strip("01234567")
    if not digits or int(value, 8) > _MOST_MASK:
        raise bad(option, value, "octal numbers from 0 to 777")
    return int(value, 8)


def _yes(option: str, value: str) -> bool:
    return True


_VERSIONS = {str(number): number for number in range(VERSION_3, LATEST_VERSION + 1)}

_OPTIONS: dict[str, tuple[str, Callable[[str, str], Any]]] = {
    "-d": ("start", _start),
    "-e": ("to_stderr", _yes),
    "-f": ("facility", partial(word, meanings={name.lower(): name for name in FACILITIES})),
    "-l": ("log_level", partial(word, meanings=LOG_LEVELS)),
    "-P": ("denied", _requests),
    "-p": ("allowed", _requests),
    "-R": ("read_only", _yes),
    "-u": ("umask", _umask),
    "-V": ("version", partial(word, meanings=_VERSIONS)),
}
_ALLOWED = " ".join(_OPTIONS)
