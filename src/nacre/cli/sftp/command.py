"""``nacre sftp``, also installed as ``nacre-sftp``: transfer files by commands.

The modules that load here are few: wrong options are reported before the rest is loaded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, NoReturn, TextIO

from nacre.cli.common.start import FAILURE, complain, load_asyncio, loaded, start
from nacre.cli.common.transfer_options import Common, number, parse, split_host, split_place
from nacre.config.client.files import Config
from nacre.errors import ConfigurationError, NacreError
from nacre.value import value

if TYPE_CHECKING:
    import click

    from nacre.aio.background import Background
    from nacre.cli.common.log import Log
    from nacre.cli.sftp.program import RemoteHost
    from nacre.client.target import Target
    from nacre.config.client.config import ClientConfig
    from nacre.sftp.client.client import SFTPClient

LETTERS = "aB:b:D:fNpR:rs:"
"""The program's own options, in the form of :mod:`getopt`."""


@value(frozen=False)
class _Plan:
    """The command line's options that do not concern the connection.

    :ivar batch: ``-b``: the file of commands, or ``-`` for standard input.
    :ivar direct: ``-D``: the command line of a local server program, in place of a host.
    :ivar subsystem: ``-s``: its name, or the path of a server program on the host.
    :ivar chatty: ``-N``: print messages in a batch too.
    """

    preserve: bool = False
    recursive: bool = False
    resume: bool = False
    fsync: bool = False
    batch: str | None = None
    direct: str | None = None
    subsystem: str = "sftp"
    chatty: bool = False


def main() -> NoReturn:
    """Run ``nacre-sftp``."""
    start(run, "nacre-sftp", sys.argv[1:])


def __getattr__(name: str) -> click.Command:
    if name != "command":
        raise AttributeError(name)
    from nacre.cli.common.passing import Passing

    return Passing("sftp", run)


def run(program: str, words: Sequence[str]) -> int:
    """Run the program on its command line; return the exit status."""
    try:
        common = parse(words, LETTERS)
        plan = _plan(common)
    except ConfigurationError as error:
        from nacre.cli.help.pages import refuse

        return refuse(program, "sftp", FAILURE, str(error))
    if common.show_help:
        from nacre.cli.help.pages import print_help

        return print_help(program, "sftp")
    if len(common.words) not in ((0,) if plan.direct else (1, 2)):
        from nacre.cli.help.pages import refuse

        return refuse(program, "sftp", 1)
    load_asyncio()
    try:
        return _run(common, plan)
    except KeyboardInterrupt:
        return FAILURE


def _plan(common: Common) -> _Plan:
    plan = _Plan()
    for letter, given in common.others:
        if letter == "b":
            plan.batch = given
            common.options.append("BatchMode=yes")
            common.passed.append("-oBatchMode=yes")
        elif letter == "B":
            common.read_size = number("-B", given, "a size in bytes")
        elif letter == "R":
            common.requests = number("-R", given, "a number of requests")
        elif letter == "D":
            plan.direct = given
        elif letter == "s":
            plan.subsystem = given
        else:
            setattr(plan, _SWITCHES[letter], True)
    return plan


_SWITCHES = {"N": "chatty", "a": "resume", "f": "fsync", "p": "preserve", "r": "recursive"}


def _run(common: Common, plan: _Plan) -> int:
    from nacre.cli.sftp.program import run_program

    with ExitStack() as stack:
        lines: TextIO = sys.stdin
        if plan.batch is not None and plan.batch != "-":
            try:
                lines = stack.enter_context(
                    open(plan.batch, encoding="utf-8", errors="surrogateescape")
                )
            except OSError as error:
                print(f"{error.strerror} ({plan.batch}).", file=sys.stderr)
                return FAILURE
        return run_program(lambda loop: _session(loop, common, plan, lines))


def _session(loop: Background, common: Common, plan: _Plan, lines: TextIO) -> int:
    from nacre.cli.common.failures import explain, level_of
    from nacre.cli.common.log import Log, open_log
    from nacre.cli.common.modes import watching
    from nacre.cli.sftp.program import RemoteHost
    from nacre.client.target import Target

    loaded()
    try:
        host, path, options = _destination(common, plan)
        files = Config.load(common.config_file)
        config = files.lookup(host, [*common.options, *options])
        target = Target.of(host, config)
    except ConfigurationError as error:
        return complain("sftp", error)
    remote = RemoteHost()
    with open_log() as file:
        log = Log(config.log_level, file)
        log.describe(config)
        try:
            with watching():  # the loop's thread may ask for a password
                sftp = loop.call(lambda: _open(remote, target, config, log, files, common, plan))
            return _work(loop, sftp, target, path, common, plan, lines)
        except NacreError as error:
            log.write(level_of(error), explain(error, target.name, target.destination))
            return FAILURE
        finally:
            loop.call(remote.close)


def _destination(common: Common, plan: _Plan) -> tuple[str, str, list[str]]:
    """Return the host, the path, and options for what else the destination names."""
    if plan.direct is not None:
        return "", "", []
    destination = common.words[0]
    place = split_place(destination, "sftp")
    if place is not None:
        host, options, path = place
        return host, path, options
    host, options = split_host(destination)
    return host, "", options


async def _open(
    remote: RemoteHost,
    target: Target,
    config: ClientConfig,
    log: Log,
    files: Config,
    common: Common,
    plan: _Plan,
) -> SFTPClient:
    command = plan.direct or _by_program(target, common, plan)
    if command is not None:
        return await remote.open_local(command, common.rate, common.session_options())
    return await remote.open(
        target,
        config,
        log,
        files,
        subsystem=plan.subsystem,
        rate=common.rate,
        options=common.session_options(),
    )


def _by_program(target: Target, common: Common, plan: _Plan) -> list[str] | None:
    """Return the words of the program of ``-S``; None without one."""
    program = common.other_program()
    if program is None:
        return None
    options = _destination(common, plan)[2]
    named = "/" not in plan.subsystem
    return program.line(target.name, options, plan.subsystem, subsystem=named)


def _work(
    loop: Background,
    sftp: SFTPClient,
    target: Target,
    path: str,
    common: Common,
    plan: _Plan,
    lines: TextIO,
) -> int:
    """Do what the session is for; return the exit status."""
    from nacre.cli.sftp.program import SFTPProgram
    from nacre.cli.sftp.shell import ShellSettings

    batch = plan.batch is not None
    quiet = common.quiet or (batch and not plan.chatty)
    settings = ShellSettings(plan.preserve, plan.recursive, plan.resume, plan.fsync, quiet)
    program = SFTPProgram(loop, sftp, settings, batch=batch)
    if not quiet:
        print(f"Connected to {target.name or 'the server'}.", file=sys.stderr)
    if path:
        local = common.words[1] if len(common.words) == 2 else None
        downloaded = program.start_at(path, local)
        if downloaded is not None:
            return 0 if downloaded else 1
    if not batch and os.isatty(0):
        return program.interact()
    return program.run_lines(lines)
