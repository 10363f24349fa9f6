"""A shell on the server, in the browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect

from console.shells.test_shell import FakeConnection
from console.world import World, world_at
from nacre.console.shells import table
from nacre.console.shells.login import LineEditor, SSHPlace
from nacre.console.shells.table import ConsoleShells

SOCKET = "/terminal/socket"


@pytest.fixture
def shells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Have a world with the page, whose logins are made up."""
    connections: list[FakeConnection] = []

    async def log_in(_place: SSHPlace, _user: str, _address: str, editor: LineEditor) -> Any:
        connections.append(FakeConnection())
        return await connections[-1].log_in(editor)

    monkeypatch.setattr(table, "log_in", log_in)
    place = SSHPlace(host="127.0.0.1", port=22, known_hosts=tmp_path / "known_hosts")
    with world_at(tmp_path, monkeypatch, shells=ConsoleShells(place)) as world:
        yield world


def test_without_a_server_for_it_there_is_no_page(world: World) -> None:
    browser = world.browser("ada")
    assert browser.get("/terminal").status_code == 404
    assert 'href="/terminal"' not in browser.get("/you").text
    with pytest.raises(WebSocketDisconnect), browser.socket(SOCKET):
        pass


@pytest.mark.parametrize("name", ["uma", "otto", "ada"])
def test_who_has_signed_in_has_a_shell(shells: World, name: str) -> None:
    browser = shells.browser(name)
    assert 'href="/terminal"' in browser.get("/you").text
    assert f'data-csrf="{browser.csrf()}"' in browser.get("/terminal").text
    with browser.socket(SOCKET) as socket:
        socket.send_json({"csrf": browser.csrf(), "size": [80, 24]})
        assert socket.receive_json()["event"] == "opened"
        assert socket.receive_json() == {"event": "output", "text": "Password: "}
        socket.send_json({"typed": "right\r"})
        assert socket.receive_json()["text"] == "\r\n"
        socket.send_json({"size": [90, 30]})
        socket.send_json({"typed": "ls"})
        assert socket.receive_json() == {"event": "output", "text": "ls"}
        socket.send_json({"typed": "\x04"})
        assert socket.receive_json() == {"event": "end", "status": 5}
        assert socket.receive()["code"] == 1000


@pytest.mark.parametrize(
    "size", [None, "80x24", [80], [80, 24, 1], [0, 24], [80, 100000], ["80", 24], [True, 24]]
)
def test_a_size_that_is_none_opens_no_shell(shells: World, size: Any) -> None:
    browser = shells.browser("uma")
    with browser.socket(SOCKET) as socket:
        socket.send_json({"csrf": browser.csrf(), "size": size})
        assert socket.receive()["code"] == 1008


def test_a_shell_of_another_session_is_none(shells: World) -> None:
    owner, other = shells.browser("uma"), shells.browser("uma")
    with owner.socket(SOCKET) as socket:
        socket.send_json({"csrf": owner.csrf(), "size": [80, 24]})
        number = socket.receive_json()["shell"]
        with other.socket(SOCKET) as stolen:
            stolen.send_json({"csrf": other.csrf(), "size": [80, 24], "shell": number})
            assert stolen.receive_json() == {"event": "refused", "detail": "the shell has ended"}
            assert stolen.receive()["code"] == 1000


def test_a_page_of_another_site_opens_none(shells: World) -> None:
    browser = shells.browser("uma")
    with pytest.raises(WebSocketDisconnect), browser.socket(SOCKET, Origin="https://evil.test"):
        pass
    with browser.socket(SOCKET) as socket:
        socket.send_json({"csrf": "x", "size": [80, 24]})
        assert socket.receive()["code"] == 1008


def test_what_programs_print_is_never_markup() -> None:
    """The scripts of pages have no way to make markup of a text, such as the title of a window."""
    from nacre.console.web.rendering import STATIC

    for name in ("terminal.js", "shell.js", "watch.js"):
        text = STATIC[name][0].decode()
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in text
    assert "title.textContent = text.slice(0, 200)" in STATIC["terminal.js"][0].decode()
