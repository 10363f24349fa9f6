"""The command line of ssh-agent(1)."""

from __future__ import annotations

import getopt
from collections.abc import Sequence

from nacre.config.values import seconds
from nacre.errors import ConfigurationError
from nacre.wire.text import safe

LETTERS = "DE:O:P:a:cdkst:"

HASHES = ("md5", "sha1", "sha256", "sha384", "sha512")
"""The hashes of ``-E``."""

_FLAGS = {
    "D": "foreground",
    "c": "c_shell",
    "d": "debug",
    "k": "kill",
    "s": "bourne_shell",
}

LIBRARIES = "/usr/lib*/*,/usr/local/lib*/*"
"""The libraries that clients may name by default."""

_OPTIONS = {
    "allow-remote-pkcs11": ("remote_libraries", True),
    "no-restrict-websafe": ("websafe_only", False),
}
"""The values of ``-O``, and what they change."""


class AgentArguments:
    """A parsed command line.

    :ivar path: ``-a``: where to make the socket; None for a new directory.
    :ivar command: the program to run with the agent, and its arguments.
    :ivar hash_name: ``-E``: the hash of fingerprints.
    :ivar lifetime: ``-t``: seconds after which keys are forgotten; None for never.
    :ivar libraries: ``-P``: patterns of the libraries for security keys that clients may name.
    :ivar websafe_only: whether ``-O no-restrict-websafe`` is not given.
    :ivar remote_libraries: whether ``-O allow-remote-pkcs11`` is given.
    :ivar c_shell: ``-c``: print commands for csh; ``bourne_shell``: ``-s``: for sh.
    :ivar foreground: ``-D``; ``debug``: ``-d``; ``kill``: ``-k``.
    """

    def __init__(self) -> None:
        self.path: str | None = None
        self.command: list[str] = []
        self.hash_name = "sha256"
        self.lifetime: int | None = None
        self.libraries = LIBRARIES.split(",")
        self.websafe_only = True
        self.remote_libraries = False
        self.c_shell = False
        self.bourne_shell = False
        self.foreground = False
        self.debug = False
        self.kill = False


def parse_arguments(words: Sequence[str]) -> AgentArguments:
    """Parse a command line.

    :raises ConfigurationError: an option is unknown, lacks its value, or contradicts another.
    """
    made = AgentArguments()
    try:
        found, made.command = getopt.getopt(list(words), LETTERS)
    except getopt.GetoptError as error:
        raise ConfigurationError(f"{safe(error.msg)}: --help lists the options") from None
    for dashed, value in found:
        _take(made, dashed[1], value)
    if made.c_shell and made.bourne_shell:
        raise ConfigurationError("-c and -s are for different shells: give one of them")
    alone = [letter for letter, name in _FLAGS.items() if getattr(made, name)]
    if made.command and alone:
        raise ConfigurationError(f"-{alone[0]} is not for an agent with a command of its own")
    return made


def _take(made: AgentArguments, letter: str, value: str) -> None:
    if letter in _FLAGS:
        setattr(made, _FLAGS[letter], True)
    elif letter == "a":
        made.path = value
    elif letter == "t":
        made.lifetime = seconds("-t", value) or None
    elif letter == "E":
        if value.lower() not in HASHES:
            raise ConfigurationError(f"-E: bad value {safe(value, 64)!r}; {', '.join(HASHES)}")
        made.hash_name = value.lower()
    elif letter == "O":
        if value not in _OPTIONS:
            raise ConfigurationError(
                f"-O: bad value {safe(value, 64)!r}; allowed: {', '.join(sorted(_OPTIONS))}"
            )
        setattr(made, *_OPTIONS[value])
    else:
        made.libraries = value.split(",")
