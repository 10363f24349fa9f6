"""``nacre audit``."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nacre.cli.audit.command import command
from nacre.daemon.audit.events import AuditEvent, written
from nacre.daemon.audit.table import FILE, AuditTable, now

Nacre = Callable[..., Result]


def add(state: Path, *paths: str, user: str = "alice", ago: int = 0) -> None:
    events = [
        AuditEvent("1.1", user, "192.0.2.1:7", "file", "success", written({"path": path}))
        for path in paths
    ]
    with closing(AuditTable(state / FILE, create=True)) as table:
        table.add([(now() - ago, one) for one in events])


@pytest.fixture
def state(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    add(state, "/old", ago=100 * 86400 * 1_000_000)
    add(state, "/a", "/b")
    add(state, "/c", user="bob")
    return state


@pytest.fixture
def audit(state: Path) -> Nacre:
    def call(*words: str) -> Result:
        name = [words[0]] if words and not words[0].startswith("-") else []
        return CliRunner().invoke(command, [*name, "--state", str(state), *words[len(name) :]])

    return call


def test_events_are_searched(audit: Nacre) -> None:
    lines = audit().stdout.splitlines()
    assert [line.rpartition("path=")[2] for line in lines] == ["/old", "/a", "/b", "/c"]
    assert audit("--user", "bob", "--since", "2d", "--peer", "192.0.2.0/24").stdout.count("\n") == 1
    assert "path=/c" in audit("--limit", "1").stdout
    (found,) = audit("--path", "/b*", "--json").stdout.splitlines()
    assert (json.loads(found)["id"], json.loads(found)["fields"]) == (3, {"path": "/b"})


@pytest.mark.parametrize(
    "words", [("--since", "x"), ("--peer", "x"), ("--event", "x"), ("verify", "--head", "x")]
)
def test_a_wrong_filter_is_told(audit: Nacre, words: tuple[str, ...]) -> None:
    assert audit(*words).exit_code == 2


def test_what_follows_is_printed(
    audit: Nacre, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = 0

    def sleep(seconds: float) -> None:
        nonlocal waits
        waits += 1
        if waits == 1:
            add(state, "/new")
        elif waits == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    lines = audit("-f", "--limit", "1").stdout.splitlines()
    assert [line.rpartition("path=")[2] for line in lines if "path" in line] == ["/c", "/new"]


def test_a_whole_chain_passes_and_a_change_does_not(audit: Nacre, state: Path) -> None:
    head = audit("head").stdout.strip()
    done = audit("verify", "--head", head)
    assert (done.exit_code, head in done.stdout, "no --head" in done.stdout) == (0, True, False)
    assert "no --head" in audit("verify").stdout
    with closing(sqlite3.connect(state / FILE)) as other, other:
        other.execute("UPDATE events SET user = 'eve' WHERE id = 3")
    done = audit("verify")
    assert (done.exit_code, "event 3 was changed" in done.output) == (1, True)


def test_old_events_are_removed_and_the_rest_passes(audit: Nacre) -> None:
    assert audit("remove", "--keep", "soon").exit_code == 2
    assert audit("remove", "--keep", "90d").stdout == "removed 1\n"
    assert "/old" not in audit().stdout
    assert '"removed":1' in audit("export", "--event", "audit").stdout.replace(" ", "")
    assert audit("verify").exit_code == 0


def test_events_are_exported(audit: Nacre) -> None:
    lines = [json.loads(line) for line in audit("export", "--user", "alice").stdout.splitlines()]
    assert [one["fields"]["path"] for one in lines] == ["/old", "/a", "/b"]
    assert lines[1]["hash"] == lines[2]["previous"]
    rows = list(csv.DictReader(io.StringIO(audit("export", "--format", "csv").stdout)))
    assert (len(rows), rows[3]["user"], rows[3]["fields"]) == (4, "bob", '{"path":"/c"}')


def test_without_an_audit_the_command_says_how_there_is_one(tmp_path: Path) -> None:
    done = CliRunner().invoke(command, ["verify", "--state", str(tmp_path)])
    assert (done.exit_code, "nacre serve --audit" in done.output) == (1, True)
