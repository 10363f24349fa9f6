"""``nacre scp``, also installed as ``nacre-scp``: copy files between hosts."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from nacre.cli.common.start import FAILURE, complain, load_asyncio, loaded, start
from nacre.cli.common.transfer_options import Common, parse, split_place
from nacre.config.client.config import ClientConfig
from nacre.config.client.files import Config
from nacre.errors import ConfigurationError, NacreError

if TYPE_CHECKING:
    import click

    from nacre.cli.common.log import Log
    from nacre.cli.scp.program import Copying
    from nacre.cli.scp.remotes import End

LETTERS = "3BD:OpRrsT"
"""The program's own options, in the form of :mod:`getopt`."""

_SERVING = "dft"
"""Those with which a client of the scp protocol starts this program on its host."""


def main() -> NoReturn:
    """Run ``nacre-scp``."""
    start(run, "nacre-scp", sys.argv[1:])


def __getattr__(name: str) -> click.Command:
    if name != "command":
        raise AttributeError(name)
    from nacre.cli.common.passing import Passing

    return Passing("scp", run)


def run(program: str, words: Sequence[str]) -> int:
    """Run the program on its command line; return the exit status."""
    try:
        common = parse(words, LETTERS + _SERVING)
    except ConfigurationError as error:
        from nacre.cli.help.pages import refuse

        return refuse(program, "scp", 1, str(error))
    if common.show_help:
        from nacre.cli.help.pages import print_help

        return print_help(program, "scp")
    given = dict(common.others)
    serving = "t" in given or "f" in given
    if len(common.words) < (1 if serving else 2):
        from nacre.cli.help.pages import refuse

        return refuse(program, "scp", 1)
    if serving:
        return _serve(common.words, given)
    if "B" in given:
        common.options.append("BatchMode=yes")
        common.passed.append("-oBatchMode=yes")
    try:
        return _copy(common, given)
    except ConfigurationError as error:
        return complain("scp", error)


def _copy(common: Common, given: dict[str, str]) -> int:
    load_asyncio()
    import asyncio

    from nacre.cli.common.log import Log, open_log
    from nacre.cli.scp.program import Copying, ScpSettings

    settings = ScpSettings(
        recursive="r" in given,
        preserve="p" in given,
        quiet=common.quiet,
        legacy="O" in given and "s" not in given,
        direct="R" in given and "3" not in given,
        rate=common.rate,
        server=given.get("D"),
        program=common.other_program(),
        words=("-v",) * common.verbosity,
        options=common.session_options(),
    )
    files = Config.load(common.config_file)
    ends = [_end(word, common, files) for word in common.words]
    *sources, target = ends
    # One run has one log: the first host's configuration says how much is told.
    configs = [end.config for end in ends if end.target] or [files.lookup("", common.options)]
    with open_log() as file:
        try:
            log = Log(configs[0].log_level, file)
            for config in configs:
                log.describe(config)
            return asyncio.run(_run(sources, target, Copying(settings, log, files), log))
        except KeyboardInterrupt:
            # The parent should see that the signal ended this process.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
            return FAILURE


def _serve(paths: Sequence[str], given: Mapping[str, str]) -> int:
    """Be the program that a client of the scp protocol has started on this host."""
    from nacre.scp.command import ScpCommand, exactly
    from nacre.scp.piped import serve_piped
    from nacre.sftp.filesystems.local import SystemFilesystem
    from nacre.sftp.server.journal import Journal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends the program without a traceback
    command = ScpCommand(
        "sink" if "t" in given else "source",
        tuple(map(exactly, paths)),
        recursive="r" in given,
        preserve="p" in given,
        directory="d" in given,
        in_place=True,
    )
    loaded()
    files = SystemFilesystem(os.getcwd(), set_id=True)
    # The client gets each error, and prints it.
    return serve_piped(files, command, Journal(lambda event, **fields: None, detailed=False))


async def _run(sources: Sequence[End], target: End, copying: Copying, log: Log) -> int:
    from nacre.cli.common.failures import explain, level_of

    loaded()
    try:
        return await copying.run(sources, target)
    except NacreError as error:
        remote = copying.reached
        if remote is None:
            log.fatal(f"scp: {error}")
        else:
            log.write(level_of(error), explain(error, remote.name, remote.destination))
        return FAILURE
    finally:
        await copying.close()


def _end(word: str, common: Common, files: Config) -> End:
    from nacre.cli.scp.remotes import End
    from nacre.client.target import Target

    try:
        place = split_place(word, "scp")
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{error}: give [user@]host:path, or ./path for a local file"
        ) from error
    if place is None:
        return End(None, ClientConfig(), word, word)
    host, options, path = place
    config = files.lookup(host, [*common.options, *options])
    return End(Target.of(host, config), config, path, word, tuple(options))
