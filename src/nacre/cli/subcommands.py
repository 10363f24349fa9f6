"""The subcommands of ``nacre``, each loaded only when it is called."""

from __future__ import annotations

import importlib

import click

from nacre._version import __version__
from nacre.cli.help.options import COMMANDS
from nacre.cli.help.page import render
from nacre.cli.help.pages import page


class _Group(click.Group):
    """A group whose subcommands are the ``command`` of each ``nacre.cli.<name>.command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = f"nacre.cli.{cmd_name.replace('-', '_')}.command"
        command = importlib.import_module(module).command
        assert isinstance(command, click.Command)
        return command

    def get_help(self, ctx: click.Context) -> str:
        # The page has a table of the subcommands: help must not import every one of them.
        return render(page(""), ctx.command_path)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]}, name="nacre")
@click.version_option(__version__, "-V", "--version", prog_name="nacre")
def command() -> None:
    """SSH in Python: a server and command-line tools."""
