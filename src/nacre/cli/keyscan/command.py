"""``nacre keyscan``, also installed as ``nacre-ssh-keyscan``: print the host keys of servers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, NoReturn, TextIO

from nacre.cli.common.start import loaded, start
from nacre.cli.keyscan.arguments import KeyscanArguments, parse_arguments
from nacre.cli.keyscan.scanning import Scan
from nacre.cli.keyscan.targets import targets
from nacre.errors import ConfigurationError
from nacre.wire.text import safe

if TYPE_CHECKING:
    import click

_WRONG = 1
"""The exit status of ssh-keyscan for wrong options, and without a key."""

_UNREADABLE = 255
"""The exit status of ssh-keyscan if a file can't be read."""


def main() -> NoReturn:
    """Run ``nacre-ssh-keyscan``."""
    start(run, "nacre-ssh-keyscan", sys.argv[1:])


def __getattr__(name: str) -> click.Command:
    if name != "command":
        raise AttributeError(name)
    from nacre.cli.common.passing import Passing

    return Passing("keyscan", run)


def run(program: str, words: Sequence[str]) -> int:
    """Run the program on its command line; return the exit status."""
    if words[:1] in (["-h"], ["--help"]):
        from nacre.cli.help.pages import print_help

        return print_help(program, "keyscan")
    try:
        arguments = parse_arguments(words)
    except ConfigurationError as error:
        from nacre.cli.help.pages import refuse

        return refuse(program, "keyscan", _WRONG, f"{error}")
    loaded()
    scan = Scan(arguments)
    with ExitStack() as files:
        try:
            opened = [files.enter_context(_open(name)) for name in arguments.files]
        except OSError as error:
            print(f"{program}: {safe(str(error.filename))}: {error.strerror}", file=sys.stderr)
            return _UNREADABLE
        asyncio.run(scan.run(targets(_lines(opened, arguments))))
    return 0 if scan.found else _WRONG


def _open(name: str) -> TextIO:
    where: str | int = 0 if name == "-" else name
    return open(where, encoding="utf-8", errors="surrogateescape", closefd=where != 0)


def _lines(files: Sequence[TextIO], arguments: KeyscanArguments) -> Iterator[str]:
    for file in files:
        yield from file
    yield from arguments.hosts
