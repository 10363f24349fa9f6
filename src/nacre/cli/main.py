"""The ``nacre`` command: ssh, sftp and scp start without click, the others through it."""

from __future__ import annotations

import importlib
import sys

from nacre.cli.common.start import prepare, start

_AT_ONCE = ("scp", "sftp", "ssh")
"""Subcommands that parse their words themselves. They run without click, which takes as long to
load as all of their own modules."""


def main() -> None:
    """Run ``nacre``; the entry point of the package."""
    prepare()
    name, words = sys.argv[1:2], sys.argv[2:]
    if name and name[0] in _AT_ONCE and words[:1] != ["--help"]:
        program = importlib.import_module(f"nacre.cli.{name[0]}.command")
        start(program.run, f"nacre {name[0]}", words)
    from nacre.cli.group import command

    command()
