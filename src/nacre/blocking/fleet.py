"""``nacre.fleet.run`` without await.

::

    report = nacre.blocking.fleet.run("web[01-50]", "uptime")
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import wraps
from typing import Any

from nacre.blocking.background import background
from nacre.fleet import running
from nacre.fleet.hosts import FleetHost
from nacre.fleet.tasks import FleetTask
from nacre.fleet.verdicts import FleetReport


@wraps(running.run)
def run(
    hosts: str | Iterable[str | FleetHost], task: str | FleetTask, **options: Any
) -> FleetReport:
    return background.call(lambda: running.run(hosts, task, **options))
