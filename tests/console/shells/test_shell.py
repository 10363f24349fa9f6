"""A shell for a page, which comes back to it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from nacre.console.shells import shell as module
from nacre.console.shells.shell import MOST_AHEAD, AttachedPage, ConsoleShell, ShellRefused
from nacre.errors import ConnectionLost


class FakeProcess:
    """Prints what is typed; Control-D ends it."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []
        self._data: asyncio.Queue[bytes] = asyncio.Queue()
        self.stdin = self.stdout = self

    async def __aenter__(self) -> FakeProcess:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def write(self, data: bytes) -> None:
        if data:
            self._data.put_nowait(b"" if data == b"\x04" else data)

    async def read(self, _most: int) -> bytes:
        return await self._data.get()

    async def wait(self) -> int:
        return 5

    def resize(self, columns: int, rows: int) -> None:
        self.sizes.append((columns, rows))


class FakeConnection:
    """Logs in when it may."""

    def __init__(self, error: Exception | None = None) -> None:
        self.process = FakeProcess()
        self.may = asyncio.Event()
        self._error = error
        self.asked: list[Any] = []
        self.closed = False

    async def log_in(self) -> Any:
        await self.may.wait()
        if self._error is not None:
            raise self._error
        return self

    async def __aenter__(self) -> FakeConnection:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.closed = True

    def shell(self, **options: Any) -> FakeProcess:
        self.asked.append(options)
        return self.process


async def read_until(page: AttachedPage, text: str) -> str:
    """Return the text of events up to one that has this."""
    found = ""
    async with asyncio.timeout(30):
        while text not in found:
            event = await page.next()
            assert event is not None, found
            found += json.loads(event).get("text", event)
    return found


async def test_a_shell_runs_and_ends() -> None:
    connection = FakeConnection()
    shell = ConsoleShell(object(), connection.log_in, (80, 24))
    page = shell.attach()
    shell.resize((90, 30))
    await shell.type("typed ahe")
    await shell.type("ad")
    connection.may.set()
    assert await read_until(page, "ad") == "typed ahead"
    assert connection.asked == [{"term": "xterm-256color", "size": (90, 30)}]
    shell.resize((100, 40))
    assert connection.process.sizes == [(100, 40)]
    await shell.type("ä")
    await read_until(page, "ä")
    await shell.type("\x04")
    assert json.loads(await page.next() or "") == {"event": "end", "status": 5, "reason": ""}
    assert await page.next() is None
    assert connection.closed
    await shell.type("later")
    again = shell.attach()
    events = [json.loads(await again.next() or "") for _ in range(2)]
    assert [one["event"] for one in events] == ["screen", "end"]
    assert await again.next() is None


@pytest.mark.parametrize(
    "error",
    [ConnectionLost("wrong\x1b[2J key"), ShellRefused("wrong\x1b"), OSError("wrong\x1b" * 200)],
)
async def test_a_login_that_fails_says_why_without_control_sequences(error: Exception) -> None:
    connection = FakeConnection(error)
    shell = ConsoleShell(object(), connection.log_in, (80, 24))
    page = shell.attach()
    connection.may.set()
    said = json.loads(await page.next() or "")
    assert (said["event"], said["status"]) == ("end", None)
    assert said["reason"].startswith("wrong")
    assert "\x1b" not in said["reason"]
    assert len(said["reason"]) < 500, "it is bounded before what is escaped"
    assert await page.next() is None


async def test_what_is_typed_before_there_is_a_shell_is_bounded() -> None:
    connection = FakeConnection()
    shell = ConsoleShell(object(), connection.log_in, (80, 24))
    page = shell.attach()
    for _ in range(5):
        await shell.type("x" * (MOST_AHEAD // 2))
    connection.may.set()
    assert await read_until(page, "x") == "x" * MOST_AHEAD
    await shell.close()


async def test_a_page_that_comes_back_sees_the_last_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 10)
    connection = FakeConnection()
    shell = ConsoleShell(object(), connection.log_in, (80, 24))
    first = shell.attach()
    connection.may.set()
    await connection.process.write(b"begun")
    await read_until(first, "begun")
    shell.detach(first)
    assert await first.next() is None
    await connection.process.write(b"one\ntwo\nthree\nfour\n")
    await connection.process.write(b"!")
    await read_until(shell.attach(), "!")
    found = json.loads(await shell.attach().next() or "")["text"]
    assert len(found) <= 2 * 10
    assert "one" not in found
    assert found.endswith("four\n!")
    await shell.close()
    assert connection.closed


async def test_a_page_that_reads_nothing_holds_the_shell_up_until_it_leaves() -> None:
    page = AttachedPage()
    for _ in range(module._MOST_WAITING):
        await page.put("output", text="x")
    waiting = asyncio.ensure_future(page.put("output", text="x"))
    assert not (await asyncio.wait({waiting}, timeout=0))[0]
    assert await page.next() is not None
    async with asyncio.timeout(30):
        await waiting
        waiting = asyncio.ensure_future(page.put("output", text="x"))
        await asyncio.wait({waiting}, timeout=0)
        page.leave()
        await waiting
