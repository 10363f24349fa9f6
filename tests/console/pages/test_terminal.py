"""A shell on the server, in the browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect

from console.shells.test_shell import FakeConnection
from console.world import World, world_at
from nacre.console.pages import terminal as module
from nacre.console.web.browsers import BrowserSession
from nacre.console.web.calls import APIRefused, path_of
from nacre.console.web.logins import SSHLogins

SOCKET = "/terminal/socket"


@pytest.fixture
def shells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Have a world whose logins by SSH are made up; the API is asked for each."""

    async def log_in(logins: SSHLogins, session: BrowserSession) -> Any:
        await logins._api.call(session.token, "POST", path_of("own", "logins"))
        connection = FakeConnection()
        connection.may.set()
        return await connection.log_in()

    monkeypatch.setattr(SSHLogins, "log_in", log_in)
    with world_at(tmp_path, monkeypatch) as world:
        yield world


def test_who_has_files_alone_is_told_that_there_is_no_shell(shells: World) -> None:
    browser = shells.browser("ada")
    shells.resources.store.change("ada", service="sftp")
    answer = browser.get("/terminal")
    assert (answer.status_code, "your account is for files" in answer.text) == (403, True)


def test_who_has_no_session_has_no_page_and_no_shell(shells: World) -> None:
    browser = shells.browser()
    assert browser.get("/terminal").headers["location"] == "/sign-in"
    with pytest.raises(WebSocketDisconnect), browser.socket(SOCKET):
        pass


def test_a_login_that_is_refused_says_why(shells: World) -> None:
    browser = shells.browser("uma")
    csrf = browser.csrf()
    shells.resources.store.change("uma", auth="key")
    with browser.socket(SOCKET) as socket:
        socket.send_json({"csrf": csrf, "size": [80, 24]})
        assert socket.receive_json()["event"] == "opened"
        said = socket.receive_json()
        assert (said["event"], said["status"]) == ("end", None)
        assert said["reason"] == "your logins need a key, which the API does not have"
        assert socket.receive()["code"] == 1000


def test_typing_uses_the_session_at_the_api_and_ends_with_it(
    shells: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AGAIN", 0.0)
    browser = shells.browser("uma")
    with browser.socket(SOCKET) as socket:
        socket.send_json({"csrf": browser.csrf(), "size": [80, 24]})
        assert socket.receive_json()["event"] == "opened"
        shells.direct.calls.clear()
        socket.send_json({"typed": "ls"})
        assert socket.receive_json() == {"event": "output", "text": "ls"}
        assert ("user:uma", "own.show") in shells.direct.calls
        shells.resources.store.change("uma", disabled=True)
        socket.send_json({"typed": "ls"})
        assert socket.receive()["code"] == 1008
    assert browser.get("/terminal").headers["location"] == "/sign-in"


def test_an_api_that_is_gone_for_a_moment_ends_no_shell(
    shells: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AGAIN", 0.0)
    browser = shells.browser("uma")
    with browser.socket(SOCKET) as socket:
        socket.send_json({"csrf": browser.csrf(), "size": [80, 24]})
        assert socket.receive_json()["event"] == "opened"

        async def gone(*_: object, **__: object) -> Any:
            raise APIRefused(503, "the API does not answer")

        socket.send_json({"typed": "a"})
        assert socket.receive_json()["text"] == "a"
        monkeypatch.setattr(shells.api, "call", gone)
        socket.send_json({"typed": "b"})
        assert socket.receive_json()["text"] == "b"


@pytest.mark.parametrize("name", ["uma", "otto", "ada"])
def test_who_has_signed_in_has_a_shell(shells: World, name: str) -> None:
    browser = shells.browser(name)
    assert 'href="/terminal"' in browser.get("/you").text
    assert f'data-csrf="{browser.csrf()}"' in browser.get("/terminal").text
    with browser.socket(SOCKET) as socket:
        socket.send_json({"csrf": browser.csrf(), "size": [80, 24]})
        assert socket.receive_json()["event"] == "opened"
        socket.send_json({"size": [90, 30]})
        socket.send_json({"typed": "ls"})
        assert socket.receive_json() == {"event": "output", "text": "ls"}
        socket.send_json({"typed": "\x04"})
        assert socket.receive_json() == {"event": "end", "status": 5, "reason": ""}
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

    for name in ("terminal.js", "shell.js", "join.js"):
        text = STATIC[name][0].decode()
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in text
    assert "title.textContent = text.slice(0, 200)" in STATIC["terminal.js"][0].decode()
