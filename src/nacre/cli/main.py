"""The ``nacre`` command: some programs start without click, the others through it."""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from nacre.cli.common.start import completed, prepare, start

_AT_ONCE = (
    *("add", "agent", "copy-id", "keygen", "keyscan", "scp", "sftp", "sftp-server", "ssh", "sshd"),
)
"""Subcommands that parse their words themselves. They run without click, which takes as long to
load as all of their own modules."""

_CONNECTED = ("serve", "trace")
"""Subcommands that a connection's end must not end by SIGPIPE."""

_EXTRAS = dict.fromkeys(
    ("api", "audit", "ban", "ca", "group", "hook", "serve", "state", "user"), "cli,server"
) | {"fleet": "fleet", "console": "console", "nodes": "cli,postgres"}
"""The extras that a subcommand needs, other than ``cli`` alone."""


def main() -> NoReturn:
    """Run ``nacre``; the entry point of the package."""
    prepare()
    name, words = sys.argv[1:2], sys.argv[2:]
    if name and name[0] in _AT_ONCE:
        program = importlib.import_module(f"nacre.cli.{name[0].replace('-', '_')}.command")
        start(program.run, f"nacre {name[0]}", words)
    sys.exit(completed(_run, "nacre", sys.argv[1:], failure=1))


def _run(program: str, words: Sequence[str]) -> int:
    name = words[0] if words else ""
    if name not in _CONNECTED:
        # As other tools do: `nacre user list | head` ends without a message.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        if name == "help":
            from nacre.cli.help.command import run

            return run(f"{program} {name}", words[1:])
        from nacre.cli.subcommands import command

        command(prog_name=program)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "nacre"):
            raise
        extras = _EXTRAS.get(name, "cli")
        print(
            f"{program}: the package {package} is not installed: run pip install 'nacre[{extras}]'",
            file=sys.stderr,
        )
        return 1
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0
