"""``nacre group``."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nacre.cli.group.command import command
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import StoredUser

Nacre = Callable[..., Result]


@pytest.fixture
def group(tmp_path: Path) -> Nacre:
    def call(*words: str) -> Result:
        return CliRunner().invoke(command, [*words, "--state", str(tmp_path / "state")])

    return call


def listed(group: Nacre) -> list[dict[str, object]]:
    done = group("list", "--json")
    assert done.exit_code == 0, done.output
    groups: list[dict[str, object]] = json.loads(done.stdout)
    return groups


def test_groups_are_added_changed_and_removed(group: Nacre, tmp_path: Path) -> None:
    options = ["--service", "sftp", "--root", "/srv/%u", "--expires", "never", "--read-only"]
    assert group("add", "staff", "guests", *options).exit_code == 0
    with closing(UserStore(tmp_path / "state" / FILE)) as store:
        store.add(StoredUser(name="alice", groups=("staff",)))
    guests, staff = listed(group)
    assert (guests["name"], guests["users"]) == ("guests", 0)
    assert (staff["users"], staff["root"], staff["read_only"]) == (1, "/srv/%u", True)
    assert (staff["expires"], staff["auth"]) == ("never", None)
    assert group("set", "staff", "--inherit", "read-only", "--auth", "publickey").exit_code == 0
    _, staff = listed(group)
    assert (staff["auth"], staff["read_only"]) == ("publickey", None)
    assert group("users", "staff").output == "alice\n"
    done = group("remove", "staff")
    assert (done.exit_code, "has 1 user" in done.output) == (1, True)
    assert group("remove", "guests").exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["set", "none", "--auth", "any"], "there is no group 'none'"),
        (["set", "g"], "nothing to change"),
        (["add", "g"], "there is a group g already"),
        (["add", "h", "--root", "/srv/%x"], "%x is not possible here"),
        (["add", "h", "--root", "nosuch://x"], "can't use nosuch://x"),
        (["add", "h", "--run-as", "no such account"], "no account"),
        (["users", "none"], "there is no group 'none'"),
    ],
)
def test_what_can_not_be(group: Nacre, words: list[str], said: str) -> None:
    assert group("add", "g").exit_code == 0
    done = group(*words)
    assert done.exit_code != 0
    assert said in done.output
    assert [one["name"] for one in listed(group)] == ["g"]
