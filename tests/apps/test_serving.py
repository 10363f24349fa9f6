"""Sessions with an app: each ends by itself, and none holds up the others."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

import nacre
from apps.watched import watched
from nacre.apps import prompt_handler, serving, shell_handler
from nacre.apps.serving import COLUMNS, ROWS, size_of
from nacre.server.session import Terminal
from parties import until

Make = Callable[..., Any]


async def answer(shell: nacre.apps.LineShell) -> None:
    async for line in shell:
        if line == "fail":
            raise ValueError("a secret of the server")
        if line == "leave":
            raise SystemExit(3)
        shell.print("answer to", line)


def terminal(columns: int, rows: int) -> Terminal:
    return Terminal("xterm", columns, rows, 0, 0, b"")


def test_sizes_have_bounds() -> None:
    assert size_of(terminal(100, 30)) == (100, 30)
    assert size_of(terminal(2**32 - 1, 2**32 - 1)) == (COLUMNS, ROWS)
    assert size_of(terminal(0, 0)) == size_of(None) == (80, 24)


async def test_an_app_that_fails_tells_its_user_and_the_log_alone(
    make_server: Make, records: list[dict[str, object]]
) -> None:
    server = await make_server(handler=shell_handler(answer))
    async with watched(server) as other, watched(server) as failing:
        await other.expect(">")
        await failing.expect(">")
        await failing.type("fail\r")
        status, errors = await failing.end()
        assert status == 255
        assert errors == "The app has failed. The server's log has the reason.\r\n"
        assert "secret" not in failing.raw + errors
        await other.type("me\r")
        await other.expect("answer to me")
        await other.type("leave\r")
        assert await other.end() == (3, "")
    (error,) = [record for record in records if record["event"] == "error"]
    assert "a secret of the server" in str(error["error"])
    assert error["user"] == "alice"


async def test_an_app_that_blocks_holds_up_nobody(make_server: Make) -> None:
    go = threading.Event()

    async def block(shell: nacre.apps.LineShell) -> None:
        async for line in shell:
            if line == "block":
                go.wait(60)
            shell.print("done", line)

    server = await make_server(handler=shell_handler(block))
    async with watched(server) as blocked, watched(server) as other:
        await blocked.expect(">")
        await blocked.type("block\r")
        await other.expect(">")
        await other.type("quick\r")
        await other.expect("done quick")
        go.set()
        await blocked.expect("done block")


async def test_no_more_sessions_than_allowed(make_server: Make) -> None:
    handler = shell_handler(answer, most=1)
    server = await make_server(handler=handler)
    async with watched(server) as first:
        await first.expect(">")
        async with watched(server) as second:
            status, errors = await second.end()
        assert (status, errors) == (1, "Too many sessions are open here. Try again later.\r\n")
        await first.type("\x04")
        assert (await first.end())[0] == 0
    await until(lambda: handler.running == 0)
    async with watched(server) as third:
        await third.expect(">")


@pytest.mark.parametrize("term", [None, "dumb"])
async def test_what_is_drawn_needs_a_terminal(make_server: Make, term: str | None) -> None:
    async def never(session: nacre.Session) -> None:
        raise AssertionError("it must not start")

    server = await make_server(handler=prompt_handler(never))
    async with watched(server, term=term) as session:
        status, errors = await session.end()
    assert status == 1
    assert errors.startswith("This app needs a terminal. Connect with ssh -t")


async def test_an_app_ends_when_its_client_leaves(make_server: Make) -> None:
    handler = shell_handler(answer)
    server = await make_server(handler=handler)
    async with watched(server) as session:
        await session.expect(">")
        assert handler.running == 1
    await until(lambda: handler.running == 0)


async def test_a_lost_connection_ends_its_apps(make_server: Make) -> None:
    handler = shell_handler(answer)
    server = await make_server(handler=handler)
    async with watched(server) as session:
        await session.expect(">")
        session.connection.abort()
        await until(lambda: handler.running == 0)


async def test_an_app_that_prints_without_end_ends_with_its_client(make_server: Make) -> None:
    async def flood(shell: nacre.apps.LineShell) -> None:
        while True:
            shell.print("y" * 1000)

    handler = shell_handler(flood)
    server = await make_server(handler=handler)
    async with watched(server) as session:
        await session.expect("yyy")
        # The window is full, and the app's thread waits.
        assert handler.running == 1
        session.connection.abort()
    await until(lambda: handler.running == 0 or threading.active_count() == 1)


async def test_an_app_that_goes_on_is_reported_and_keeps_its_place(
    make_server: Make, records: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "GRACE", 0.01)
    go = threading.Event()

    async def hang(shell: nacre.apps.LineShell) -> None:
        shell.print("hanging")
        go.wait(60)

    handler = shell_handler(hang)
    server = await make_server(handler=handler)
    async with watched(server) as session:
        await session.expect("hanging")
    await until(lambda: [r for r in records if r.get("what") == "an app does not end"])
    assert handler.running == 1
    go.set()
    await until(lambda: handler.running == 0)


async def test_a_signal_of_the_client_ends_the_app(make_server: Make) -> None:
    server = await make_server(handler=shell_handler(answer))
    async with watched(server) as session:
        await session.expect(">")
        session.process.send_signal("USR1")
        session.process.send_signal("TERM")
        assert (await session.end())[0] == 0
