"""``nacre help``: explain a program, or a keyword of the configuration."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nacre.cli.help.keywords import describe, listed, similar
from nacre.cli.help.page import render
from nacre.cli.help.pages import called, page
from nacre.wire.text import safe

if TYPE_CHECKING:
    import click

_FAILURE = 1


def __getattr__(name: str) -> click.Command:
    # Only the group `nacre` needs the click command.
    if name != "command":
        raise AttributeError(name)
    from nacre.cli.common.passing import Passing

    return Passing("help", run)


def run(program: str, words: Sequence[str]) -> int:
    """Print what is asked for; return the exit status.

    :param words: nothing for an overview, ``keywords`` for all keywords, a keyword in any case, or
        a program with its subcommand.
    """
    name = " ".join(words)
    if words[:1] in (["-h"], ["--help"]):
        name = "help"
    if name == "keywords":
        print(listed())
        return 0
    try:
        print(render(page(name), called(name)))
    except KeyError:
        text = describe(name)
        if text is None:
            print(_unknown(program, name), file=sys.stderr)
            return _FAILURE
        print(text)
    return 0


def _unknown(program: str, name: str) -> str:
    near = similar(name)
    hint = f"did you mean {near}?" if near else f"{program} lists the programs"
    return f"{program}: {safe(name, 100)!r} is neither a program nor a keyword; {hint}"
