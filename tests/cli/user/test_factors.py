"""``nacre user totp``."""

from __future__ import annotations

import json
import re
import time
from base64 import b32decode
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nacre.cli.user.command import command
from nacre.daemon.store.second_factor.totp import INTERVAL, code_at
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import StoredUser

Nacre = Callable[..., Result]


@pytest.fixture
def store(tmp_path: Path) -> UserStore:
    (tmp_path / "state").mkdir(mode=0o700)
    store = UserStore(tmp_path / "state" / FILE)
    store.add(StoredUser(name="alice"))
    return store


@pytest.fixture
def totp(tmp_path: Path, store: UserStore) -> Nacre:
    def call(*words: str) -> Result:
        state = ["--state", str(tmp_path / "state")]
        return CliRunner().invoke(command, ["totp", *words, *state])

    return call


def test_what_is_printed_makes_the_codes(totp: Nacre, store: UserStore) -> None:
    with closing(store):
        done = totp("enrol", "alice", "--uri", "--issuer", "files")
        assert done.exit_code == 0, done.output
        found = re.fullmatch(
            r"otpauth://totp/files:alice\?secret=([A-Z2-7]{32})&issuer=files\n", done.stdout
        )
        assert found is not None
        assert "--second-factor required" in done.stderr
        code = code_at(b32decode(found[1]), int(time.time()) // INTERVAL)
        assert store.factors.check("alice", code) is None
        done = totp("enrol", "alice")
        assert (done.exit_code, "has a second factor already" in done.output) == (1, True)
        assert totp("remove", "alice").exit_code == 0
        store.change("alice", second_factor="optional")
        done = totp("enrol", "alice")
        assert "--second-factor" not in done.stderr
        *picture, empty, key, _ = done.stdout.split("\n")
        assert (len(picture) > 16, empty, key[:5]) == (True, "", "key: ")


def test_recovery_codes(totp: Nacre, store: UserStore) -> None:
    with closing(store):
        for word in ("new-recovery", "show-recovery", "remove"):
            done = totp(word, "alice")
            assert (done.exit_code, "has no second factor" in done.output) == (1, True)
            assert totp(word, "ghost").exit_code == 1
        assert totp("enrol", "ghost").exit_code == 1
        assert totp("enrol", "alice").exit_code == 0
        assert totp("show-recovery", "alice").stdout == "0\n"
        codes = totp("new-recovery", "alice").stdout.split()
        assert totp("show-recovery", "alice").stdout == "10\n"
        assert store.factors.check("alice", codes[7]) is None
        assert totp("show-recovery", "alice").stdout == "9\n"
        (row,) = json.loads(totp("list", "--json").stdout)
        assert (row["name"], row["recovery"], row["enrolled"][:2]) == ("alice", 9, "20")
        assert totp("remove", "alice").exit_code == 0
