"""Who is connected."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from console.world import World, connected
from nacre.console.pages.now import NowFeed, Sampled
from nacre.console.web.browsers import MOST_STREAMS
from nacre.console.web.calls import APIRefused, ConsoleAPI
from nacre.console.web.charts import COUNTS
from nacre.daemon.audit.events import AuditEvent
from nacre.daemon.audit.table import FILE, AuditTable, now


def rows(text: str) -> list[str]:
    """Return what the events have, as a browser would put it into the page."""
    found = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(one) for one in found]


def test_connections_are_listed_with_what_they_do(world: World) -> None:
    world.connections = [connected("bob", "tar c /srv", "1.4")]
    text = world.browser("otto").get("/now").text
    for shown in ("bob", "192.0.2.9:4711", "command tar c /srv", "2.0 KiB", "1.4"):
        assert shown in text
    assert "/now/end" not in text, "an auditor ends nothing"
    world.connections = []
    assert "Nobody is connected" in world.browser("ada").get("/now").text


def test_the_table_follows_with_rates(world: World) -> None:
    world.connections = [connected("idle", number="1.1"), connected("busy", number="1.2")]
    world.direct.events.append(world.event(10.0))
    world.connections = [
        connected("idle", number="1.1"),
        connected("busy", number="1.2", sent=2048 + 4 * 1024 * 1024),
    ]
    world.direct.events.append(world.event(12.0))
    browser = world.browser("ada")
    answer = browser.get("/now/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    *_, table, charts, end = rows(answer.text)  # a page that is slow skips what is old
    assert "2.0 MiB/s" in table
    assert table.index("busy") < table.index("idle"), "the one with more traffic is first"
    assert 'id="end-1.2"' in table
    assert table.count(f'name="csrf" value="{browser.csrf()}"') == 2, "the key of this session"
    assert "0 B/s in, 2.0 MiB/s out" in charts
    assert (end, "event: end" in answer.text) == ("", True)


def test_logins_of_the_last_hour_are_a_chart(world: World, tmp_path: Path) -> None:
    browser = world.browser("otto")
    assert "the server keeps no audit" in browser.get("/now").text
    table = AuditTable(tmp_path / FILE, create=True)
    for outcome in ("success", "success", "refused"):
        table.add([(now(), AuditEvent("1", "bob", "x", "login", outcome, "{}"))])
    table.close()
    text = browser.get("/now").text
    assert "2 in the last hour" in text
    assert "1 in the last hour" in text
    assert text.count('<rect class="in"') == text.count('<rect class="bad"') == 1
    world.resources.audit().close()


def test_rates_are_of_connections_that_both_have() -> None:
    sampled = Sampled()
    details = {"received": 5, "sent": 5}
    sampled.rows([{"id": "1", "since": 1.0, "details": details}], 1.0)
    (one, two) = sampled.rows(
        [
            {"id": "1", "since": 1.0, "details": {"received": 3, "sent": 25}},
            {"id": "2", "since": 1.0, "details": None},
        ],
        2.0,
    )
    assert (one["rate"], two["rate"], two["traffic"]) == ((0.0, 20.0), None, None)


def test_a_session_has_so_many_streams_and_gives_them_back(world: World) -> None:
    browser = world.browser("ada")
    for _ in range(MOST_STREAMS + 1):
        assert browser.get("/now/events").status_code == 200


def test_a_connection_is_ended_with_a_click(world: World) -> None:
    world.connections = [connected("bob", number="1.4")]
    browser = world.browser("ada")
    answer = browser.post("/now/end", id="1.4")
    assert "1.4 is being ended" in browser.told(answer)
    assert [one.ids for one in world.killed] == [("1.4",)]
    assert ("user:ada", "connection.end") in world.direct.calls
    assert browser.post("/now/end", id="9.9").status_code == 404
    assert browser.post("/now/end", id="../users/ada").status_code == 404
    assert world.resources.store.find("ada") is not None


def test_a_session_that_the_api_has_ended_follows_nothing(world: World) -> None:
    browser = world.browser("ada")
    held = world.resources.sessions.find
    world.resources.sessions.find = lambda *_, **__: None  # type: ignore[method-assign]
    for path in ("/now/events", "/watch/1.4/events"):
        answer = browser.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    world.resources.sessions.find = held  # type: ignore[method-assign]
    assert browser.get("/you").status_code == 303, "the console's session is over, too"
    assert ("user:ada", "connections.follow") not in world.direct.calls


class Counting:
    """An API whose counts a test answers."""

    def __init__(self) -> None:
        self.answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def call(self, *_: Any, **__: Any) -> Any:
        return await self.answered


async def test_a_count_that_takes_long_holds_up_no_rows() -> None:
    api: Any = Counting()
    unused: Any = None
    found = NowFeed(api, unused, "/x")
    changed = {"connections": [], "at": 5.0}
    assert await asyncio.wait_for(found.take("connections", changed, "t"), 30)
    assert (found.at, found.counted) == (5.0, False)
    assert found._counting is not None
    api.answered.set_exception(APIRefused(504, "this takes too long"))
    await found._counting
    assert (found.counts, found.counted, found.missing) == (None, True, "this takes too long")
    found.close()


def test_only_a_server_without_an_audit_is_said_to_have_none(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = ConsoleAPI.call

    async def refused(self: Any, token: str, method: str, path: str, **more: Any) -> Any:
        if path == COUNTS:
            raise APIRefused(504, "this takes too long")
        return await call(self, token, method, path, **more)

    monkeypatch.setattr(ConsoleAPI, "call", refused)
    text = world.browser("otto").get("/now").text
    assert ("this takes too long" in text, "keeps no audit" in text) == (True, False)
