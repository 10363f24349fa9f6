"""One task at many hosts: commands, scripts and files, with a verdict for each host.

::

    report = await nacre.fleet.run("web[01-50]", "uptime")

Start at running.py (``run``), then schedule.py (whose turn it is), attempts.py (one attempt at one
host) and verdicts.py (how it ended). hosts.py, nodesets.py and inventory.py say which hosts,
tasks.py what to do there, plan.py how fast; journal.py keeps a run in a file, and workers has
other processes make the attempts. With fanout.py hosts hand files on, by the agent of lending.py.
Imports agent, client and config; knows no terminal. Public, through the names below.
Tests: tests/fleet.
"""

from __future__ import annotations

from nacre.fleet.hosts import FleetHost, FleetSources, Inventory, read_groups, read_names
from nacre.fleet.inventory import read_inventory
from nacre.fleet.plan import FleetPlan
from nacre.fleet.running import run
from nacre.fleet.schedule import FleetWatcher
from nacre.fleet.tasks import CopyFiles, FleetTask, GetFiles, RunCommand, script
from nacre.fleet.verdicts import FleetReport, FleetVerdict

__all__ = [
    "CopyFiles",
    "FleetHost",
    "FleetPlan",
    "FleetReport",
    "FleetSources",
    "FleetTask",
    "FleetVerdict",
    "FleetWatcher",
    "GetFiles",
    "Inventory",
    "RunCommand",
    "read_groups",
    "read_inventory",
    "read_names",
    "run",
    "script",
]
