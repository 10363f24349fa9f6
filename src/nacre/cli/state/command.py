"""``nacre state``: the state directory as a whole."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from nacre.cli.help.grouped import GroupedGroup
from nacre.cli.manage.options import CONTEXT, note, reported, state_option
from nacre.errors import StateError


@click.group("state", cls=GroupedGroup, context_settings=CONTEXT)
def command() -> None:
    """Back up the state of the server, and restore it.

    The state is the host keys, the users and groups, and all else in the state directory. A backup
    holds the private host keys and the hashes of passwords: keep it as the state itself.
    """


@command.command("backup")
@click.argument("file", metavar="FILE")
@state_option
@reported
def _backup(file: str, state: Path | None) -> None:
    """Write a backup to a file, or for - to standard output, while the server runs.

    The file gets mode 0600, and replaces one of its name when it is complete.
    """
    from nacre.daemon.backup.writing import back_up
    from nacre.daemon.state import open_state

    where = open_state(state, create=False)
    if file != "-":
        entries = back_up(where, Path(file))
    elif sys.stdout.isatty():
        raise click.UsageError("a terminal is no place for a backup: redirect standard output")
    else:
        entries = back_up(where, None, sys.stdout.buffer)
    size = sum(entry.size for entry in entries)
    note(f"{len(entries)} files, {size} bytes")


@command.command("restore")
@click.argument("file", metavar="FILE")
@state_option
@reported
def _restore(file: str, state: Path | None) -> None:
    """Restore a backup into a state directory that is empty or missing.

    FILE is - for standard input. The server must not run. All is checked before any of it counts.
    """
    from nacre.daemon.backup.restoring import restore
    from nacre.daemon.state import default_path

    target = state or default_path()
    try:
        with click.open_file(file, "rb") as source:
            entries = restore(source, target)
    except OSError as error:
        raise StateError(f"can't read {file}: {error.strerror}") from error
    note(f"{len(entries)} files in {target}")
