"""``nacre ban``: add, list and remove."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nacre.cli.ban.command import command


def ban(state: Path, *words: str) -> Result:
    return CliRunner().invoke(command, [*words, "--state", str(state)])


def listed(state: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in ban(state, "list", "--json").output.splitlines()]


def test_networks_are_added_listed_and_removed(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert ban(state, "add", "192.0.2.0/24", "2001:DB8::1", "--reason", "scans").exit_code == 0
    assert ban(state, "add", "--for", "1d", "198.51.100.7").exit_code == 0
    assert ban(state, "add", "--allow", "192.0.2.9").exit_code == 0
    rows = {row["network"]: row for row in listed(state)}
    assert rows.keys() == {"192.0.2.0/24", "2001:db8::1", "198.51.100.7", "192.0.2.9"}
    assert rows["192.0.2.0/24"] | {"network": ""} == {
        "network": "",
        "kind": "ban",
        "until": None,
        "level": 0,
        "reason": "scans",
    }
    assert isinstance(rows["198.51.100.7"]["until"], int)
    assert rows["192.0.2.9"]["kind"] == "allow"
    assert "192.0.2.0/24" in ban(state, "list").output
    assert ban(state, "remove", "192.0.2.0/24", "192.0.2.9").exit_code == 0
    assert len(listed(state)) == 2


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("add", "here"), "is no network"),
        (("add", "192.0.2.1/24"), "is no network"),
        (("add", "--for", "+1d", "192.0.2.1"), "write for example 30m"),
        (("add", "--for", "0d", "192.0.2.1"), "write for example 30m"),
        (("remove", "192.0.2.1"), "state directory"),
    ],
)
def test_what_can_not_be_done_is_told(tmp_path: Path, words: tuple[str, ...], reason: str) -> None:
    done = ban(tmp_path / "state", *words)
    assert done.exit_code != 0
    assert reason in done.output
