"""A click command that does not parse its words: ssh, sftp, scp and trace do so themselves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import click

from nacre.cli.common.arguments import USAGE

Run = Callable[[str, Sequence[str]], int]
"""Gets the program's name and its words; returns the exit status."""


class Passing(click.Command):
    """Passes its words to a function, except a first ``--help``.

    :param usage: the synopsis, with a place for the program's name.
    """

    def __init__(self, name: str, run: Run, help: str, usage: str = USAGE) -> None:
        super().__init__(name, help=help, add_help_option=False)
        self._run = run
        self._usage = usage

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.args = list(args)
        return ctx.args

    def invoke(self, ctx: click.Context) -> NoReturn:
        if ctx.args[:1] == ["--help"]:
            click.echo(f"{self._usage.format(program=ctx.command_path)}\n\n{self.help}")
            sys.exit(0)
        sys.exit(self._run(ctx.command_path, ctx.args))
