"""``nacre scp``, also installed as ``nacre-scp``: copy files between hosts."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from nacre.cli.common.start import FAILURE, loaded, start
from nacre.cli.common.transfer_options import Common, parse, split_place
from nacre.config.client import parse as parse_config
from nacre.errors import ConfigurationError, NacreError

if TYPE_CHECKING:
    import click

    from nacre.cli.common.log import Log
    from nacre.cli.scp.program import End, ScpSettings

USAGE = """\
usage: {program} [-12346COpqRrsTv] [-c cipher] [-D sftp_server_path] [-F none]
           [-i identity_file] [-J destination] [-l limit] [-o ssh_option] [-P port]
           [--profile default|legacy] [-X sftp_option]
           source ... target"""

_LETTERS = "3BD:OpRrsS:T"


_HELP = "Copy files over an encrypted connection."
ABOUT = f"{USAGE}\n\n{_HELP}"
"""What ``--help`` prints."""


def main() -> NoReturn:
    """Run ``nacre-scp``."""
    start(run, "nacre-scp", sys.argv[1:], ABOUT)


def __getattr__(name: str) -> click.Command:
    if name != "command":
        raise AttributeError(name)
    from nacre.cli.common.passing import Passing

    return Passing("scp", run, _HELP, USAGE)


def run(program: str, words: Sequence[str]) -> int:
    """Run the program on its command line; return the exit status."""
    try:
        common = parse(words, _LETTERS)
        given = dict(common.others)
        if "S" in given:
            raise ConfigurationError("-S is not supported by nacre: leave it out")
        if "B" in given:
            common.options.append("BatchMode=yes")
    except ConfigurationError as error:
        print(f"{error}\n{USAGE.format(program=program)}", file=sys.stderr)
        return 1
    if len(common.words) < 2:
        print(USAGE.format(program=program), file=sys.stderr)
        return 1
    try:
        return _copy(common, given)
    except ConfigurationError as error:
        print(f"scp: {error}", file=sys.stderr)
        return FAILURE


def _copy(common: Common, given: dict[str, str]) -> int:
    import asyncio

    from nacre.cli.common.log import Log, open_log
    from nacre.cli.scp.program import ScpSettings

    settings = ScpSettings(
        recursive="r" in given,
        preserve="p" in given,
        quiet=common.quiet,
        legacy="O" in given and "s" not in given,
        direct="R" in given and "3" not in given,
        rate=common.rate,
        server=given.get("D"),
        words=("-v",) * common.verbosity,
        options=common.session_options(),
    )
    *sources, target = [_end(word, common) for word in common.words]
    config = parse_config(common.options)
    with open_log() as file:
        try:
            log = Log(config.log_level, file)
            log.describe(common.options)
            return asyncio.run(_run(sources, target, settings, log))
        except KeyboardInterrupt:
            # The parent should see that the signal ended this process.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)
            return FAILURE


async def _run(sources: Sequence[End], target: End, settings: ScpSettings, log: Log) -> int:
    from nacre.cli.common.failures import explain
    from nacre.cli.scp.program import Copying

    loaded()
    copying = Copying(settings, log)
    try:
        return await copying.run(sources, target)
    except NacreError as error:
        remote = copying.reached
        log.fatal(explain(error, remote.name, remote.destination) if remote else f"scp: {error}")
        return FAILURE
    finally:
        await copying.close()


def _end(word: str, common: Common) -> End:
    from nacre.cli.common.target import Target
    from nacre.cli.scp.program import End

    try:
        place = split_place(word, "scp")
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{error}: give [user@]host:path, or ./path for a local file"
        ) from error
    if place is None:
        return End(None, parse_config(common.options), word, word)
    host, options, path = place
    config = parse_config([*common.options, *options])
    return End(Target.of(host, config), config, path, word)
