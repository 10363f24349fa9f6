"""The command line of ssh-add(1)."""

from __future__ import annotations

import getopt
from collections.abc import Sequence

from nacre.cli.common.given import HELP, GivenOptions
from nacre.config.values import seconds
from nacre.errors import ConfigurationError, NacreError
from nacre.wire.text import safe

FLAGS = "CDKLTXcdklqvx"
"""Letters of options without a value."""

VALUES = "EHSehst"
"""Letters of options with a value."""

HASHES = ("md5", "sha1", "sha256", "sha384", "sha512")

_ACTIONS = ("lL", "xX", "D")
"""Options of which one alone may be given, once."""

_MOST_SECONDS = 2**32 - 1


class AddUsageError(ConfigurationError):
    """The words of a command line do not fit together: its usage is printed."""


class AddRefused(NacreError):
    """What was asked for is not done, as the message says."""


class AddOptions(GivenOptions):
    """A parsed command line of ``nacre add``.

    :ivar lifetime: ``-t``: the seconds until the agent forgets a key, or None.
    :ivar hash_name: ``-E``: the hash of fingerprints.
    """

    def __init__(self, given: dict[str, list[str]], files: list[str]) -> None:
        super().__init__(given, files)
        self.lifetime = None if "t" not in given else _lifetime(given["t"][-1])
        self.hash_name = _hash(given["E"][-1]) if "E" in given else "sha256"


def parse_arguments(words: Sequence[str]) -> AddOptions:
    """Parse a command line.

    :raises AddUsageError: an option is unknown or lacks its value.
    :raises ConfigurationError: a value is not possible, or options contradict each other.
    """
    try:
        letters = FLAGS + "".join(f"{letter}:" for letter in VALUES)
        found, files = getopt.getopt(list(words), letters, [HELP])
    except getopt.GetoptError as error:
        raise AddUsageError(safe(error.msg)) from None
    given: dict[str, list[str]] = {}
    for dashed, value in found:
        given.setdefault(dashed.lstrip("-"), []).append(value)
    _check_actions(given)
    return AddOptions(given, files)


def _check_actions(given: dict[str, list[str]]) -> None:
    kinds = 0
    for letters in _ACTIONS:
        times = sum(len(given.get(letter, ())) for letter in letters)
        if times > 1 and letters != "D":
            raise ConfigurationError(f"-{letters[0]} and -{letters[1]}: give one of them, once")
        kinds += times > 0
    if kinds > 1:
        raise ConfigurationError(
            "Invalid combination of actions: -l, -L, -x, -X and -D stand alone"
        )


def _lifetime(text: str) -> int:
    try:
        found = seconds("-t", text)
    except ConfigurationError:
        found = -1
    if not 0 <= found <= _MOST_SECONDS:
        raise AddRefused("Invalid lifetime: -t takes a time such as 90, 90s or 1h30m")
    return found


def _hash(text: str) -> str:
    name = text.lower()
    if name not in HASHES:
        raise ConfigurationError(f'Invalid hash algorithm "{safe(text, 64)}": {", ".join(HASHES)}')
    return name
