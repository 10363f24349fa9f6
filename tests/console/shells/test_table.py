"""All shells of pages, within bounds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from nacre.console.shells import table as module
from nacre.console.shells.table import ConsoleShells, TooManyShells


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_AGAIN", 0.01)


async def never() -> Any:
    """Log in for ever."""
    await asyncio.Event().wait()


def opened(shells: ConsoleShells, session: object) -> str:
    return shells.open(session, never, (80, 24))


async def test_a_shell_is_found_by_its_session_alone() -> None:
    shells, session = ConsoleShells(), object()
    number = opened(shells, session)
    found = shells.find(session, number)
    assert found is not None
    assert shells.find(object(), number) is None
    assert shells.find(session, "x") is None
    await shells.close()
    assert shells.find(session, number) is None
    assert found.running.done()


async def test_shells_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SHELLS", 5)
    shells, session = ConsoleShells(), object()
    for _ in range(4):
        opened(shells, session)
    with pytest.raises(TooManyShells):
        opened(shells, session)
    opened(shells, object())
    with pytest.raises(TooManyShells):
        opened(shells, object())
    await shells.close()


async def test_a_shell_ends_when_no_page_comes_back_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "GRACE", 0.05)
    shells, session = ConsoleShells(), object()
    number = opened(shells, session)
    shell = shells.find(session, number)
    assert shell is not None
    first = shells.attach(shell)
    second = shells.attach(shell)
    shells.detach(shell, first, lambda: True)
    assert shell not in shells._ending, "another page shows it"
    shells.detach(shell, second, lambda: True)
    shells.attach(shell)
    assert shell not in shells._ending
    shells.detach(shell, shell.page, lambda: True) if shell.page else None
    async with asyncio.timeout(30):
        await asyncio.wait({shell.running})
    assert shells.find(session, number) is None
    await shells.close()


async def test_a_shell_ends_with_the_session_of_the_browser() -> None:
    shells, holds = ConsoleShells(), True
    found = []
    for _ in range(2):
        session = object()
        shell = shells.find(session, opened(shells, session))
        assert shell is not None
        found.append(shell)
    shells.detach(found[0], shells.attach(found[0]), lambda: holds)
    holds = False
    shells.detach(found[1], shells.attach(found[1]), lambda: holds)
    async with asyncio.timeout(30):
        await asyncio.wait({one.running for one in found})
    await shells.close()
