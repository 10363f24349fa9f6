"""Services of PAM, and a login in a process of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from typing import TypeAlias

import pytest

from nacre.daemon.processes.pam.login import PAMLogin, spawn
from pam_services import pam_service

MakeService: TypeAlias = Callable[..., str]


@pytest.fixture
def service() -> Iterator[MakeService]:
    """Return what makes a service with the lines that it is given."""
    with ExitStack() as stack:
        yield lambda *lines: stack.enter_context(pam_service(*lines))


@asynccontextmanager
async def login(service: str, user: str = "nobody") -> AsyncIterator[PAMLogin]:
    """Begin a login, and end its process."""
    child, sock = spawn()
    made = PAMLogin(user, child, sock, lambda: None)
    try:
        assert (await made.begin(service, "192.0.2.1")).reason == ""
        yield made
    finally:
        made.close()
        await made.ended
