"""``nacre sftp``, also installed as ``nacre-sftp``: move files by commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, NoReturn, TextIO

from nacre.cli.common.start import FAILURE, loaded, occupy_standard_descriptors, start
from nacre.cli.common.transfer_options import Common, number, parse, split_place
from nacre.config.client import parse as parse_config
from nacre.errors import ConfigurationError, NacreError
from nacre.value import value

if TYPE_CHECKING:
    import click

    from nacre.cli.sftp.program import Loop, SFTPProgram

USAGE = """\
usage: {program} [-1246aCfNpqrv] [-B buffer_size] [-b batchfile] [-c cipher]
          [-D sftp_server_command] [-F none] [-i identity_file]
          [-l limit] [-o ssh_option] [-P port] [-R num_requests]
          [-s subsystem | sftp_server] destination"""

_LETTERS = "aB:b:D:fNpR:rS:s:X:"


@value(frozen=False)
class _Plan:
    """What the command line says beside the connection."""

    preserve: bool = False
    recursive: bool = False
    resume: bool = False
    fsync: bool = False
    batch: str | None = None
    direct: str | None = None
    subsystem: str = "sftp"
    read_size: int | None = None
    requests: int | None = None
    silent: bool = False


def main() -> NoReturn:
    """Run ``nacre-sftp``."""
    start(run, "nacre-sftp", sys.argv[1:])


def __getattr__(name: str) -> click.Command:
    if name != "command":
        raise AttributeError(name)
    from nacre.cli.common.passing import Passing

    return Passing("sftp", run, "Move files over an encrypted connection.", USAGE)


def run(program: str, words: Sequence[str]) -> int:
    """Do what a command line says; returns the exit status."""
    occupy_standard_descriptors()
    try:
        common = parse(words, _LETTERS)
        plan = _plan(common)
    except ConfigurationError as error:
        print(f"{error}\n{USAGE.format(program=program)}", file=sys.stderr)
        return FAILURE
    if len(common.words) not in ((0,) if plan.direct else (1, 2)):
        print(USAGE.format(program=program), file=sys.stderr)
        return 1
    try:
        return _run(common, plan)
    except KeyboardInterrupt:
        return FAILURE


def _plan(common: Common) -> _Plan:
    plan = _Plan()
    for letter, said in common.others:
        if letter == "b":
            plan.batch = said
            common.options.append("BatchMode=yes")
        elif letter == "B":
            plan.read_size = number("-B", said, "a size in bytes")
        elif letter == "R":
            plan.requests = number("-R", said, "a number of requests")
        elif letter == "D":
            plan.direct = said
        elif letter == "s":
            plan.subsystem = said
        elif letter == "N":
            plan.silent = True
        elif letter in _SETTINGS:
            setattr(plan, _SETTINGS[letter], True)
        else:
            raise ConfigurationError(f"-{letter} is not supported by nacre")
    return plan


_SETTINGS = {"a": "resume", "f": "fsync", "p": "preserve", "r": "recursive"}


def _run(common: Common, plan: _Plan) -> int:
    from nacre.cli.sftp.program import run_program

    with ExitStack() as stack:
        lines: TextIO = sys.stdin
        if plan.batch not in (None, "-"):
            assert plan.batch is not None
            try:
                lines = stack.enter_context(
                    open(plan.batch, encoding="utf-8", errors="surrogateescape")
                )
            except OSError as error:
                print(f"{error.strerror} ({plan.batch}).", file=sys.stderr)
                return FAILURE
        return run_program(lambda loop: _session(loop, common, plan, lines))


def _session(loop: Loop, common: Common, plan: _Plan, lines: TextIO) -> int:
    from nacre.cli.common.failures import explain
    from nacre.cli.common.log import Log
    from nacre.cli.common.target import Target
    from nacre.cli.sftp.program import RemoteHost, SFTPProgram
    from nacre.cli.sftp.shell import ShellSettings

    loaded()
    with open(2, "wb", buffering=0, closefd=False) as errors:
        host, path = "", ""
        options: list[str] = []
        if plan.direct is None:
            place = split_place(common.words[0], "sftp") or (common.words[0], [], "")
            host, options, path = place
            if "@" in host:
                user, _, host = host.rpartition("@")
                options = [f"User={user}", *options]
        remote = RemoteHost()
        try:
            config = parse_config([*common.options, *options])
            log = Log(config.log_level, errors)
            target = Target.of(host, config)
        except ConfigurationError as error:
            print(f"sftp: {error}", file=sys.stderr)
            return FAILURE
        batch = plan.batch is not None
        quiet = common.quiet or (batch and not plan.silent)
        settings = ShellSettings(plan.preserve, plan.recursive, plan.resume, plan.fsync, quiet)
        try:
            if plan.direct is not None:
                sftp = loop.call(remote.open_local(plan.direct))
            else:
                sftp = loop.call(
                    remote.open(
                        target,
                        config,
                        log,
                        subsystem=plan.subsystem,
                        read_size=plan.read_size,
                        requests=plan.requests,
                        rate=common.rate,
                    )
                )
            program = SFTPProgram(loop, sftp, settings, batch=batch)
            if not quiet:
                print(f"Connected to {target.name or 'the server'}.", file=sys.stderr)
            if path:
                local = common.words[1] if len(common.words) == 2 else None
                done = program.start_at(path, local)
                if done is not None:
                    return 0 if done else 1
            return _commands(program, plan, lines)
        except NacreError as error:
            log.fatal(explain(error, target.name, target.whom))
            return FAILURE
        finally:
            loop.call(remote.close())


def _commands(program: SFTPProgram, plan: _Plan, lines: TextIO) -> int:
    if plan.batch is None and os.isatty(0):
        return program.interact()
    return program.run_lines(lines, echo=True)
