"""Bounds on the questions to a directory."""

from __future__ import annotations

import asyncio
import threading

import pytest

from nacre.daemon.accounts.directories import asking
from nacre.daemon.accounts.directories.asking import DirectoryThreads
from nacre.errors import AccountError


async def test_one_more_than_may_wait_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_WAITING", 2)
    threads, release = DirectoryThreads(), threading.Event()
    waiting = [asyncio.create_task(threads.ask("192.0.2.1", release.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(AccountError, match="wait for it already"):
        await threads.ask("192.0.2.2", release.wait)
    release.set()
    assert await asyncio.gather(*waiting) == [True, True]
    assert await threads.ask("192.0.2.2", release.wait)
    threads.close()


async def test_one_client_does_not_have_all_threads() -> None:
    threads, release = DirectoryThreads(), threading.Event()
    waiting = [asyncio.create_task(threads.ask("192.0.2.1", release.wait)) for _ in range(100)]
    await asyncio.sleep(0)
    assert await threads.ask("192.0.2.2", lambda: "answer") == "answer"
    release.set()
    await asyncio.gather(*waiting)
    threads.close()
