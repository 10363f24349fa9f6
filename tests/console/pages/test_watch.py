"""A session while it runs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect

from console.world import Browser, World, connected
from nacre.console.pages import watch as module
from nacre.console.pages.watch import Played, WatchFeed
from nacre.console.web.calls import APIRefused
from nacre.console.web.guard import POLICY

JOIN = "/watch/1.4/join/socket"


def test_each_session_has_a_page_with_the_player_and_its_policy(world: World) -> None:
    world.connections = [connected("bob", "vi", "1.4")]
    browser = world.browser("otto")
    assert 'href="/watch/1.4?channel=0"' in browser.get("/now").text
    answer = browser.get("/watch/1.4?channel=0")
    assert 'data-events="/watch/1.4/events?channel=0"' in answer.text
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self' 'wasm-unsafe-eval';" in policy
    assert "unsafe-inline" not in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert browser.get("/static/asciinema-player.min.js").status_code == 200


def test_what_the_session_prints_comes_as_the_player_takes_it(world: World) -> None:
    world.direct.events += [
        {"event": "size", "columns": 100, "rows": 30},
        {"event": "screen", "text": "$ "},
        {"event": "output", "text": "ls\r\n"},
        {"event": "size", "columns": 80, "rows": 24},
        {"event": "end", "status": 0},
    ]
    browser = world.browser("otto")
    answer = browser.get("/watch/1.4/events?channel=0")
    assert ("user:otto", "connection.watch") in world.direct.calls
    lines = [one[6:] for one in answer.text.splitlines() if one.startswith("data: ")]
    first, *others = (json.loads(one) for one in lines)
    printed = first["init"] + "".join(one[2] for one in others if one[1] == "o")
    assert printed == "$ ls\r\n"
    assert answer.text.endswith("event: done\ndata:\n\n")


async def feed(*events: tuple[str, Any]) -> WatchFeed:
    """Return a feed that has taken events."""
    unused: Any = None
    found = WatchFeed(unused, unused, "/x")
    for name, data in events:
        await found.take(name, data, "")
    return found


def shown(text: str) -> list[Any]:
    return [json.loads(one[6:]) for one in text.split("\n\n") if one]


SIZE, SCREEN = ("size", {"columns": 100, "rows": 30}), ("screen", {"text": "$ "})


async def test_a_page_gets_each_message_once_and_a_later_one_gets_the_sum() -> None:
    found = await feed(SIZE)
    assert found.behind(-1) == (-1, ""), "there is no screen yet"
    await found.take(*SCREEN, "")
    place, text = found.behind(-1)
    (first,) = shown(text)
    assert (first["cols"], first["rows"], first["init"]) == (100, 30, "$ ")
    assert found.behind(place) == (place, "")
    await found.take("output", {"text": "ls\r\n"}, "")
    await found.take("size", {"columns": 80, "rows": 24}, "")
    _, text = found.behind(place)
    output, resized = shown(text)
    assert (output[1:], resized[1:]) == (["o", "ls\r\n"], ["r", "80x24"])
    (late,) = shown(found.behind(-1)[1])
    assert (late["cols"], late["rows"], late["init"]) == (80, 24, "$ ls\r\n")
    assert found.is_stale(), "a full-screen program draws itself for the new size"
    assert await found.take("end", {"status": 0}, "") is False


async def test_what_is_kept_of_a_session_is_bounded_and_a_slow_page_skips() -> None:
    found = await feed(SIZE, SCREEN)
    place, _ = found.behind(-1)
    line = "x" * 998 + "\r\n"
    for _ in range(1000):
        await found.take("output", {"text": line}, "")
    assert sum(len(one) for one in found._messages) <= module._KEPT
    (anew,) = shown(found.behind(place)[1])
    assert len(anew["init"]) <= module._SCREEN
    assert anew["init"].startswith("xxx"), "it begins with a whole line"
    assert found.is_stale()
    await found.take(*SCREEN, "")
    assert not found.is_stale()


def test_what_has_no_terminal_has_whole_lines_nevertheless() -> None:
    played = Played()
    (first,) = played.messages("screen", {"text": "a\n"}, 5.0)
    assert first == {"cols": 80, "rows": 24, "time": 0.0, "init": "a\r\n"}
    assert list(played.messages("output", {"text": "b\n"}, 6.5)) == [[1.5, "o", "b\r\n"]]
    assert list(played.messages("skipped", {"bytes": 3}, 7.0)) == []


def test_output_before_the_first_screen_has_no_place() -> None:
    assert list(Played().messages("output", {"text": "b"}, 1.0)) == []


def test_a_session_that_is_none_ends_at_once(world: World) -> None:
    answer = world.browser("ada").get("/watch/..%2Fusers/events")
    assert answer.status_code == 404
    answer = world.browser("ada").get("/watch/x/events?channel=1%26x")
    assert answer.text == "event: done\ndata:\n\n"


def test_an_admin_joins_and_types(world: World) -> None:
    browser = world.browser("ada")
    assert 'href="/watch/1.4/join?channel=2"' in browser.get("/watch/1.4?channel=2").text
    answer = browser.get("/watch/1.4/join?channel=2")
    assert answer.headers["content-security-policy"] == POLICY
    page = answer.text
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
    assert "/join" not in browser.get("/watch/1.4").text
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
