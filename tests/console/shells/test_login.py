"""A login by SSH, whose questions are answered at a page."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from nacre.console.shells.login import (
    LONGEST_ANSWER,
    LineEditor,
    SSHPlace,
    log_in,
    proxy_header,
)
from nacre.errors import ConnectFailed, NacreError
from nacre.server.admission.proxy_header import parse


class Screen:
    def __init__(self) -> None:
        self.text = ""
        self.editor = LineEditor(self.show)

    async def show(self, text: str) -> None:
        self.text += text

    async def answer(self, *typed: str, echo: bool = True) -> str | None:
        """Return what is answered to a prompt with these keys."""
        asking = asyncio.ensure_future(self.editor.ask("Name: ", echo))
        async with asyncio.timeout(30):
            await asyncio.wait({asking}, timeout=0)
            for text in typed:
                await self.editor.type(text)
            return await asking


async def test_a_line_is_an_answer_and_can_be_corrected() -> None:
    screen = Screen()
    assert await screen.answer("alicd", "\x7f", "e\r") == "alice"
    assert screen.text == "Name: alicd\b \be\r\n"


async def test_an_answer_without_echo_is_not_shown() -> None:
    screen = Screen()
    assert await screen.answer("secrex\bt\r", echo=False) == "secret"
    assert screen.text == "Name: \r\n"


@pytest.mark.parametrize("key", ["\x03", "\x04"])
async def test_a_question_can_be_left(key: str) -> None:
    assert await Screen().answer("abc", key) is None


async def test_an_answer_is_bounded_and_has_no_control_characters() -> None:
    assert await Screen().answer("\x1b[A\x07a", "x" * 5000, "\r") == "[Aa" + "x" * (
        LONGEST_ANSWER - 3
    )


async def test_what_is_typed_before_a_question_is_for_it_and_the_rest_for_what_follows() -> None:
    screen = Screen()
    await screen.editor.type("one\rtwo")
    assert await screen.answer() == "one"
    assert screen.editor.take_ahead() == "two"
    assert screen.editor.take_ahead() == ""
    await screen.editor.type("x" * 5000)
    assert len(screen.editor.take_ahead()) == LONGEST_ANSWER


@pytest.mark.parametrize(
    ("client", "server", "shown"),
    [
        ("192.0.2.7", "127.0.0.1", "192.0.2.7"),
        ("2001:db8::7", "::1", "2001:db8::7"),
        ("2001:db8::7", "127.0.0.1", "2001:db8::7"),
        ("192.0.2.7", "::1", "192.0.2.7"),
    ],
)
def test_a_server_reads_the_browsers_address(client: str, server: str, shown: str) -> None:
    found = parse(proxy_header(client, server, 22))
    assert found is not None
    assert found.peer == (shown, 0)


def test_an_address_that_is_none_is_no_header() -> None:
    with pytest.raises(OSError, match="not known"):
        proxy_header("unknown\r\nPROXY", "127.0.0.1", 22)


async def test_a_server_that_is_not_there_or_has_another_key_gets_no_password(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    known = tmp_path / "known_hosts"
    known.touch()
    place = SSHPlace(host="127.0.0.1", port=port, known_hosts=known)
    screen = Screen()
    with pytest.raises(ConnectFailed, match="does not answer"):
        await log_in(place, "alice", "192.0.2.7", screen.editor)
    assert screen.text == ""


async def test_a_server_with_another_host_key_learns_nothing(tmp_path: Path) -> None:
    import nacre
    from nacre.keys import generate

    known = tmp_path / "known_hosts"
    known.touch()

    async def handle(_session: object) -> int:
        raise AssertionError

    screen = Screen()
    async with (
        asyncio.timeout(30),
        nacre.listen(
            "127.0.0.1",
            0,
            host_keys=[generate("ssh-ed25519")],
            policy=nacre.Policy(),
            handler=handle,
        ) as server,
    ):
        place = SSHPlace(host="127.0.0.1", port=server.port, known_hosts=known)
        with pytest.raises(NacreError, match="host key"):
            await log_in(place, "alice", "192.0.2.7", screen.editor)
    assert screen.text == "", "nobody is asked for a password"
