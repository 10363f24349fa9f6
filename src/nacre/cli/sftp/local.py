"""The commands of ``sftp`` for this machine and the program itself."""

from __future__ import annotations

import os
import subprocess
import sys

from nacre.cli.common.failures import reason
from nacre.cli.sftp.lines import help_text, octal
from nacre.cli.sftp.shell import CommandFailed, Flags, Quit, SFTPShell
from nacre.sftp.protocol.paths import literal
from nacre.wire.text import safe


async def lcd(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Change the local directory."""
    path = literal(words[0]) if words else _home()
    try:
        os.chdir(path)
    except OSError as error:
        raise CommandFailed(
            f'Couldn\'t change local directory to "{safe(path)}": {reason(error)}'
        ) from None


async def lmkdir(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Make a local directory."""
    path = literal(words[0])
    try:
        os.mkdir(path)
    except OSError as error:
        raise CommandFailed(
            f'Couldn\'t create local directory "{safe(path)}": {reason(error)}'
        ) from None


async def lpwd(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Print the local directory."""
    print(f"Local working directory: {safe(os.getcwd())}")


async def lumask(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Set the mask for the permissions of new local files."""
    mask = octal(words[0], 0o777, "lumask")
    os.umask(mask)
    shell.inform(f"Local umask: {mask:03o}")


async def progress(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Turn the progress meter on or off."""
    shell.meter.enabled = not shell.meter.enabled
    print(f"Progress meter {'enabled' if shell.meter.enabled else 'disabled'}")


async def help_(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """Print the list of commands."""
    print(help_text())


async def bye(shell: SFTPShell, flags: Flags, words: list[str]) -> None:
    """End the program."""
    raise Quit


def run_local(command: str) -> None:
    """Run a command in the user's shell, or without one an interactive shell.

    :raises CommandFailed: its exit status is not 0.
    """
    shell = os.environ.get("SHELL") or "/bin/sh"
    sys.stdout.flush()
    done = subprocess.run([shell, "-c", command] if command else [shell], check=False)
    if done.returncode:
        raise CommandFailed(f"Shell exited with status {done.returncode}")


def _home() -> str:
    return os.path.expanduser("~")
