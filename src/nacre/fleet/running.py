"""``nacre.fleet.run``: a task at many hosts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

from nacre.client.options import DEFAULT, Default
from nacre.config.client.files import Config
from nacre.errors import ConfigurationError
from nacre.fleet.attempts import Attempting, Attempts
from nacre.fleet.hosts import FleetHost, FleetSources
from nacre.fleet.journal import FleetFile, FleetJournal
from nacre.fleet.plan import FleetPlan
from nacre.fleet.schedule import FleetSchedule, FleetWatcher
from nacre.fleet.tasks import FleetTask, RunCommand
from nacre.fleet.verdicts import FleetReport
from nacre.fleet.workers.dask import DaskWorkers, scheduler_of
from nacre.fleet.workers.local import LocalWorkers
from nacre.fleet.workers.pool import FleetWorkers

Path_ = str | os.PathLike[str]


async def run(
    hosts: str | Iterable[str | FleetHost],
    task: str | FleetTask,
    *,
    plan: FleetPlan | None = None,
    state: Path_ | None = None,
    watcher: FleetWatcher | None = None,
    config: Path_ | Default | None = DEFAULT,
    config_options: Sequence[str] = (),
    workers: int = 0,
    engine: str | None = None,
    **options: Any,
) -> FleetReport:
    """Do a task at many hosts, and return a verdict for each.

    ::

        report = await nacre.fleet.run("web[01-50],db1", "uptime")
        for verdict in report.verdicts.values():
            print(verdict.host, verdict.summary)

    No host's failure is raised: it is in the host's verdict.

    :param hosts: a node set, or hosts; see :class:`FleetSources` for groups and inventories.
    :param task: a command line, or a task.
    :param plan: how to go about the hosts.
    :param state: a file that keeps the run, as that of ``nacre fleet``, which can go on with it: it
        then logs in as the configuration says, without further options.
    :param watcher: is told of each attempt and each verdict.
    :param config: the configuration, as for :func:`nacre.connect`; ``config_options`` are
        ``Keyword=Value`` texts that count before it.
    :param workers: processes that log in beside this one's, so that more than one core is used; 0
        for this process alone. They log in as the configuration says, without further options.
    :param engine: ``dask://HOST:PORT``, the scheduler of a cluster of Dask whose workers log in, in
        place of ``workers``, likewise.
    :param options: further options of :func:`nacre.connect`, for every host.
    :raises ConfigurationError: a host, the task or the plan is not possible. Nothing was done then.
    :raises StateError: ``state`` can't be used.
    """
    plan, chosen = plan or FleetPlan(), _chosen(hosts)
    doing = RunCommand(task) if isinstance(task, str) else task
    check(plan, doing, chosen)
    by = workers_of(workers, engine)
    if by and options:
        raise ConfigurationError(
            f"workers can't be given {', '.join(options)}: say it in config or config_options"
        )
    name = None if isinstance(config, Default) else "none" if config is None else os.fspath(config)
    login: dict[str, Any] = {"config": name, "keywords": [*config_options]}
    async with AsyncExitStack() as stack:
        kept = None
        if state is not None:
            file = stack.enter_context(closing(FleetFile(Path(state))))
            given = {**login, "workers": by, "plan": plan.figures()}
            kept = file, file.begin(doing, chosen, given)
        return await work(doing, chosen, plan, login, options, by, kept, watcher)


async def work(
    task: FleetTask,
    hosts: Sequence[FleetHost],
    plan: FleetPlan,
    login: dict[str, Any],
    options: dict[str, Any],
    workers: int | str = 0,
    kept: tuple[FleetFile, int] | None = None,
    watcher: FleetWatcher | None = None,
) -> FleetReport:
    """Do a task that was checked, and return the report.

    :param login: the file of the configuration, ``config``, and its ``keywords``.
    :param options: further ones of :func:`nacre.connect`, without workers.
    :param workers: how many there are on this machine, or the address of others.
    :param kept: the file that keeps the run, and its number there.
    """
    async with AsyncExitStack() as stack:
        journal = None if kept is None else FleetJournal(*kept)
        if journal is not None:
            stack.push_async_callback(journal.close)
        attempt: Attempting
        if workers:
            made: FleetWorkers
            if isinstance(workers, str):
                made = DaskWorkers(workers, task, plan.login, login)
            else:
                made = LocalWorkers(workers, task, plan.login, login)
            attempt = await stack.enter_async_context(made)
        else:
            # It is read once for all hosts.
            config = Config.load(login["config"], login["keywords"])
            attempt = Attempts(task, plan.login, {**options, "config": config})
        schedule = FleetSchedule(
            attempt, plan, idempotent=task.idempotent, journal=journal, watcher=watcher
        )
        return await schedule.run(hosts)


def workers_of(workers: int, engine: str | None) -> int | str:
    """Return who makes the attempts: how many processes, 0 for this one alone, or an address.

    :raises ConfigurationError: both are given, or the engine is none.
    """
    if engine is None:
        return workers
    if workers:
        raise ConfigurationError("give workers on this machine or an engine, not both")
    scheduler_of(engine)
    return engine


def _chosen(hosts: str | Iterable[str | FleetHost]) -> list[FleetHost]:
    if isinstance(hosts, str):
        return FleetSources().select([hosts])
    found: list[FleetHost] = []
    for one in hosts:
        found += [one] if isinstance(one, FleetHost) else FleetSources().select([one])
    return found


def check(plan: FleetPlan, task: FleetTask, hosts: Sequence[FleetHost]) -> None:
    """Check what is given before anything is done.

    :raises ConfigurationError: it is not possible.
    """
    plan.check()
    if not hosts:
        raise ConfigurationError("there is no host to work on: name some, or exclude fewer")
    names: set[str] = set()
    for host in hosts:
        if host.name in names:
            raise ConfigurationError(f"the host {host.name} comes twice: give it another name")
        names.add(host.name)
        task.check(host)
