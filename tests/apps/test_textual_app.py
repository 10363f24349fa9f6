"""Textual apps at a client's terminal."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.widgets import Button, Input, Label

import nacre
from apps.watched import watched
from nacre.apps import textual_handler
from nacre.apps.textual_app import Discarded
from parties import until

Make = Callable[..., Any]


class Form(App[None]):
    """A field, a button, and a line that tells what has happened last."""

    def __init__(self, user: str) -> None:
        super().__init__()
        self.user = user

    def compose(self) -> ComposeResult:
        yield Label(f"hello {self.user}")
        yield Input()
        yield Button("Press", id="press")
        yield Label("", id="told", markup=False)

    def tell(self, text: str) -> None:
        self.query_one("#told", Label).update(text)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.input.clear()
        match event.value:
            case "fail":
                raise ValueError("a secret of the server")
            case "leave":
                self.exit(return_code=9)
            case "save":
                self.deliver_screenshot("x.svg")
            case "open":
                self.open_url("file:///")
                self.tell("nothing is open")
            case text:
                self.tell(f"told {text}")

    def on_delivery_failed(self, event: events.DeliveryFailed) -> None:
        self.tell(f"not saved: {event.exception}")

    def on_button_pressed(self) -> None:
        self.tell("button pressed")

    def on_paste(self, event: events.Paste) -> None:
        self.tell(f"pasted {len(event.text)}")

    def on_resize(self, event: events.Resize) -> None:
        self.tell(f"now {event.size.width} by {event.size.height}")


@pytest.fixture
async def form(make_server: Make) -> nacre.Server:
    handler = textual_handler(lambda session: Form(session.user))
    server: nacre.Server = await make_server(handler=handler, accept_env=["*COLOR*"])
    return server


async def test_keys_reach_the_app_and_it_gives_the_terminal_back(form: nacre.Server) -> None:
    async with watched(form) as session:
        await session.expect("hello alice")
        await session.type("wörd\r")
        await session.expect("told wörd")
        for mode in ("1049h", "1003h", "1006h", "2004h"):
            assert f"\x1b[?{mode}" in session.raw
        await session.type("leave\r")
        assert await session.end() == (9, "")
    for mode in ("1049l", "1003l", "1006l", "2004l", "25h"):
        assert f"\x1b[?{mode}" in session.raw


async def test_the_mouse_presses_a_button(form: nacre.Server) -> None:
    async with watched(form) as session:
        await session.expect("Press")
        await session.type("\x1b[<0;5;6M\x1b[<0;5;6m")
        await session.expect("button pressed")


async def test_an_app_may_leave_the_mouse_to_the_terminal(make_server: Make) -> None:
    server = await make_server(handler=textual_handler(lambda _: Form("x"), mouse=False))
    async with watched(server) as session:
        await session.expect("hello")
        await session.type("leave\r")
        await session.end()
    assert "\x1b[?1003h" not in session.raw


async def test_a_paste_is_one_event(form: nacre.Server) -> None:
    async with watched(form) as session:
        await session.expect("hello")
        await session.type("\t")  # away from the field, which takes pastes itself
        await session.type(f"\x1b[200~{'x' * 5000}\x1b[201~")
        await session.expect("pasted 5000")


async def test_the_app_is_told_of_new_sizes(form: nacre.Server) -> None:
    async with watched(form) as session:
        await session.expect("hello")
        session.process.resize(100, 30)
        await session.expect("now 100 by 30")
        session.process.resize(2**31, 2**31)
        await session.expect("now 640 by 256")


async def test_a_size_that_is_typed_is_ignored(form: nacre.Server) -> None:
    """xterm's mode 2048 tells sizes in the input, where nothing bounds them."""
    async with watched(form) as session:
        await session.expect("hello")
        await session.type("\x1b[48;9999;9999;1;1t")
        await session.type("here\r")
        await session.expect("told here")
    assert "9999" not in session.shown


