"""The subcommands of ``nacre``, each loaded only when it is called."""

from __future__ import annotations

import importlib

import click

from nacre._version import __version__

_COMMANDS = {
    "keygen": "make keys, show and change key files",
    "scp": "copy files between hosts",
    "serve": "start an SSH server",
    "sftp": "transfer files by commands",
    "sftp-server": "serve SFTP on standard input and output",
    "ssh": "log in to a host, or run a command there",
    "trace": "connect to a host and print each message",
    "user": "add, change and remove users of the server",
}


class _Group(click.Group):
    """A group whose subcommands are the ``command`` of each ``nacre.cli.<name>.command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = f"nacre.cli.{cmd_name.replace('-', '_')}.command"
        command = importlib.import_module(module).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # From the table: the help of the group must not import every subcommand.
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]}, name="nacre")
@click.version_option(__version__, "-V", "--version", prog_name="nacre")
def command() -> None:
    """SSH in Python: a server and command-line tools."""
