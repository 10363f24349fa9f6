"""Write the manual pages of the programs into docs/man: scripts/manual.py [--check]

The text is that of `nacre help`. With --check nothing is written, and the exit status is 1 when a
page is out of date.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from nacre._version import __version__
from nacre.cli.help.grouped import subcommands
from nacre.cli.help.options import COMMANDS
from nacre.cli.help.page import Row, words_of_usage
from nacre.cli.help.pages import page
from nacre.cli.sftp.lines import ALIASES
from nacre.cli.sftp.lines import COMMANDS as SFTP_COMMANDS

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "man"

ADMINISTRATORS = ("serve", "sftp-server", "user")
"""Programs of section 8; the others are in section 1."""

_CODE = re.compile(r"`([^`]+)`")
_ENTRY = re.compile(r"(`[^:]+`): (.+)")
_SPECIAL = {"\\": r"\e", "-": r"\-", "~": r"\(ti", "^": r"\(ha", "`": r"\(ga"}
_WIDTH = 90
NO_BREAK = r"\ "
"""A space at which no line is broken."""


def main() -> int:
    """Write the pages, or check them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if out of date")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="the folder to write into")
    arguments = parser.parse_args()
    written = pages()
    folder: Path = arguments.folder
    present = {path.name: path.read_text() for path in folder.glob("*.[1-8]")}
    if present == written:
        return 0
    if arguments.check:
        stale = {name for name, _ in present.items() ^ written.items()}
        print(f"out of date: {', '.join(sorted(stale))}: run scripts/manual.py", file=sys.stderr)
        return 1
    folder.mkdir(exist_ok=True)
    for name in present.keys() - written.keys():
        (folder / name).unlink()
    for name, text in written.items():
        (folder / name).write_text(text)
    return 0


def pages() -> dict[str, str]:
    """Return the text of each page, by the name of its file."""
    names = ["", *(name for name in COMMANDS if name != "help")]
    files = {name: f"{_title(name)}.{8 if name in ADMINISTRATORS else 1}" for name in names}
    return {file: "\n".join(_lines(name, file, files)) + "\n" for name, file in files.items()}


def _title(name: str) -> str:
    return f"nacre-{name}" if name else "nacre"


def _lines(name: str, file: str, files: Mapping[str, str]) -> Iterator[str]:
    told = page(name)
    section = file[-1]
    yield r".\" Written by scripts/manual.py from the text of nacre help."
    yield f'.TH {_text(_title(name).upper())} {section} "" "nacre {__version__}" "nacre"'
    yield from (".nh", ".ad l")
    yield ".SH NAME"
    summary = told.summary.rstrip(".")
    yield _text(f"{_title(name)} - {summary[:1].lower() if name else summary[:1]}{summary[1:]}")
    yield ".SH SYNOPSIS"
    below = [page(command) for command in subcommands_of(name)]
    for number, one in enumerate(below or [told]):
        yield from [".br"] if number else []
        yield rf"\fB{_text(f'nacre {one.name}'.strip())}\fR"
        yield from (_usage(word) for word in words_of_usage(one))
    yield ".SH DESCRIPTION"
    yield from _paragraphs((told.summary, *told.paragraphs))
    if below:
        yield ".SH COMMANDS"
        for one in below:
            yield f'.SS "{_text(f"nacre {one.name}")}"'
            yield from _paragraphs((one.summary, *one.paragraphs))
            for row in one.rows:
                yield from _option(row)
    else:
        yield ".SH OPTIONS"
        for title, rows in told.groups.items():
            yield f".SS {_text(title)}"
            for row in rows:
                yield from _option(row)
    if name == "sftp":
        yield from _sftp_commands()
    for title, paragraphs in told.sections.items():
        yield f".SH {title.upper()}"
        yield from _paragraphs(paragraphs)
    others = [other for other in files.values() if other != file]
    yield ".SH SEE ALSO"
    for other in sorted(others, key=lambda other: (other[-1], other)):
        comma = "" if other == max(others, key=lambda one: (one[-1], one)) else ","
        yield f".BR {_text(other[:-2])} ({other[-1]}){comma}"


def subcommands_of(name: str) -> list[str]:
    """Return the subcommands of a program that click parses."""
    return subcommands(name) if name == "user" else []


def _usage(word: str) -> str:
    """Return a part of the usage line: options are bold, what stands for a value is italic."""
    found = re.fullmatch(r"\[(-\S+)( \S+)?\]", word)
    if found is None:
        return rf"\fI{_text(word).replace(' ', NO_BREAK)}\fR"
    metavar = rf"{NO_BREAK}\fI{_text(found[2][1:])}\fR" if found[2] else ""
    return rf"[\fB{_text(found[1])}\fR{metavar}]"


def _option(row: Row) -> Iterator[str]:
    yield ".TP"
    names = ", ".join(rf"\fB{_text(name)}\fR" for name in row.names)
    yield names + (rf" \fI{_text(row.metavar)}\fR" if row.metavar else "")
    text = f"{row.text[:1].upper()}{row.text[1:].rstrip('.')}."
    yield from _wrapped(" ".join([text, row.more]).strip())
    if row.stands:
        stands = " ".join(f"`-o {word}{row.metavar * word.endswith('=')}`" for word in row.stands)
        yield from _wrapped(f"The same as {stands}.")


def _sftp_commands() -> Iterator[str]:
    yield ".SH COMMANDS"
    for name, command in SFTP_COMMANDS.items():
        if name not in ALIASES:
            also = [alias for alias, meant in ALIASES.items() if meant == name]
            yield ".TP"
            yield rf"\fB{_text(command.usage)}\fR"
            text = " ".join(command.help.split())
            yield from _wrapped(f"{text}." + (f" Also `{'`, `'.join(also)}`." if also else ""))


def _paragraphs(paragraphs: tuple[str, ...]) -> Iterator[str]:
    for number, text in enumerate(paragraphs):
        entry = _ENTRY.fullmatch(text)
        if entry is not None:
            yield ".TP"
            yield _text(entry[1])
            yield from _wrapped(entry[2])
        else:
            yield from [".PP"] if number else []
            yield from _wrapped(text)


def _wrapped(text: str) -> list[str]:
    lines = textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
    # Code that is broken between lines would lose its marks.
    joined = _text("\n".join(lines)).split("\n")
    return [rf"\&{line}" if line.startswith((".", "'")) else line for line in joined]


def _text(text: str) -> str:
    """Return text in the form of man(7), with what stands in backquotes in bold."""
    parts = _CODE.split(text)
    shown = ["".join(_SPECIAL.get(one, one) for one in part) for part in parts]
    return "".join(rf"\fB{part}\fR" if at % 2 else part for at, part in enumerate(shown))


if __name__ == "__main__":
    sys.exit(main())