async def test_a_key_that_does_not_exist_does_no_harm(form: nacre.Server) -> None:
    """A character's number beyond Unicode ended the parser of the terminal's input."""
    async with watched(form) as session:
        await session.expect("hello")
        await session.type("\x1b[99999999999;1u")
        await session.type("on\r")
        await session.expect("on")


async def test_an_escape_key_is_known_by_what_does_not_follow(make_server: Make) -> None:
    class Escape(App[None]):
        def compose(self) -> ComposeResult:
            yield Label("waiting")

        def on_key(self, event: events.Key) -> None:
            if event.key == "escape":
                self.exit(return_code=2)

    server = await make_server(handler=textual_handler(lambda _: Escape()))
    async with watched(server) as session:
        await session.expect("waiting")
        await session.type("\x1b")
        assert (await session.end())[0] == 2


async def test_an_app_that_fails_shows_nothing_of_the_server(
    form: nacre.Server, records: list[dict[str, object]], capfd: pytest.CaptureFixture[str]
) -> None:
    before = sys.stdout, sys.stderr
    async with watched(form) as other, watched(form) as failing:
        await other.expect("hello")
        await failing.expect("hello")
        await failing.type("fail\r")
        status, errors = await failing.end()
        assert status == 255
        assert errors == "The app has failed. The server's log has the reason.\r\n"
        assert failing.raw.endswith("\x1b[?25h")
        assert "secret" not in failing.raw
        await other.type("still here\r")
        await other.expect("told still here")
    (error,) = [record for record in records if record["event"] == "error"]
    assert "a secret of the server" in str(error["error"])
    assert (sys.stdout, sys.stderr) == before
    assert "locals" not in capfd.readouterr().err


async def test_an_app_writes_no_files_and_opens_no_browser_on_the_server(
    form: nacre.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    async with watched(form) as session:
        await session.expect("hello")
        await session.type("save\r")
        await session.expect("not saved: files can't be saved on the server")
        await session.type("open\r")
        await session.expect("nothing is open")
    assert opened == []


async def test_the_end_of_the_input_ends_the_app(form: nacre.Server) -> None:
    async with watched(form) as session:
        await session.expect("hello")
        session.process.stdin.write_eof()
        assert await session.end() == (0, "")


async def test_the_app_ends_when_its_client_is_gone(make_server: Make) -> None:
    handler = textual_handler(lambda session: Form(session.user))
    server = await make_server(handler=handler)
    async with watched(server) as session:
        await session.expect("hello")
        session.connection.abort()
    await until(lambda: handler.running == 0)


@pytest.mark.parametrize(
    ("env", "code"),
    [({}, "48;5;"), ({"COLORTERM": "truecolor"}, "48;2;"), ({"NO_COLOR": "1"}, None)],
)
async def test_colours_are_those_of_the_client(
    form: nacre.Server, env: dict[str, str], code: str | None
) -> None:
    async with watched(form, env=env) as session:
        await session.expect("hello")
        await session.type("leave\r")
        await session.end()
    if code is None:
        assert "\x1b[38" not in session.raw
        assert "\x1b[48" not in session.raw
    else:
        assert code in session.raw


async def test_a_flood_of_keys_is_handled(form: nacre.Server) -> None:
    async with watched(form) as session:
        await session.expect("hello")
        await session.type("\x1b[<35;5;5M" * 2000)
        await session.type("after\r")
        await session.expect("told after")


@pytest.mark.slow
async def test_many_apps_at_a_time_do_not_mix(make_server: Make) -> None:
    handler = textual_handler(lambda session: Form(session.environment["LC_NAME"]))
    server = await make_server(handler=handler)

    async def one(name: str) -> None:
        async with watched(server, env={"LC_NAME": name}) as session:
            await session.expect(f"hello {name}")
            await session.type(f"{name}\r")
            await session.expect(f"told {name}")
            await session.type("leave\r")
            assert await session.end() == (9, "")

    await asyncio.gather(*(one(letter * 4) for letter in "abcdefgh"))
    assert not isinstance(sys.stdout, Discarded)
    assert handler.running == 0
