"""The options of a command line, by their letters, for the programs that parse with getopt."""

from __future__ import annotations

HELP = "help"
"""The long option of every program."""


class GivenOptions:
    """A parsed command line, by the letters of its options.

    :ivar files: the words behind the options.
    :ivar show_help: ``--help``.
    """

    def __init__(self, given: dict[str, list[str]], files: list[str]) -> None:
        self._given = given
        self.files = files
        self.show_help = HELP in given

    def __contains__(self, letter: str) -> bool:
        """Return whether an option was given."""
        return letter in self._given

    def value(self, letter: str) -> str | None:
        """Return the value of an option, of several the last, or None."""
        return self._given[letter][-1] if letter in self._given else None

    def values(self, letter: str) -> list[str]:
        """Return all values of an option, in order; a flag has an empty one for each time."""
        return self._given.get(letter, [])
