"""``nacre user security-key``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nacre.cli.user.command import command
from nacre.daemon.store.second_factor.webauthn_keys import WebAuthnKey
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import StoredUser

Nacre = Callable[..., Result]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[UserStore]:
    (tmp_path / "state").mkdir(mode=0o700)
    with closing(UserStore(tmp_path / "state" / FILE)) as store:
        for user in ("alice", "bob"):
            store.add(StoredUser(name=user))
        key = WebAuthnKey(
            credential=b"c", user="alice", name="blue", rp_id="files", public_key=b"p"
        )
        store.factors.security_keys.add(key)
        yield store


@pytest.fixture
def security_key(tmp_path: Path, store: UserStore) -> Nacre:
    def call(*words: str) -> Result:
        state = ["--state", str(tmp_path / "state")]
        return CliRunner().invoke(command, ["security-key", *words, *state])

    return call


def test_keys_are_listed_and_removed_by_their_ids(security_key: Nacre, store: UserStore) -> None:
    (key,) = store.factors.security_keys.of("alice")
    (row,) = json.loads(security_key("list", "alice", "--json").stdout)
    assert (row["user"], row["id"], row["name"], row["host"]) == ("alice", key.id, "blue", "files")
    assert (row["added"][:2], row["used"]) == ("20", None)
    assert store.factors.security_keys.use(key, 1) is None
    (row,) = json.loads(security_key("list", "--json").stdout)
    assert row["used"][:2] == "20"
    assert "blue" in security_key("list").stdout
    done = security_key("remove", "alice", "0123456789abcdef")
    assert (done.exit_code, "has no security key" in done.output) == (1, True)
    assert security_key("remove", "bob", key.id).exit_code == 1
    assert security_key("remove", "alice", key.id).exit_code == 0
    assert security_key("list", "alice").stdout == ""


def test_who_is_not_there_has_none(security_key: Nacre) -> None:
    for words in (("list", "ghost"), ("remove", "ghost", "0")):
        done = security_key(*words)
        assert (done.exit_code, "there is no user" in done.output) == (1, True)
