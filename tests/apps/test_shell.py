"""Line shells without a terminal, and what they print."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from apps.watched import watched
from nacre.apps import LineShell, shell_handler
from nacre.apps.shell import LINE, PlainLines

Make = Callable[..., Any]


class Printed:
    """Keeps what is printed."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text


def shell(output: Printed, *, interactive: bool) -> LineShell:
    session = SimpleNamespace(user="alice")
    lines = PlainLines(None)
    return LineShell(cast(Any, session), cast(Any, output), lines, "> ", interactive)


def test_control_characters_of_answers_are_escaped() -> None:
    output = Printed()
    shell(output, interactive=True).print("a\x1b[2Jb\tc\\d", 5, "é\x9b", end="!\n")
    assert output.text == "a\\x1b[2Jb\tc\\d 5 é\\x9b!\r\n"


def test_line_ends_are_those_of_files_without_a_terminal() -> None:
    output = Printed()
    shell(output, interactive=False).print("a\nb")
    assert output.text == "a\nb\n"


async def test_lines_end_as_they_do_on_any_system() -> None:
    lines = PlainLines(None)
    feeding = asyncio.create_task(lines.feed("a\r\nb\nc\rd"))
    assert [await lines.read("", False) for _ in "abc"] == ["a", "b", "c"]
    await asyncio.wait_for(feeding, 30)
    lines.end()
    assert await lines.read("", False) == "d"
    with pytest.raises(EOFError):
        await lines.read("", False)


async def test_a_line_end_in_two_pieces_is_one() -> None:
    lines = PlainLines(None)
    for text, line in (("a\r", "a"), ("\nb\r", "b"), ("c\n", "c"), ("\nd\r", "")):
        feeding = asyncio.create_task(lines.feed(text))
        assert await lines.read("", False) == line
        if line == "":
            assert await lines.read("", False) == "d"
        await asyncio.wait_for(feeding, 30)


async def test_input_waits_until_its_lines_are_read() -> None:
    lines = PlainLines(None)
    feeding = asyncio.create_task(lines.feed("a\nb\n"))
    await lines.read("", False)
    await asyncio.sleep(0)
    assert not feeding.done()
    await lines.read("", False)
    await asyncio.wait_for(feeding, 30)


async def test_a_line_without_end_is_bounded() -> None:
    lines = PlainLines(None)
    for _ in range(100):
        await lines.feed("x" * LINE)
    assert len(lines._part) == LINE + 1
    feeding = asyncio.create_task(lines.feed("\nshort\n"))
    with pytest.raises(ValueError, match="65536"):
        await lines.read("", False)
    assert await lines.read("", False) == "short"
    await asyncio.wait_for(feeding, 30)


async def test_a_command_is_the_only_line() -> None:
    lines = PlainLines("one two")
    await lines.feed("more\n")
    assert await lines.read("", False) == "one two"
    with pytest.raises(EOFError):
        await lines.read("", False)


async def upper(shell: LineShell) -> int:
    assert not shell.interactive
    async for line in shell:
        shell.print(shell.user, line.upper())
    return 4


async def test_a_client_without_a_terminal_gets_its_answers(make_server: Make) -> None:
    server = await make_server(handler=shell_handler(upper))
    async with watched(server, term=None) as session:
        await session.type("one\ntwo")
        session.process.stdin.write_eof()
        assert await session.end() == (4, "")
        assert session.raw == "alice ONE\nalice TWO\n"
    async with watched(server, "do it") as session:
        assert await session.end() == (4, "")
        assert session.raw == "alice DO IT\n"
