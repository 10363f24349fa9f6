"""``nacre who``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from click.testing import CliRunner

from daemon.control.answering import MadeUp, answering, connection
from nacre.cli.who.command import command


def test_a_table_and_json(tmp_path: Path) -> None:
    all_of_them = MadeUp(connection(), connection("1.2", "bob", state="login", details=None))
    with answering(tmp_path, all_of_them):
        table = CliRunner().invoke(command, ["--state", str(tmp_path)])
        everyone = CliRunner().invoke(command, ["--state", str(tmp_path), "--all", "--json"])
    head, line = table.stdout.splitlines()
    assert head.split()[0] == "id"
    assert line.split()[:4] == ["1.1", "alice", "192.0.2.1:50000", "2027-01-15T08:00:00Z"]
    first, second = json.loads(everyone.stdout)
    assert first == json.loads(json.dumps(asdict(connection())))
    assert (second["user"], second["state"]) == ("bob", "login")


def test_nobody_is_there(tmp_path: Path) -> None:
    with answering(tmp_path, MadeUp()):
        assert CliRunner().invoke(command, ["--state", str(tmp_path)]).output == ""
        done = CliRunner().invoke(command, ["--state", str(tmp_path), "--json"])
    assert done.output == "[]\n"


def test_nodes_have_a_column_where_there_are_some(tmp_path: Path) -> None:
    elsewhere = connection("web2:1.1", "bob", details=None, node="web2")
    with answering(tmp_path, MadeUp(connection(node="web1"), elsewhere)):
        table = CliRunner().invoke(command, ["--state", str(tmp_path)])
    head, first, second = table.stdout.splitlines()
    assert head.split()[:2] == ["node", "id"]
    assert first.split()[:3] == ["web1", "1.1", "alice"]
    assert second.split()[:3] == ["web2", "web2:1.1", "bob"]
    assert second.split()[-2:] == ["?", "-"]
