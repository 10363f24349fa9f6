"""The audit, searched and as a file."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from console.world import World
from nacre.console.pages import audit as module
from nacre.console.web.calls import APIRefused
from nacre.daemon.audit.events import AuditEvent
from nacre.daemon.audit.table import FILE, AuditTable


@pytest.fixture
def kept(world: World, tmp_path: Path) -> Iterator[World]:
    table = AuditTable(tmp_path / FILE, create=True)
    for n in range(1200):
        name, fields = ("alice", "bob")[n % 2], {"method": f"=HYPERLINK({n})"}
        peer = "192.0.2.1:5" if n % 2 else "198.51.100.9:5"
        event = AuditEvent(f"1.{n}", name, peer, "login", "success", json.dumps(fields))
        table.add([(n + 1, event)])
    table.close()
    yield world
    world.resources.audit().close()


def test_events_are_found_by_filters(kept: World) -> None:
    browser = kept.browser("otto")
    text = browser.get("/audit?user=bob&event=login&outcome=&peer=192.0.2.0/24").text
    assert "The newest 100" in text
    assert ">bob<" in text
    assert ">alice<" not in text
    assert 'value="192.0.2.0/24"' in text
    assert "<option selected>login</option>" in text
    assert "0 found" in browser.get("/audit?user=nobody").text
    assert "/audit/export.csv?user=bob&amp;event=login" in text


def test_a_filter_that_is_none_is_told_on_the_page(kept: World) -> None:
    browser = kept.browser("otto")
    for query in ("since=soon", "peer=x", "event=nonsense"):
        text = browser.get(f"/audit?{query}").text
        assert 'role="alert"' in text, query
        assert browser.get(f"/audit/export.csv?{query}").status_code == 422


def test_a_server_without_an_audit_says_so(world: World) -> None:
    answer = world.browser("otto").get("/audit")
    assert (answer.status_code, "nacre serve --audit" in answer.text) == (200, True)


def test_all_that_is_found_comes_as_json(kept: World) -> None:
    answer = kept.browser("otto").get("/audit/export.json?user=alice")
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.json"'
    events = [json.loads(line) for line in answer.text.splitlines()]
    assert (len(events), {one["user"] for one in events}) == (600, {"alice"})
    assert [one["id"] for one in events] == list(range(1, 1201, 2))


def test_a_spreadsheet_computes_nothing_of_what_others_say(
    kept: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil: dict[str, Any] = {"=1+1": "x"}
    line = module._csv_line(
        {**dict.fromkeys(module._COLUMNS, "x"), "user": "=cmd", "peer": "@x", "fields": evil}
    )
    (cells,) = csv.reader(StringIO(line))
    assert (cells[3], cells[4], cells[7]) == ("'=cmd", "'@x", "'=1+1=x")
    for text in ("x;=1+1", "x\t@sum", "x\r\n-1", "\n=1", ";+1"):
        (written, _) = next(csv.reader(StringIO(module._written([text, "y"]), newline="")))
        assert written != text
        for cell in re.split(r"[;\t\r\n]", written):
            assert not cell.startswith(("=", "+", "-", "@")), text
    rows = list(csv.reader(StringIO(kept.browser("otto").get("/audit/export.csv").text)))
    assert tuple(rows[0]) == module._COLUMNS
    assert len(rows) == 1201
    assert kept.browser("otto").get("/audit/export.xml").status_code == 404


def test_a_file_has_a_bound(kept: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_EXPORTED", 500)
    answer = kept.browser("otto").get("/audit/export.json")
    lines = answer.text.splitlines()
    assert len(lines) == 501
    assert json.loads(lines[-1]) == {"left_out": "there are more: narrow the search"}


def test_an_export_waits_where_the_api_has_had_too_many_calls(
    kept: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0)
    browser, call, refusals = kept.browser("otto"), kept.api.call, [429, 429]

    async def busy(token: str, method: str, path: str, **more: Any) -> Any:
        if path == "/v1/audit" and refusals:
            raise APIRefused(refusals.pop(), "too many calls")
        return await call(token, method, path, **more)

    monkeypatch.setattr(kept.api, "call", busy)
    assert len(browser.get("/audit/export.json").text.splitlines()) == 1200
    assert refusals == []
