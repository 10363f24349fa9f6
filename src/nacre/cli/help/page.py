"""The page of a program: its usage line and its options in groups, as text of a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Container, Iterable, Mapping

from nacre.value import value

WIDTH = 80
"""Columns of a page."""

_LABEL = 26
"""Columns of the options, at most; the text of a longer one begins further right."""


@value
class Row:
    """An option.

    :ivar names: such as ``-p``, or ``-h`` and ``--help``.
    :ivar metavar: the name of its value; empty if it takes none.
    :ivar text: what it does, in one line.
    :ivar more: further sentences, for the manual page.
    :ivar stands: what to give to ``-o`` in its place; empty if it has no such meaning.
    """

    names: tuple[str, ...]
    metavar: str
    text: str
    more: str = ""
    stands: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The option as it is shown: ``-h, --help``, ``-p PORT``."""
        return f"{', '.join(self.names)} {self.metavar}".rstrip()


@value
class Page:
    """What is told of a program.

    :ivar name: such as ``ssh``, or ``user add``.
    :ivar summary: a sentence.
    :ivar arguments: what follows the options on the usage line; no line breaks one of them.
    :ivar groups: the options, by the titles of their groups.
    :ivar paragraphs: what ``--help`` says between the usage line and the options.
    :ivar sections: further text of the manual page, by title; each is a list of paragraphs.
    """

    name: str
    summary: str
    arguments: tuple[str, ...]
    groups: Mapping[str, tuple[Row, ...]]
    paragraphs: tuple[str, ...] = ()
    sections: Mapping[str, tuple[str, ...]] = {}

    @property
    def rows(self) -> list[Row]:
        """All options, in the order of the page."""
        return [row for rows in self.groups.values() for row in rows]


Table = Mapping[str, Mapping[str, str]]
"""For each title of a group its options, as they are shown, with what they do."""


def groups_of(
    table: Table,
    stands: Callable[[str], tuple[str, ...]],
    absent: Container[str],
    idle: Callable[[tuple[str, ...]], bool],
) -> dict[str, tuple[Row, ...]]:
    """Return the groups of a table.

    :param stands: gets an option's letter; returns what it stands for.
    :param absent: letters of options that are refused.
    :param idle: gets what an option stands for; returns whether that has no effect.
    """

    def row(label: str, text: str) -> Row:
        names = tuple(word.rstrip(",") for word in label.split() if word.startswith("-"))
        metavar = label.removeprefix(", ".join(names)).strip()
        letter = names[0].lstrip("-")
        found = stands(letter)
        if letter in absent:
            text += " (not supported)"
        elif found and idle(found):
            text += " (no effect)"
        return Row(names, metavar, text, stands=found)

    return {
        title: tuple(row(label, text) for label, text in options.items())
        for title, options in table.items()
    }


def words_of_usage(page: Page) -> list[str]:
    """Return the parts of the usage line behind the program's name; no line breaks one of them."""
    flags, options, longs = [], [], []
    for row in page.rows:
        if not row.names[0].startswith("-"):
            continue  # a subcommand
        shown = f"[{row.names[0]} {row.metavar}]" if row.metavar else f"[{row.names[0]}]"
        if row.names[0].startswith("--"):
            longs.append(shown)
        elif row.metavar:
            options.append(shown)
        else:
            flags.append(row.names[0][1:])
    joined = "".join(sorted(flags, key=_order))
    options.sort(key=lambda shown: _order(shown[2]))
    return [*([f"[-{joined}]"] if flags else []), *options, *longs, *page.arguments]


def _order(letter: str) -> tuple[bool, str, str]:
    """Sort digits first, then ``A`` beside ``a``, as manual pages do."""
    return (not letter.isdigit(), letter.lower(), letter)


def usage(page: Page, program: str) -> str:
    """Return the usage lines of a program.

    :param program: the name that it was called by.
    """
    head = f"usage: {program}"
    lines = [head]
    for word in words_of_usage(page):
        if len(lines[-1]) + 1 + len(word) > WIDTH and lines[-1].strip():
            lines.append(" " * min(len(head), 30))
        lines[-1] += f" {word}"
    return "\n".join(lines)


def render(page: Page, program: str) -> str:
    """Return what ``--help`` prints, without a newline at its end."""
    parts = [usage(page, program), *wrapped([page.summary, *page.paragraphs])]
    for title, rows in page.groups.items():
        column = min(max(len(row.label) for row in rows), _LABEL)
        lines = [f"  {row.label:{column}}  {row.text}" for row in rows]
        parts.append("\n".join([f"{title}:", *lines]))
    return "\n\n".join(parts)


def wrapped(paragraphs: Iterable[str], indent: str = "") -> list[str]:
    """Return paragraphs with lines of at most WIDTH columns."""
    return [
        textwrap.fill(
            text,
            WIDTH,
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        for text in paragraphs
    ]
