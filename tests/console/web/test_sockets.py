"""WebSockets of pages: attacks, and bounds."""

from __future__ import annotations

import pytest
from starlette.websockets import WebSocketDisconnect

from console.world import Browser, World
from nacre.console.web import browsers, sockets
from nacre.console.web.sockets import BURST, LONGEST

JOIN = "/watch/1.4/join/socket"


def is_refused(browser: Browser, **headers: str) -> bool:
    """Tell whether a WebSocket is refused before it opens."""
    try:
        with browser.socket(JOIN, **headers):
            return False
    except WebSocketDisconnect:
        return True


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.test"},
        {"Origin": "http://console.test.evil.test"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_opens_none(world: World, headers: dict[str, str]) -> None:
    assert is_refused(world.browser("ada"), **headers)
    assert world.sockets == []


def test_what_has_no_origin_opens_none(world: World) -> None:
    browser = world.browser("ada")
    del browser.client.headers["Origin"]
    assert is_refused(browser)


def test_who_has_no_session_or_one_that_has_ended_opens_none(world: World) -> None:
    assert is_refused(world.browser())
    browser = world.browser("ada")
    cookies = dict(browser.client.cookies)
    assert not is_refused(browser)
    browser.post("/sign-out")
    browser.client.cookies.update(cookies)
    assert is_refused(browser)


@pytest.mark.parametrize(
    "text", ['{"csrf": "x"}', '{"csrf": 1}', '{"csrf": "\\ud800"}', "{}", "[]", "x", "[" * 9000]
)
def test_who_does_not_know_the_key_of_the_session_reaches_nothing(world: World, text: str) -> None:
    with world.browser("ada").socket(JOIN) as socket:
        socket.send_text(text)
        assert socket.receive()["code"] == 1008
    assert world.sockets == []


def test_the_key_of_another_session_is_none(world: World) -> None:
    other = world.browser("ada").csrf()
    with world.browser("ada").socket(JOIN) as socket:
        socket.send_json({"csrf": other})
        assert socket.receive()["code"] == 1008


def test_who_says_nothing_at_first_is_closed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "_PATIENCE", 0.01)
    with world.browser("ada").socket(JOIN) as socket:
        assert socket.receive()["code"] == 1008


def test_a_message_that_is_too_long_or_no_text_ends_it(world: World) -> None:
    browser = world.browser("ada")
    with browser.socket(JOIN) as socket:
        socket.send_json({"csrf": browser.csrf()})
        socket.send_json({"typed": "ä" * (LONGEST // 2)})
        assert socket.receive()["code"] == 1009
    with browser.socket(JOIN) as socket:
        socket.send_json({"csrf": browser.csrf()})
        socket.send_bytes(b"x")
        assert socket.receive()["code"] == 1008
    assert [one.sent for one in world.sockets] == [[], []]
    assert all(one.closed for one in world.sockets)


def test_a_flood_ends_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "RATE", 0.0)
    browser = world.browser("ada")
    with browser.socket(JOIN) as socket:
        socket.send_json({"csrf": browser.csrf()})
        for _ in range(int(BURST) + 1):
            socket.send_json({"typed": "x"})
        while (found := socket.receive())["type"] == "websocket.send":
            pass
        assert found["code"] == 1008
    assert len(world.sockets[0].sent) <= BURST


def test_the_end_of_the_session_closes_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "LOOK_AGAIN", 0.01)
    browser = world.browser("ada")
    with browser.socket(JOIN) as socket:
        socket.send_json({"csrf": browser.csrf()})
        socket.send_json({"typed": "x"})
        socket.receive_json()
        browser.post("/sign-out")
        assert socket.receive()["code"] == 1008
    assert world.sockets[0].closed


def test_no_key_counts_after_the_session_has_ended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "LOOK_AGAIN", 60.0)
    browser = world.browser("ada")
    with browser.socket(JOIN) as socket:
        socket.send_json({"csrf": browser.csrf()})
        browser.post("/sign-out")
        socket.send_json({"typed": "rm\r"})
        assert socket.receive()["code"] == 1008
    assert all(one.sent == [] for one in world.sockets)


def test_a_session_has_so_many_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (browsers, sockets):
        monkeypatch.setattr(module, "MOST_STREAMS", 1)
    browser = world.browser("ada")
    with browser.socket(JOIN):
        assert is_refused(browser)
    assert not is_refused(browser)


def test_there_is_none_where_there_is_no_page(world: World) -> None:
    browser = world.browser("ada")
    with pytest.raises(WebSocketDisconnect), browser.socket("/now"):
        pass
