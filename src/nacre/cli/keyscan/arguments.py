"""The command line of ssh-keyscan(1)."""

from __future__ import annotations

import getopt
from collections.abc import Sequence

from nacre.aio.dial import Family
from nacre.config.values import seconds
from nacre.errors import ConfigurationError
from nacre.keys.hosts.sshfp import HASHES
from nacre.wire.text import safe

LETTERS = "46DHO:T:cf:p:qt:v"

TYPES: dict[str, tuple[str, ...]] = {
    "dsa": ("ssh-dss",),
    "rsa": ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"),
    "ecdsa": ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    "ed25519": ("ssh-ed25519",),
    "ecdsa-sk": ("sk-ecdsa-sha2-nistp256@openssh.com",),
    "ed25519-sk": ("sk-ssh-ed25519@openssh.com",),
    "ed448": ("ssh-ed448",),
    "mldsa44-ed25519": ("ssh-mldsa44-ed25519@openssh.com",),
}
"""The types of ``-t``, each with the host key algorithms to ask for."""

_BY_ALGORITHM = {name: type for type, names in TYPES.items() for name in names}
"""A type may also be named by one of its algorithms."""

DEFAULT_TYPES = ("rsa", "ecdsa", "ed25519", "ecdsa-sk", "ed25519-sk")

_FLAGS = {
    "D": "records",
    "H": "hashed",
    "c": "certificates",
    "q": "quiet",
    "v": "verbose",
}
_FAMILIES: dict[str, Family] = {"4": "inet", "6": "inet6"}
_HASH_OPTION = "hashalg="


class KeyscanArguments:
    """A parsed command line.

    :ivar family: the addresses to use, of ``-4`` and ``-6``.
    :ivar files: the files of ``-f``; ``-`` is standard input.
    :ivar hosts: the words behind the options.
    :ivar hash_names: the hashes of ``-D``, of ``-O hashalg=``.
    :ivar port: ``-p``; ``timeout``: ``-T``, in seconds; ``types``: ``-t``.
    :ivar records: ``-D``: print SSHFP records; ``hashed``: ``-H``: hash the names;
        ``certificates``: ``-c``: ask for certificates; ``quiet``: ``-q``: print no comments;
        ``verbose``: ``-v``.
    """

    def __init__(self) -> None:
        self.family: Family = "any"
        self.files: list[str] = []
        self.hosts: list[str] = []
        self.hash_names = tuple(HASHES)
        self.port = 22
        self.timeout = 5
        self.types: tuple[str, ...] = DEFAULT_TYPES
        self.records = False
        self.hashed = False
        self.certificates = False
        self.quiet = False
        self.verbose = False


def parse_arguments(words: Sequence[str]) -> KeyscanArguments:
    """Parse a command line.

    :raises ConfigurationError: an option is unknown, lacks its value or has a wrong one, or there
        is nothing to scan.
    """
    made = KeyscanArguments()
    try:
        found, made.hosts = getopt.getopt(list(words), LETTERS)
    except getopt.GetoptError as error:
        raise ConfigurationError(f"{safe(error.msg)}: --help lists the options") from None
    for dashed, value in found:
        _take(made, dashed[1], value)
    if not made.hosts and not made.files:
        raise ConfigurationError("name the hosts to scan, or a file of them with -f")
    return made


def _take(made: KeyscanArguments, letter: str, value: str) -> None:
    if letter in _FLAGS:
        setattr(made, _FLAGS[letter], True)
    elif letter in _FAMILIES:
        made.family = _FAMILIES[letter]
    elif letter == "f":
        made.files.append(value)
    elif letter == "p":
        made.port = _port(value)
    elif letter == "t":
        made.types = _types(value)
    elif letter == "T":
        made.timeout = seconds("-T", value)
        if not made.timeout:
            raise ConfigurationError("-T: give a time of a second or more")
    elif letter == "O":
        made.hash_names = (_hash(value),)


def _port(value: str) -> int:
    if value.isascii() and value.isdigit() and 0 < int(value) < 65536:
        return int(value)
    raise ConfigurationError(f"-p: bad port {safe(value, 64)!r}: give a number from 1 to 65535")


def _types(value: str) -> tuple[str, ...]:
    names = [_BY_ALGORITHM.get(name, name.lower()) for name in value.split(",")]
    for name in names:
        if name not in TYPES:
            raise ConfigurationError(
                f"-t: unknown type of key {safe(name, 64)!r}; the types are {', '.join(TYPES)}"
            )
    return tuple(name for name in TYPES if name in names)


def _hash(value: str) -> str:
    name = value.removeprefix(_HASH_OPTION)
    if name == value or name not in HASHES:
        allowed = " or ".join(f"{_HASH_OPTION}{name}" for name in HASHES)
        raise ConfigurationError(f"-O: bad value {safe(value, 64)!r}; allowed: {allowed}")
    return name
