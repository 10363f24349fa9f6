"""A run of ``nacre fleet``: from the options to the exit status."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import wraps
from pathlib import Path
from typing import Any

import click

from nacre.cli.fleet.options import Options, hosts_of, login_of, plan_of
from nacre.cli.fleet.printing import OutputFiles, each_lines, folded_lines, object_line, summary
from nacre.cli.fleet.screen import FleetScreen
from nacre.cli.manage.options import note
from nacre.errors import NacreError
from nacre.fleet.hosts import FleetHost
from nacre.fleet.journal import FleetFile, KeptRun, default_path
from nacre.fleet.plan import FleetPlan
from nacre.fleet.running import check, work, workers_of
from nacre.fleet.tasks import FleetTask
from nacre.fleet.verdicts import FleetVerdict

NOT_WELL = 1
"""The exit status where a host has not ended well."""

BROKEN = 255
"""The exit status where the run could not be done."""

INTERRUPTED = 130
"""The exit status after Ctrl-C, as a shell has it."""


def reported(function: Callable[..., int]) -> Callable[..., None]:
    """Turn an error of nacre into a message and its exit status, and a number into the status."""

    @wraps(function)
    def call(*args: Any, **options: Any) -> None:
        try:
            status = function(*args, **options)
        except NacreError as error:
            note(f"Error: {error}")
            status = BROKEN
        sys.exit(status)

    return call


def begin(task: FleetTask, options: Options) -> int:
    """Begin a run, and return the exit status.

    :raises NacreError: it could not be done.
    """
    hosts, plan = hosts_of(options), plan_of(options)
    check(plan, task, hosts)
    given = {
        **login_of(options),
        "workers": workers_of(options["workers"], options["engine"]),
        "plan": plan.figures(),
    }
    if options["no_state"]:
        return _work(task, hosts, given, options, None)
    with closing(FleetFile(options["state"] or default_path())) as file:
        number = file.begin(task, hosts, given)
        return _work(task, hosts, given, options, (file, number))


def resume(number: int | None, options: Options) -> int:
    """Go on with a run, and return the exit status.

    :raises NacreError: it could not be done.
    """
    with closing(FleetFile(options["state"] or default_path())) as file:
        run = file.run(number)
        file.hold(run.id)
        hosts, unknown = file.left(run)
        file.note(run.id, (), unknown)
        if not hosts:
            note(f"run {run.id} has nothing left to do")
        return _work(run.task, hosts, run.options, options, (file, run.id), resumed=True)


def _work(
    task: FleetTask,
    hosts: Sequence[FleetHost],
    given: dict[str, Any],
    options: Options,
    kept: tuple[FleetFile, int] | None,
    *,
    resumed: bool = False,
) -> int:
    files = None if options["output"] is None else OutputFiles(options["output"])
    tell = _teller(options)

    def ended(verdict: FleetVerdict) -> None:
        tell(verdict)
        if files is not None:
            files.write(verdict)

    screen = FleetScreen(len(hosts), ended)
    login = {name: given[name] for name in ("config", "keywords")}
    interrupted = False
    live = not options["quiet"] and not options["each"]
    with screen.shown(live=live):
        plan = FleetPlan(**given["plan"])
        try:
            report = asyncio.run(work(task, hosts, plan, login, {}, given["workers"], kept, screen))
            screen.report.stopped = report.stopped
        except KeyboardInterrupt:
            interrupted = True
            screen.report.stopped = "interrupted"
    for verdict in kept[0].verdicts(kept[1]) if kept is not None and resumed else ():
        if verdict.host not in screen.report.verdicts:  # it has it from before
            screen.report.add(verdict)
            if files is not None:
                files.write(verdict)
    status = _told(screen, options, kept, interrupted)
    if files is not None:
        files.check()
    return status


def _teller(options: Options) -> Callable[[FleetVerdict], None]:
    """Return what prints each verdict as it comes."""
    if options["as_json"]:
        return lambda verdict: click.echo(object_line(verdict))
    if options["each"]:
        return lambda verdict: click.echo(
            "".join(f"{line}\n" for line in each_lines(verdict)), nl=False
        )
    return lambda verdict: None


def _told(
    screen: FleetScreen, options: Options, kept: tuple[FleetFile, int] | None, interrupted: bool
) -> int:
    report = screen.report
    if not options["as_json"] and not options["each"]:
        for line in folded_lines(report):
            click.echo(line)
    stopped = f"; {report.stopped}" if report.stopped else ""
    note(summary(report) + stopped)
    if kept is not None and report.ended("skipped"):
        note(f"nacre fleet resume {kept[1]} goes on with it")
    if interrupted:
        return INTERRUPTED
    return 0 if report.ok else NOT_WELL


def runs(state: Path | None) -> list[KeptRun]:
    """Return the runs of a file, oldest first.

    :raises StateError: it can't be used.
    """
    with closing(FleetFile(state or default_path())) as file:
        return file.runs()


def remove(state: Path | None, before: float) -> int:
    """Remove the runs of a file that began before a time; return how many.

    :raises StateError: it can't be used.
    """
    with closing(FleetFile(state or default_path())) as file:
        return file.remove(before)
