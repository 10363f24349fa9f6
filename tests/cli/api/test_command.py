"""``nacre api``: keys are made, listed and revoked."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nacre.cli.api.command import command


def api(*words: str) -> Result:
    return CliRunner().invoke(command, words)


def key(state: Path, *words: str) -> Result:
    return api("key", *words, "--state", str(state))


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    state = tmp_path / "state"
    done = key(state, "create", "ci", "--scope", "users:read, log:read", "--expires", "90d")
    assert re.fullmatch(r"nacre_[0-9a-f]{12}_[0-9a-f]{64}\n", done.output)
    assert key(state, "create", "old", "--scope", "log:read", "--expires", "2020-01-01").output
    assert key(state, "create", "all", "--scope", "bans:read", "--expires", "never").output
    rows = {row["name"]: row for row in json.loads(key(state, "list", "--json").output)}
    assert rows["ci"]["scopes"] == ["users:read", "log:read"]
    assert [rows[name]["expired"] for name in ("all", "ci", "old")] == [False, False, True]
    assert rows["all"]["expires"] == "never"
    secret = done.output.strip().rpartition("_")[2]
    listed = key(state, "list").output
    assert "users:read,log:read" in listed
    assert secret not in listed
    assert key(state, "revoke", "ci", "old").exit_code == 0
    assert "ci" not in key(state, "list").output
    again = key(state, "revoke", "ci")
    assert (again.exit_code, again.output) == (
        1,
        "Error: there is no key 'ci': see `nacre api key list`\n",
    )


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--scope", "root", "--expires", "90d"], "'root' is none of users:read"),
        (["--scope", " ,", "--expires", "90d"], "give one or more of users:read"),
        (["--scope", "users:read", "--expires", "soon"], "'+soon' is no time|'soon' is no time"),
        (["--scope", "users:read"], "Missing option '--expires'"),
        (["--expires", "90d"], "Missing option '--scope'"),
    ],
)
def test_usage_errors(tmp_path: Path, words: list[str], error: str) -> None:
    done = key(tmp_path / "state", "create", "ci", *words)
    assert done.exit_code == 2
    assert re.search(error, done.output)


def test_the_document_is_printed() -> None:
    assert json.loads(api("openapi").output)["openapi"] == "3.1.0"
