"""``nacre audit --all-nodes``: the copies that a store has of the events of all servers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from click.testing import CliRunner, Result

from nacre.cli.audit.command import command
from nacre.daemon.audit.chain import Kept
from nacre.daemon.audit.search import Search
from nacre.daemon.nodes import events, tables
from nacre.daemon.nodes.events import NodeEvent

URL = "postgresql://nacre@db.example.org/nacre"

KEPT = Kept(7, 5, "1.1", "alice", "192.0.2.1:7", "login", "success", '{"method":"none"}', "a", "b")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the database is asked for."""
    found: list[Any] = []

    @contextmanager
    def connected(url: Any, *, seconds: float) -> Iterator[None]:
        assert url.text == URL
        yield

    def find(_: None, search: Search, limit: int | None) -> Iterator[NodeEvent]:
        found.append((search, limit))
        yield NodeEvent("web2", KEPT)

    def remove(_: None, before: int) -> int:
        found.append(before)
        return 3

    monkeypatch.setattr(tables, "node_tables", connected)
    monkeypatch.setattr(events, "find_events", find)
    monkeypatch.setattr(events, "remove_events", remove)
    return found


def audit(*words: str) -> Result:
    return CliRunner().invoke(command, words, env={"NACRE_STORE": URL})


def test_each_event_has_its_node(asked: list[Any]) -> None:
    done = audit("--all-nodes", "--user", "alice", "--limit", "5")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("time=1970-01-01T00:00:00.000005Z node=web2 id=7 ")
    assert asked == [(Search(user="alice"), 5)]
    (line,) = audit("--all-nodes", "--json").output.splitlines()
    assert (json.loads(line)["node"], json.loads(line)["hash"]) == ("web2", "b")


def test_old_copies_are_removed(asked: list[Any]) -> None:
    done = audit("remove", "--all-nodes", "--keep", "90d")
    assert (done.exit_code, done.output) == (0, "removed 3\n")
    assert len(asked) == 1


def test_those_of_one_server_can_be_followed_alone(asked: list[Any]) -> None:
    done = audit("--all-nodes", "-f")
    assert (done.exit_code, asked) == (2, [])
    assert "--follow is for the events of one server" in done.output


def test_without_a_database_there_are_no_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NACRE_STORE", raising=False)
    done = CliRunner().invoke(command, ["--all-nodes"])
    assert (done.exit_code, "--all-nodes needs the database" in done.output) == (2, True)
