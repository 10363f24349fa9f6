"""The limit of descriptors, raised in a forked child."""

from __future__ import annotations

import resource

import pytest

from daemon.sandbox.children import in_a_child
from nacre.daemon.processes.limits import MOST, allow_descriptors


@pytest.mark.parametrize("soft", [40, None])
def test_the_limit_is_what_the_system_allows(soft: int | None) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limited = hard != resource.RLIM_INFINITY
    wanted = min(hard, MOST) if limited else MOST

    def attempt() -> int:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft or hard, hard))
        allow_descriptors()
        now, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        # What is more already stays.
        return int(now != (wanted if soft else hard))

    assert in_a_child(attempt) == 0
