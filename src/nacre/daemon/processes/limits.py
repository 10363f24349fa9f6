"""How many descriptors a process of the server may have."""

from __future__ import annotations

import resource
from contextlib import suppress

MOST = 65536
"""A connection takes up to six."""


def allow_descriptors() -> None:
    """Raise the limit of descriptors for this process, as far as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
