"""Write the manual pages and the pages of keywords into docs: scripts/manual.py [--check]

The text is that of `nacre help`: the tables of options, and the schemas of the configurations. With
--check nothing is written, and the exit status is 1 when a page is out of date.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from nacre._version import __version__
from nacre.cli.help.grouped import subcommands
from nacre.cli.help.keywords import PROGRAMS, SCHEMAS, default_of, facts, support_of
from nacre.cli.help.options import COMMANDS
from nacre.cli.help.page import Row, words_of_usage
from nacre.cli.help.pages import ALONE, called, page
from nacre.cli.help.sections import CONFIGURATION, SECTIONS
from nacre.cli.sftp.lines import ALIASES
from nacre.cli.sftp.lines import COMMANDS as SFTP_COMMANDS
from nacre.config.schema import Support

FOLDER = Path(__file__).resolve().parent.parent / "docs"

ADMINISTRATORS = (
    *("audit", "ban", "ca", "group", "join", "kill", "log", "nodes", "replay", "restart"),
    *("serve", "sftp-server", "ssh-keysign", "sshd", "state", "top", "user", "watch", "who"),
)
"""Programs of section 8; the others are in section 1."""

CONFIGURATIONS = {"ssh_config": "config-client.md", "sshd_config": "config-server.md"}
"""The configurations, and the page of each in docs."""

_CODE = re.compile(r"`([^`]+)`")
_ENTRY = re.compile(r"(`[^`]+`(?:, `[^`]+`)*): (.+)")
_SPECIAL = {"\\": r"\e", "-": r"\-", "~": r"\(ti", "^": r"\(ha", "`": r"\(ga"}
_WIDTH = 90
_SUPPORTS = {
    Support.HONOURED: "as in OpenSSH",
    Support.NO_EFFECT: "it is checked, and changes nothing; `-v` says so",
    Support.REFUSED: "a value that asks for the protection is an error",
}
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
    named = {folder / name for name in written} | {*folder.glob("man/*.[1-8]")}
    present = {
        path.relative_to(folder).as_posix(): path.read_text() for path in named if path.exists()
    }
    if present == written:
        return 0
    if arguments.check:
        stale = {name for name, _ in present.items() ^ written.items()}
        print(f"out of date: {', '.join(sorted(stale))}: run scripts/manual.py", file=sys.stderr)
        return 1
    (folder / "man").mkdir(exist_ok=True)
    for name in present.keys() - written.keys():
        (folder / name).unlink()
    for name, text in written.items():
        (folder / name).write_text(text)
    return 0


def pages() -> dict[str, str]:
    """Return the text of each page, by its path below docs."""
    names = ["", *(name for name in COMMANDS if name != "help"), *ALONE]
    files = {name: f"{_title(name)}.{8 if name in ADMINISTRATORS else 1}" for name in names}
    files |= {configuration: f"nacre-{configuration}.5" for configuration in CONFIGURATIONS}
    manual = {
        f"man/{file}": (_configuration if name in CONFIGURATIONS else _program)(name, file, files)
        for name, file in files.items()
    }
    keywords = {page: _keywords(name) for name, page in CONFIGURATIONS.items()}
    return {name: "\n".join(lines) + "\n" for name, lines in {**manual, **keywords}.items()}


def _title(name: str) -> str:
    return f"nacre-{name}" if name else "nacre"


def _head(name: str, file: str, summary: str) -> Iterator[str]:
    yield r".\" Written by scripts/manual.py from the text of nacre help."
    title = _text(_title(name).upper())
    yield f'.TH {title} {file[-1]} "" "nacre {__version__}" "nacre"'
    yield from (".nh", ".ad l")
    yield ".SH NAME"
    yield _text(f"{_title(name)} - {summary}")


def _program(name: str, file: str, files: Mapping[str, str]) -> Iterator[str]:
    told = page(name)
    summary = told.summary.rstrip(".")
    yield from _head(name, file, f"{summary[:1].lower() if name else summary[:1]}{summary[1:]}")
    yield ".SH SYNOPSIS"
    below = [page(command) for command in subcommands_of(name)]
    for number, one in enumerate(below or [told]):
        yield from [".br"] if number else []
        yield rf"\fB{_text(called(one.name))}\fR"
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
    yield from _end(told.sections, file, files)


def _configuration(name: str, file: str, files: Mapping[str, str]) -> Iterator[str]:
    yield from _head(name, file, f"the configuration of {PROGRAMS[name]}")
    yield ".SH DESCRIPTION"
    yield from _paragraphs(CONFIGURATION[name])
    yield ".SH KEYWORDS"
    for word in sorted(SCHEMAS[name].words, key=lambda word: word.name.lower()):
        yield ".TP"
        yield rf"\fB{word.name}\fR"
        yield from _wrapped(word.about)
        for title, text in facts(name, word):
            yield ".br"
            yield from _wrapped(f"{title.capitalize()}: {text}.")
    yield from _end(SECTIONS[name], file, files)


def _end(
    sections: Mapping[str, tuple[str, ...]], file: str, files: Mapping[str, str]
) -> Iterator[str]:
    for title, paragraphs in sections.items():
        yield f".SH {title.upper()}"
        yield from _paragraphs(paragraphs)
    others = sorted((one for one in files.values() if one != file), key=lambda one: (one[-1], one))
    yield ".SH SEE ALSO"
    for other in others:
        yield f".BR {_text(other[:-2])} ({other[-1]}){'' if other == others[-1] else ','}"


def _keywords(name: str) -> Iterator[str]:
    """Yield the lines of a page of docs: all keywords in a table."""
    schema = SCHEMAS[name]
    yield f"# Keywords of {name}"
    yield ""
    yield from textwrap.wrap(
        f"Of {PROGRAMS[name]}. This page is written by `scripts/manual.py` from the schema. "
        "`nacre help KEYWORD` tells more of each: its tokens, and the options that stand for it.",
        110,
    )
    for text in CONFIGURATION[name]:
        yield from ("", *textwrap.wrap(text, 110, break_on_hyphens=False))
    counts = Counter(word.support for word in schema.words if not word.own)
    yield ""
    yield "| | keywords | what happens |"
    yield "|---|---|---|"
    for support, text in _SUPPORTS.items():
        yield f"| {support.value} | {counts[support]} | {text} |"
    yield ""
    yield "| keyword | what it is for | values | default | |"
    yield "|---|---|---|---|---|"
    for word in sorted(schema.words, key=lambda word: word.name.lower()):
        default = default_of(name, word)
        if ", " in default and word.kind.allowed.startswith("names"):
            default = ""  # a list of algorithms, which has its own page
        shown = f"`{default}`" if default else ""
        cells = [f"`{word.name}`", word.about, word.kind.allowed, shown, support_of(word)]
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    if schema.ignored:
        yield ""
        yield "Keywords of former versions that are accepted and ignored, in any case:"
        former = ", ".join(f"`{one}`" for one in sorted(schema.ignored))
        yield from textwrap.wrap(former, 110, break_on_hyphens=False)


def subcommands_of(name: str) -> list[str]:
    """Return the subcommands of a program that click parses."""
    return subcommands(name) if name in ("audit", "ca", "user") else []


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
