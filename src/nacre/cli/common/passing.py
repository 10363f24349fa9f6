"""A click command that does not parse its words: ssh, sftp, scp and trace do so themselves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import click

Run = Callable[[str, Sequence[str]], int]
"""Gets the program's name and its words; returns the exit status."""


class Passing(click.Command):
    """Passes its words to a function, with the name that it was called by."""

    def __init__(self, name: str, run: Run) -> None:
        super().__init__(name, add_help_option=False)
        self._run = run

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.args = list(args)
        return ctx.args

    def invoke(self, ctx: click.Context) -> NoReturn:
        sys.exit(self._run(ctx.command_path, ctx.args))
