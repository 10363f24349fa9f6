"""A connection that ends at any moment: each call that waits is told of it."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from nacre.errors import ConnectionLost
from nacre.sftp.client import disk
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.client.turns import Pace
from nacre.sftp.protocol.pipeline import Window
from sftp.client.lines import MemoryLine, open_memory

CONTENT = bytes(range(256)) * 1600
SMALL = CONTENT[:1000]


def _plain(sftp: SFTPClient) -> None:
    pass


def _narrow(sftp: SFTPClient) -> None:
    sftp.session.window = Window(floor=64 * 1024, ceiling=64 * 1024)


def _limited(sftp: SFTPClient) -> None:
    sftp.session.turns.pace = Pace(1000)  # the second READ would be sent after half a minute


def _in_threads(sftp: SFTPClient) -> None:
    sftp.session.disk._wary = 1 << 30


STATES: dict[str, Callable[[SFTPClient], None]] = {
    "plain": _plain,
    "narrow": _narrow,
    "limited": _limited,
    "in threads": _in_threads,
}


async def _read(sftp: SFTPClient, path: str, here: Path) -> None:
    async with await sftp.open(path, "rb") as file:
        await file.read()


async def _write(sftp: SFTPClient, path: str, here: Path) -> None:
    async with await sftp.open(path + ".new", "wb") as file:
        await file.write(CONTENT)


async def _walk(sftp: SFTPClient, path: str, here: Path) -> None:
    async for _ in sftp.walk("/"):
        pass


Work = Callable[[SFTPClient, str, Path], Coroutine[Any, Any, Any]]
WORK: dict[str, Work] = {
    "get": lambda sftp, path, here: sftp.get(path, here / path[1:]),
    "get resume": lambda sftp, path, here: sftp.get(path, here / path[1:], resume=True),
    "get all": lambda sftp, path, here: sftp.get(
        "/", here / f"{path[1:]}.all", recursive=True, verify=True, on_error=lambda error: None
    ),
    "put": lambda sftp, path, here: sftp.put(here / "local", path + ".put"),
    "put atomic": lambda sftp, path, here: sftp.put(
        here / "local", path + ".put", atomic=True, verify=True, fsync=True, preserve=True
    ),
    "copy": lambda sftp, path, here: sftp.copy(path, path + ".copy"),
    "read": _read,
    "write": _write,
    "walk": _walk,
    "rmtree": lambda sftp, path, here: sftp.rmtree("/"),
    "digest": lambda sftp, path, here: sftp.digest(path),
}


async def _opened(files: int, state: str) -> tuple[SFTPClient, MemoryLine]:
    sftp, line = await open_memory()
    for number in range(files):
        line.files.files[f"/{number}"] = bytearray(SMALL if number % 3 else CONTENT)
    STATES[state](sftp)
    return sftp, line


async def _all_end(tasks: list[asyncio.Task[Any]]) -> list[BaseException]:
    async with asyncio.timeout(20):
        results = await asyncio.gather(*tasks, return_exceptions=True)
    return [result for result in results if isinstance(result, BaseException)]


@pytest.mark.slow
@pytest.mark.parametrize("state", ["plain", "narrow", "in threads"])
@pytest.mark.parametrize("work", WORK)
async def test_a_cut_at_each_write_ends_each_call(work: str, state: str, tmp_path: Path) -> None:
    (tmp_path / "local").write_bytes(CONTENT)
    for writes in (*range(12), 19, 26):
        sftp, line = await _opened(6, state)
        left = writes

        def count(line: MemoryLine = line, sftp: SFTPClient = sftp) -> None:
            nonlocal left
            left -= 1
            if left < 0 and not line.closed:
                line.closed = True
                sftp.session.loop.call_soon(sftp.session.end, ConnectionLost("cut"))

        line.on_write = count
        tasks = [asyncio.ensure_future(WORK[work](sftp, f"/{n}", tmp_path)) for n in range(6)]
        failures = await _all_end(tasks)
        assert all(isinstance(failure, OSError) for failure in failures), failures
        assert writes or len(failures) == (0 if work == "walk" and not line.closed else 6)
        assert not sftp.session.pumps
        sftp.close()


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("turns", [1, 4, 30])
@pytest.mark.parametrize("how", ["lost", "ended"])
async def test_a_cut_ends_hundreds_of_transfers(
    how: str, turns: int, state: str, tmp_path: Path
) -> None:
    (tmp_path / "local").write_bytes(CONTENT)
    sftp, _ = await _opened(400, state)
    works = itertools.cycle([WORK["get"], WORK["put"], WORK["copy"], _read])
    tasks = [
        asyncio.ensure_future(next(works)(sftp, f"/{number}", tmp_path)) for number in range(400)
    ]
    for _ in range(turns):
        await asyncio.sleep(0)
    sftp.session.end(ConnectionLost("cut") if how == "lost" else None)
    for failure in await _all_end(tasks):
        assert isinstance(failure, ConnectionLost)
    assert not sftp.session.pumps
    assert not sftp.session.waiting_pumps


async def test_a_cut_while_the_disk_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sftp, _ = await _opened(8, "in threads")
    entered = asyncio.Event()
    real = disk.Disk._work

    def slow(self: disk.Disk) -> None:
        self._loop.call_soon_threadsafe(entered.set)
        time.sleep(0.05)
        real(self)

    monkeypatch.setattr(disk.Disk, "_work", slow)
    tasks = [asyncio.ensure_future(sftp.get(f"/{n}", tmp_path / str(n))) for n in range(8)]
    await entered.wait()
    sftp.session.end(ConnectionLost("cut"))
    assert len(await _all_end(tasks)) == 8
