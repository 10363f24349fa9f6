"""``nacre fleet``: run commands and scripts at many hosts, and copy files there and back."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from nacre.cli.fleet.options import (
    host_options,
    hosts_of,
    idempotent_option,
    output_options,
    run_options,
    shell_options,
    state_option,
)
from nacre.cli.fleet.working import begin, remove, reported, resume, runs
from nacre.cli.help.grouped import GroupedGroup
from nacre.cli.manage.options import CONTEXT, json_lines_option
from nacre.cli.manage.times import span, write
from nacre.errors import ConfigurationError

_FIRST = {"allow_interspersed_args": False}
"""Options come before the command: what follows are words of it."""

_LARGEST = 64 << 20
"""Bytes of a script, or of the input of a command."""


@click.group("fleet", cls=GroupedGroup, context_settings=CONTEXT)
def command() -> None:
    """Do one task at many hosts, and say how it ended at each.

    %{NAME} in a command or a path stands for a variable of the host, from its inventory; %{host}
    and %{address} are those of every host. Nobody is asked for anything: keys are in files or in an
    agent, and host keys are known.
    """


def _read(name: str) -> bytes:
    try:
        with open(sys.stdin.fileno() if name == "-" else name, "rb", closefd=name != "-") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise ConfigurationError(f"can't read {name}: {error.strerror}") from error
    if len(data) > _LARGEST:
        raise ConfigurationError(f"{name} has more than {_LARGEST >> 20} MiB: copy it as a file")
    return data


@command.command("run", context_settings=_FIRST)
@click.argument("words", metavar="COMMAND...", nargs=-1, required=True)
@run_options
@click.option(
    "--input", "given", metavar="FILE", help="The standard input of the command. -: our own."
)
@idempotent_option
@reported
def _run(words: tuple[str, ...], given: str | None, idempotent: bool, **options: Any) -> int:
    """Run a command at each host."""
    from nacre.fleet.tasks import RunCommand

    data = b"" if given is None else _read(given)
    return begin(RunCommand(" ".join(words), data, idempotent), options)


@command.command("script", context_settings=_FIRST)
@click.argument("file")
@click.argument("words", metavar="[ARGUMENT...]", nargs=-1)
@run_options
@idempotent_option
@reported
def _script(file: str, words: tuple[str, ...], idempotent: bool, **options: Any) -> int:
    """Run a file of this machine as a program at each host.

    It begins with #!, or is a script for sh. The host has it in a temporary file meanwhile.
    """
    from nacre.fleet.tasks import script

    return begin(script(_read(file), " ".join(words), idempotent=idempotent), options)


_recursive = click.option(
    "-r", "--recursive", is_flag=True, help="Copy directories with everything in them."
)
_preserve = click.option("--preserve", is_flag=True, help="Keep permissions and times.")


@command.command("copy")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.argument("target")
@run_options
@_recursive
@_preserve
@click.option(
    "--fanout", type=click.IntRange(0), default=0, metavar="N",
    help="Have hosts that have the files hand them on, each to so many at a time. They log in to "
    "the next host by an agent that is restricted to that.",
)  # fmt: skip
@reported
def _copy(
    sources: tuple[str, ...],
    target: str,
    recursive: bool,
    preserve: bool,
    fanout: int,
    **options: Any,
) -> int:
    """Copy files of this machine to each host, by SFTP.

    A copy gets its name when it is whole, and is compared with the original by hash.
    """
    from nacre.fleet.tasks import CopyFiles

    return begin(CopyFiles(sources, target, recursive, preserve, fanout=fanout), options)


@command.command("get")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.argument("directory")
@run_options
@_recursive
@_preserve
@reported
def _get(
    sources: tuple[str, ...], directory: str, recursive: bool, preserve: bool, **options: Any
) -> int:
    """Copy files of each host to DIRECTORY/HOST, by SFTP."""
    from nacre.fleet.tasks import GetFiles

    return begin(GetFiles(sources, directory, recursive, preserve), options)


@command.command("shell")
@shell_options
@reported
def _shell(**options: Any) -> int:
    """Run each line that is read at each host, until the input ends.

    Each line is a run of its own, with connections of its own: what it changes in its shell, such
    as the directory, is gone with the next. Ctrl-C ends a line, Ctrl-D or exit the shell. These
    runs are not kept.
    """
    from nacre.fleet.tasks import RunCommand

    status = 0
    prompt = f"{len(hosts_of(options))} hosts> " if sys.stdin.isatty() else ""
    while True:
        try:
            line = input(prompt).strip()
        except EOFError:
            return status
        except KeyboardInterrupt:
            click.echo()
            continue
        if line == "exit":
            return status
        if line:
            status = begin(RunCommand(line), {**options, "no_state": True})


@command.command("resume")
@click.argument("run", type=int, required=False)
@output_options
@state_option
@reported
def _resume(run: int | None, **options: Any) -> int:
    """Go on with a run that broke off, by default the last one.

    Hosts whose turn did not come have it now, with the options of then. Where the task had begun
    and its end was not seen, it is begun again if it is idempotent, and reported as unknown if not.
    """
    return resume(run, options)


@command.command("runs")
@state_option
@json_lines_option
@click.option("--remove-before", "old", metavar="SPAN", help="Remove older runs. Such as 90d.")
@reported
def _runs(state: Path | None, as_json: bool, old: str | None) -> int:
    """List the runs that are kept: when, whether they have ended, and how many hosts did how."""
    from nacre.fleet.tasks import task_object

    if old is not None:
        if (seconds := span(old)) is None:
            raise click.BadParameter(f"{old!r} is no span: write for example 90d, 12h or 2w")
        click.echo(f"removed {remove(state, time.time() - seconds)}")
        return 0
    for run in runs(state):
        task = task_object(run.task)
        what = task.get("command") or f"{task['kind']} {' '.join(task['sources'])}"
        if as_json:
            shown = {"id": run.id, "begun": run.begun, "ended": run.ended, "task": task["kind"]}
            click.echo(json.dumps({**shown, "what": what, "hosts": run.counts}))
            continue
        counts = ", ".join(f"{n} {ending or 'left'}" for ending, n in sorted(run.counts.items()))
        click.echo(f"{run.id} {write(run.begun)} {counts}: {what[:60]!r}")
    return 0


@command.command("hosts")
@host_options
@click.option("-F", "config", metavar="FILE", help="Read names of this file, not the usual ones.")
@click.option("--fold", is_flag=True, help="Print them as one node set.")
@reported
def _hosts(fold: bool, **options: Any) -> int:
    """Print the hosts that the options name, and do nothing else."""
    from nacre.fleet import nodesets

    names = [host.name for host in hosts_of(options)]
    click.echo(nodesets.fold(names) if fold else "\n".join(names))
    return 0
