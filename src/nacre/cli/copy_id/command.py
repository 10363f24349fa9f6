"""``nacre copy-id``, also installed as ``nacre-ssh-copy-id``: let one's keys log in to a host."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from nacre.cli.common.program import close_or_abort, run_client
from nacre.cli.common.start import complain, loaded, start
from nacre.cli.copy_id.arguments import CopyIdArguments, identity_options, parse_arguments
from nacre.errors import AuthenticationFailed, ConfigurationError

if TYPE_CHECKING:
    import click

    from nacre.cli.common.log import Log
    from nacre.cli.copy_id.identities import NewKey
    from nacre.client.connection import Connection
    from nacre.config.client.files import Config

_WRONG = 1
"""The exit status of ssh-copy-id for all errors."""


def main() -> NoReturn:
    """Run ``nacre-ssh-copy-id``."""
    start(run, "nacre-ssh-copy-id", sys.argv[1:])


def __getattr__(name: str) -> click.Command:
    if name != "command":
        raise AttributeError(name)
    from nacre.cli.common.passing import Passing

    return Passing("copy-id", run)


def run(program: str, words: Sequence[str]) -> int:
    """Run the program on its command line; return the exit status."""
    from nacre.cli.common.log import Log, open_log
    from nacre.client.target import Target
    from nacre.config.client.files import Config

    try:
        arguments = parse_arguments(words)
        if arguments.show_help:
            from nacre.cli.help.pages import print_help

            return print_help(program, "copy-id")
    except ConfigurationError as error:
        from nacre.cli.help.pages import refuse

        return refuse(program, "copy-id", _WRONG, f"{error}")
    try:
        files = Config.load(arguments.config_file)
        config = files.lookup(arguments.host, arguments.options)
        target = Target.of(arguments.host, config)
    except ConfigurationError as error:
        return complain(program, error) and _WRONG
    loaded()
    with open_log() as file, tempfile.TemporaryDirectory(prefix="nacre-copy-id-") as scratch:
        log = Log(config.log_level, file)
        copy = _Copy(program, arguments, files, log, Path(scratch))
        return run_client(copy.run(), target, log) and _WRONG


class _Copy:
    """One run of the program."""

    def __init__(
        self, program: str, arguments: CopyIdArguments, files: Config, log: Log, scratch: Path
    ) -> None:
        self._program = program
        self._arguments = arguments
        self._files = files
        self._log = log
        self._scratch = scratch

    async def run(self) -> int:
        from nacre.agent.client import Agent
        from nacre.cli.copy_id.identities import identities
        from nacre.cli.copy_id.installing import NotInstalled, install

        arguments = self._arguments
        try:
            found = await identities(arguments, Agent.from_environment(), self._inform)
        except ConfigurationError as error:
            return complain(self._program, error)
        wanted = found if arguments.forced else await self._without_known(found)
        if not wanted:
            print(
                f"{self._program}: WARNING: all keys log in already, so none was installed; "
                "-f installs them anyway",
                file=sys.stderr,
            )
            return 0
        if arguments.dry_run:
            print("Would have added the following key(s):\n")
            print("\n".join(identity.line for identity in wanted))
            return 0
        connection = await self._log_in([])
        try:
            added = await install(connection, wanted, arguments.target, by_sftp=arguments.by_sftp)
        except NotInstalled as error:
            return complain(self._program, error)
        finally:
            await close_or_abort(connection)
        if "nacre_" in connection.peer_version and not await self._enters(wanted[0]):
            return complain(self._program, ConfigurationError(self._explain_store()))
        print(
            f"\nNumber of key(s) added: {len(added)}\n\n"
            f"Now try to log in with nacre ssh {arguments.destination}, and look whether only the "
            "keys that you wanted were added."
        )
        return 0

    def _explain_store(self) -> str:
        return (
            f"{self._arguments.destination} does not take the key, although it is in the file of "
            "keys now: nacre serve has the keys of its own users in a store, not in that file; "
            "ask its administrator to run: nacre user key add USER FILE.pub"
        )

    def _inform(self, text: str) -> None:
        print(f"{self._program}: INFO: {text}", file=sys.stderr)

    async def _without_known(self, found: Sequence[NewKey]) -> list[NewKey]:
        """Return the keys that do not log in yet."""
        self._inform("trying to log in with each key, to leave out those that are installed")
        wanted = [identity for identity in found if not await self._enters(identity)]
        if wanted:
            self._inform(
                f"{len(wanted)} key(s) remain to be installed; a password that you are asked for "
                "now is for that"
            )
        return wanted

    async def _enters(self, identity: NewKey) -> bool:
        """Tell whether a key logs in by itself."""
        file = identity.private
        if file is None:
            file = self._scratch / "key.pub"
            file.write_text(f"{identity.key}\n")
        try:
            connection = await self._log_in(identity_options(str(file)))
        except AuthenticationFailed:
            return False
        await close_or_abort(connection)
        return True

    async def _log_in(self, options: Sequence[str]) -> Connection:
        from nacre.cli.common.connect import dial_and_log_in
        from nacre.client.target import Target

        arguments = self._arguments
        config = self._files.lookup(arguments.host, [*options, *arguments.options])
        target = Target.of(arguments.host, config)
        return await dial_and_log_in(target, config, self._log, files=self._files)
