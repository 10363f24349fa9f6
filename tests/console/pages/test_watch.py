"""A session while it runs: to watch, and to join."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect

from console.world import Browser, World, connected
from nacre.console.web.calls import APIRefused
from nacre.console.web.guard import POLICY

JOIN = "/watch/1.4/join/socket"


def test_each_session_has_a_page_with_a_terminal(world: World) -> None:
    world.connections = [connected("bob", "vi", "1.4")]
    browser = world.browser("otto")
    assert 'href="/watch/1.4?channel=0"' in browser.get("/now").text
    answer = browser.get("/watch/1.4?channel=0")
    assert 'data-events="/watch/1.4/events?channel=0"' in answer.text
    assert answer.headers["content-security-policy"] == POLICY
    assert "/join" not in answer.text, "an auditor watches only"
    assert browser.get("/static/xterm.js").status_code == 200


def test_what_the_session_shows_comes_as_the_api_says_it(world: World) -> None:
    world.direct.events += [
        {"event": "size", "columns": 100, "rows": 30},
        {"event": "output", "text": "<b>\r\n"},
        {"event": "end", "status": 0},
    ]
    answer = world.browser("otto").get("/watch/1.4/events?channel=0")
    assert ("user:otto", "connection.watch") in world.direct.calls
    events = [one.split("\n") for one in answer.text.rstrip("\n").split("\n\n")]
    assert [one[0] for one in events] == [
        "event: size",
        "event: output",
        "event: end",
        "event: over",
    ]
    assert json.loads(events[1][1][6:])["text"] == "<b>\r\n"


def test_a_session_that_is_none_ends_at_once(world: World) -> None:
    answer = world.browser("ada").get("/watch/..%2Fusers/events")
    assert answer.status_code == 404
    answer = world.browser("ada").get("/watch/x/events?channel=1%26x")
    assert answer.text == 'event: over\ndata: {"detail": ""}\n\n'


def test_an_admin_joins_and_types(world: World) -> None:
    browser = world.browser("ada")
    assert 'href="/watch/1.4/join?channel=2"' in browser.get("/watch/1.4?channel=2").text
    page = browser.get("/watch/1.4/join?channel=2").text
    assert f'data-socket="{JOIN}?channel=2"' in page
    assert f'data-csrf="{browser.csrf()}"' in page
    with browser.socket(f"{JOIN}?channel=2") as socket:
        socket.send_json({"csrf": browser.csrf()})
        socket.send_json({"typed": "ls\r"})
        assert socket.receive_json() == {"event": "output", "typed": "ls\r"}
        socket.send_json({"typed": "\x04"})
        assert socket.receive_json() == {"event": "end", "status": 0}
        assert socket.receive()["code"] == 1000
    assert ("user:ada", "connection.join") in world.direct.calls
    (opened,) = world.sockets
    assert opened.path == "/v1/connections/1.4/join?channel=2"
    assert opened.sent == [{"typed": "ls\r"}, {"typed": "\x04"}]
    assert opened.closed


@pytest.mark.parametrize("name", ["uma", "otto"])
def test_who_is_no_admin_can_not_join(world: World, name: str) -> None:
    browser = world.browser(name)
    assert browser.get("/watch/1.4/join").status_code == 403
    assert refused(browser, JOIN)
    assert world.sockets == []


def test_the_api_decides_also_where_the_console_still_takes_somebody_for_an_admin(
    world: World,
) -> None:
    browser = world.browser("ada")
    csrf = browser.csrf()
    world.resources.store.change("ada", role="auditor")
    with browser.socket(JOIN) as socket:
        socket.send_json({"csrf": csrf})
        said = socket.receive_json()
        assert said["event"] == "refused"
        assert "no scope watch:write" in said["detail"]
    assert world.sockets == []


def test_a_session_that_can_not_be_joined_says_why(world: World) -> None:
    world.refuses = APIRefused(409, "the session has no terminal to type at")
    browser = world.browser("ada")
    with browser.socket(JOIN) as socket:
        socket.send_json({"csrf": browser.csrf()})
        assert socket.receive_json() == {"event": "refused", "detail": world.refuses.detail}
        assert socket.receive()["code"] == 1000


@pytest.mark.parametrize("message", [{"typed": 1}, {"size": [80, 24]}, {}])
def test_what_is_no_typing_ends_it(world: World, message: dict[str, Any]) -> None:
    browser = world.browser("ada")
    with browser.socket(JOIN) as socket:
        socket.send_json({"csrf": browser.csrf()})
        socket.send_json(message)
        assert socket.receive()["code"] == 1008
    assert [one.sent for one in world.sockets] == [[]]


def refused(browser: Browser, path: str, **headers: str) -> bool:
    """Tell whether a WebSocket is refused before it opens."""
    with pytest.raises(WebSocketDisconnect), browser.socket(path, **headers):
        pass
    return True
