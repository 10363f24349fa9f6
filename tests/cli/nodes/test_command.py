"""``nacre nodes``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from click.testing import CliRunner

from nacre.cli.nodes.command import command
from nacre.daemon.nodes import tables
from nacre.daemon.nodes.values import ServingNode

URL = "postgresql://nacre@db.example.org/nacre"

FOUND = [
    ServingNode(
        name="web1",
        process=4711,
        version="0.1",
        state="serving",
        began=1_800_000_000.5,
        left=8.2,
        connections=12,
    ),
    ServingNode(
        name="web2",
        process=7,
        version="0.1",
        state="gone",
        began=1_800_000_000.5,
        left=-75.0,
        connections=3,
    ),
]


@pytest.fixture(autouse=True)
def _found(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def connected(url: Any, *, seconds: float) -> Iterator[Any]:
        assert url.text == URL
        yield None

    monkeypatch.setattr(tables, "node_tables", connected)
    monkeypatch.setattr(tables, "nodes", lambda _: FOUND)


def test_a_table_tells_who_serves_and_who_is_gone() -> None:
    done = CliRunner().invoke(command, ["--store", URL])
    assert done.exit_code == 0, done.output
    head, first, second = done.output.splitlines()
    assert head.split()[:4] == ["node", "process", "version", "state"]
    assert first.split() == ["web1", "4711", "0.1", "serving", "2027-01-15T08:00:00Z", "8s", "12"]
    assert "gone" in second
    assert "ended 1m ago" in second


def test_json_has_all_fields() -> None:
    done = CliRunner().invoke(command, ["--json"], env={"NACRE_STORE": URL})
    first, second = json.loads(done.output)
    assert (first["name"], first["left"], first["connections"]) == ("web1", 8.2, 12)
    assert second["state"] == "gone"


def test_without_a_database_there_is_nothing_to_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NACRE_STORE", raising=False)
    done = CliRunner().invoke(command)
    assert (done.exit_code, "--store URL" in done.output) == (2, True)
