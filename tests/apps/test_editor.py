"""The line editor of a shell: history, completion, secrets."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from apps.watched import watched
from nacre.apps import LineShell, editor, shell_handler
from nacre.apps.editor import Histories, UserHistory

Make = Callable[..., Any]

UP, TAB, INTERRUPT, EOF = "\x1b[A", "\t", "\x03", "\x04"


async def echo(shell: LineShell) -> None:
    assert shell.interactive
    async for line in shell:
        if line == "secret":
            secret = await shell.read_line("Password:", hidden=True)
            line = f"{len(secret)} characters"
        shell.print(f"[{line}]")


async def test_lines_are_edited_and_come_again(make_server: Make) -> None:
    server = await make_server(handler=shell_handler(echo))
    async with watched(server) as session:
        await session.expect(">")
        await session.type("onx\x7fe\r")
        await session.expect("[one]")
        await session.type("two\r")
        await session.expect("[two]")
        await session.type(UP + UP + "s\r")
        await session.expect("[ones]")
        await session.type(EOF)
        assert await session.end() == (0, "")
    async with watched(server) as session:  # the history is the user's
        await session.expect(">")
        await session.type(UP + "!\r")
        await session.expect("[ones!]")


async def test_words_are_completed(make_server: Make) -> None:
    server = await make_server(handler=shell_handler(echo, words=["restart", "status"]))
    async with watched(server) as session:
        await session.expect(">")
        await session.type("rest" + TAB)
        await session.expect("restart")
        await session.type("\r")
        await session.expect("[restart]")


async def test_ctrl_c_drops_a_line(make_server: Make) -> None:
    server = await make_server(handler=shell_handler(echo, prompt="? "))
    async with watched(server) as session:
        await session.expect("?")
        await session.type("half" + INTERRUPT)
        await session.expect("?")
        await session.type("whole\r")
        await session.expect("[whole]")


async def test_a_secret_is_neither_shown_nor_remembered(make_server: Make) -> None:
    server = await make_server(handler=shell_handler(echo))
    async with watched(server) as session:
        await session.expect(">")
        await session.type("secret\r")
        await session.expect("Password:")
        await session.type("open sesame\r")
        await session.expect("[11 characters]")
        await session.type(UP + "\r")
        await session.expect("Password:")
        await session.type(EOF)
        await session.end()
        assert "sesame" not in session.raw


async def test_a_secret_does_not_come_again_for_the_next_one(make_server: Make) -> None:
    server = await make_server(handler=shell_handler(echo))
    async with watched(server) as session:
        await session.expect(">")
        await session.type("secret\r")
        await session.expect("Password:")
        await session.type("open sesame\r")
        await session.expect("[11 characters]")
        await session.type("secret\r")
        await session.expect("Password:")
        await session.type(UP + "\r")
        await session.expect("[0 characters]")


def test_a_long_line_is_not_remembered() -> None:
    lines: deque[str] = deque()
    for length in (editor.LONGEST, editor.LONGEST + 1):
        UserHistory(lines).append_string("x" * length)
    assert [len(line) for line in lines] == [editor.LONGEST]


async def test_a_history_has_the_latest_line_first() -> None:
    lines = deque(["a", "b"], maxlen=3)
    history = UserHistory(lines)
    for line in ("c", "c", "", "d"):
        history.append_string(line)
    assert [line async for line in history.load()] == ["d", "c", "b"]
    assert [*history.load_history_strings()] == ["d", "c", "b"]
    assert history.get_strings() == ["b", "c", "d"]


def test_histories_are_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr(editor, "USERS", 2)
    histories = Histories(1)
    alice = histories.of("alice")
    alice.extend(("a", "b"))
    histories.of("bob")
    assert histories.of("alice") is alice
    assert [*alice] == ["b"]
    histories.of("carol")
    bob = histories.of("bob")
    bob.append("x")
    assert [*histories.of("alice")] == []
