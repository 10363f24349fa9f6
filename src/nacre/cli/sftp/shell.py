"""What the commands of ``sftp`` share: the client, the settings, messages and patterns."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from nacre.cli.common.failures import reason
from nacre.cli.common.meter import Meter
from nacre.errors import NacreError, SFTPError
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.protocol.paths import has_wildcards, literal
from nacre.value import value
from nacre.wire.text import safe

Flags: TypeAlias = frozenset[str]
"""The option letters of one command."""


class CommandFailed(Exception):
    """A command failed; the text is the message to print."""


class Quit(Exception):
    """The user ends the program."""


@value(frozen=False)
class ShellSettings:
    """The command line's options for all commands.

    :ivar preserve: ``-p`` for every transfer; ``recursive`` (``-r``), ``resume`` (``-a``) and
        ``fsync`` (``-f``) as well.
    :ivar quiet: print errors only.
    """

    preserve: bool = False
    recursive: bool = False
    resume: bool = False
    fsync: bool = False
    quiet: bool = False


class SFTPShell:
    """The state that commands work on.

    :ivar sftp: the client.
    :ivar settings: the command line's options.
    :ivar meter: shows the progress of transfers.
    :ivar home: the directory that ``cd`` without a path goes to.
    :ivar failures: how many messages :meth:`complain` has printed for the current command.
    """

    def __init__(self, sftp: SFTPClient, home: str, settings: ShellSettings, meter: Meter) -> None:
        self.sftp = sftp
        self.settings = settings
        self.meter = meter
        self.home = home
        self.failures = 0

    # --- messages ---

    def complain(self, text: str) -> None:
        """Print an error message, and let the command count as failed."""
        self.failures += 1
        sys.stdout.flush()
        print(text, file=sys.stderr, flush=True)

    def inform(self, text: str) -> None:
        """Print what a command does, unless the program is quiet."""
        if not self.settings.quiet:
            print(text, flush=True)

    def show(self, path: str) -> str:
        """Return the path that is sent for a remote path, safe to print."""
        return safe(self.sftp.path(path))

    # --- patterns ---

    async def existing(self, pattern: str) -> list[str]:
        """Return the remote paths that a pattern matches.

        :raises CommandFailed: there are none.
        """
        if not has_wildcards(pattern):
            path = literal(pattern)
            if await self.sftp.lexists(path):
                return [path]
        elif found := await self.sftp.glob(pattern):
            return found
        raise CommandFailed(f'File "{self.show(literal(pattern))}" not found.')

    async def matching(self, pattern: str) -> list[str]:
        """Return the remote paths that a pattern matches, or the pattern itself as a name."""
        found = await self.sftp.glob(pattern) if has_wildcards(pattern) else []
        return found or [literal(pattern)]

    async def one(self, pattern: str) -> str:
        """Return the only remote path that a pattern matches, or the pattern itself as a name."""
        found = await self.matching(pattern)
        return found[0] if len(found) == 1 else literal(pattern)

    # --- errors ---

    async def attempt(self, what: str, work: Awaitable[None]) -> None:
        """Await a request.

        :param what: the request and its paths, for the message.
        :raises CommandFailed: the server refused it.
        """
        try:
            await work
        except OSError as error:
            raise self.refused(what, error) from None

    def refused(self, what: str, error: OSError) -> CommandFailed:
        """Return the failure for an error that the server reported; raise one that is fatal."""
        self.check_alive(error)
        return CommandFailed(f"{what}: {reason(error)}")

    def check_alive(self, error: OSError) -> None:
        """Raise ``error`` if it ended the session, such as a lost connection."""
        if isinstance(error, NacreError) and not isinstance(error, SFTPError):
            raise error


Run: TypeAlias = Callable[[SFTPShell, Flags, list[str]], Awaitable[None]]
"""Runs one command, with its flags and its other words. Their number is checked before."""
