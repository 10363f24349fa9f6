"""prompt_toolkit's prompts, dialogs and applications at a client's terminal."""

from __future__ import annotations

import asyncio
import io
import signal
from collections.abc import Callable
from typing import Any

import pytest
from prompt_toolkit import PromptSession, print_formatted_text
from prompt_toolkit.application import Application, get_app
from prompt_toolkit.formatted_text import HTML
from prompt_toolkit.input import typeahead
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout import FormattedTextControl, Layout, Window
from prompt_toolkit.shortcuts import yes_no_dialog

import nacre
from apps.watched import watched
from nacre.apps import prompt_handler
from nacre.apps.prompts import TerminalInput, TerminalText

Make = Callable[..., Any]


async def ask(session: nacre.Session) -> int:
    name = await PromptSession[str]("Name:").prompt_async()
    print_formatted_text(HTML(f"hello <ansired>{name}</ansired>\nof {session.user}"))
    return 7


async def test_a_prompt_is_answered(make_server: Make) -> None:
    server = await make_server(handler=prompt_handler(ask))
    async with watched(server) as session:
        await session.expect("Name:")
        await session.type("bob\r")
        assert await session.end() == (7, "")
    assert "hello bob\r\nof alice" in session.shown


@pytest.mark.parametrize(("key", "status"), [("\x03", 130), ("\x04", 0)])
async def test_ctrl_c_and_ctrl_d_end_the_session(make_server: Make, key: str, status: int) -> None:
    server = await make_server(handler=prompt_handler(ask))
    async with watched(server) as session:
        await session.expect("Name:")
        await session.type(key)
        assert await session.end() == (status, "")


async def test_the_end_of_the_input_ends_a_prompt(make_server: Make) -> None:
    server = await make_server(handler=prompt_handler(ask))
    async with watched(server) as session:
        await session.expect("Name:")
        session.process.stdin.write_eof()
        assert await session.end() == (0, "")


async def test_a_paste_is_text_and_not_keys(make_server: Make) -> None:
    server = await make_server(handler=prompt_handler(ask))
    async with watched(server) as session:
        await session.expect_raw("\x1b[?2004h")
        await session.type("\x1b[200~x\ty\x1b[201~\r")
        assert (await session.end())[0] == 7
    assert "hello x" in session.shown


async def test_keys_before_a_prompt_wait_for_it(make_server: Make) -> None:
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def late(session: nacre.Session) -> int:
        go = asyncio.Event()
        mine = asyncio.get_running_loop()
        loop.call_soon_threadsafe(
            lambda: loop.create_task(asked.wait()).add_done_callback(
                lambda _: mine.call_soon_threadsafe(go.set)
            )
        )
        print_formatted_text("ready")
        await go.wait()
        return await ask(session)

    server = await make_server(handler=prompt_handler(late))
    async with watched(server) as session:
        await session.expect("ready")
        await session.type("early\r")
        asked.set()
        assert (await session.end())[0] == 7
    assert "hello early" in session.shown


async def size(session: nacre.Session) -> None:
    keys = KeyBindings()
    keys.add("q")(lambda event: event.app.exit())
    shown = FormattedTextControl(
        lambda: "{0.columns} by {0.rows}".format(get_app().output.get_size())
    )
    app: Application[None] = Application(
        Layout(Window(shown)), key_bindings=keys, full_screen=True, mouse_support=True
    )
    await app.run_async()


async def test_an_application_is_told_sizes_and_gives_the_terminal_back(make_server: Make) -> None:
    server = await make_server(handler=prompt_handler(size))
    async with watched(server, size=(91, 27)) as session:
        await session.expect("91 by 27")
        session.process.resize(100, 30)
        await session.expect("100 by 30")
        assert "\x1b[?1049h" in session.raw
        assert "\x1b[?1000h" in session.raw
        await session.type("q")
        assert await session.end() == (0, "")
    assert "\x1b[?1049l" in session.raw
    assert "\x1b[?1000l" in session.raw


async def test_a_dialog_is_answered(make_server: Make) -> None:
    async def question(session: nacre.Session) -> int:
        return 5 if await yes_no_dialog("Sure?", "Really?").run_async() else 6

    server = await make_server(handler=prompt_handler(question))
    async with watched(server) as session:
        await session.expect("Really?")
        await session.type("\t\r")
        assert await session.end() == (6, "")


async def test_an_app_changes_no_handlers_of_the_server(make_server: Make) -> None:
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGINT), loop.get_exception_handler()
    server = await make_server(handler=prompt_handler(ask))
    async with watched(server) as session:
        await session.expect("Name:")
        assert (signal.getsignal(signal.SIGINT), loop.get_exception_handler()) == before


@pytest.mark.parametrize(
    ("env", "code"),
    [({}, "38;5;"), ({"COLORTERM": "truecolor"}, "38;2;"), ({"NO_COLOR": "1"}, None)],
)
async def test_colours_are_those_of_the_client(
    make_server: Make, env: dict[str, str], code: str | None
) -> None:
    async def coloured(session: nacre.Session) -> None:
        print_formatted_text(HTML('<style fg="#123456">coloured</style>'))

    server = await make_server(handler=prompt_handler(coloured), accept_env=["*COLOR*"])
    async with watched(server, env=env) as session:
        assert await session.end() == (0, "")
    assert code in session.raw if code else "38;" not in session.raw


async def test_names_of_inputs_come_again() -> None:
    """prompt_toolkit keeps an entry for each name for ever."""
    one, other = TerminalInput(), TerminalInput()
    names = {one.typeahead_hash(), other.typeahead_hash()}
    assert len(names) == 2
    typeahead.store_typeahead(one, [])
    one.release()
    other.release()
    assert {TerminalInput().typeahead_hash(), TerminalInput().typeahead_hash()} == names


async def test_a_closed_input_ends_the_next_prompt_too() -> None:
    made, called = TerminalInput(), asyncio.Event()
    made.close()
    with made.attach(called.set):
        await asyncio.wait_for(called.wait(), 30)
    with made.detach(), made.attach(called.set):
        pass
    assert made.closed
    for stream in (made, TerminalText(None)):  # type: ignore[arg-type]
        with pytest.raises(io.UnsupportedOperation):
            stream.fileno()
