"""A session while it runs."""

from __future__ import annotations

import json

from console.world import World, connected
from nacre.console.pages.watch import Played


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
    first, output, resized = (json.loads(one) for one in lines)
    assert (first["cols"], first["rows"], first["init"]) == (100, 30, "$ ")
    assert output[1:] == ["o", "ls\r\n"]
    assert resized[1:] == ["r", "80x24"]
    assert answer.text.endswith("event: done\ndata:\n\n")


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
