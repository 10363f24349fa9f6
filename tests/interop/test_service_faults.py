"""The user store locked, damaged or gone: clients get an answer, and the log the cause."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from interop.clients import PASSWORD, Login, askpass
from interop.daemons import Daemon, State, start_nacre
from interop.programs import NACRE, environment, run
from nacre.daemon.store.second_factor.totp import INTERVAL, code_at, new_secret
from nacre.daemon.store.store import FILE, UserStore

pytestmark = pytest.mark.interop

LAYOUTS = {"gates": [], "one process": ["--gates", "0"], "workers": ["--workers", "2"]}
INTERACTIVE = "PreferredAuthentications=password,keyboard-interactive"


@pytest.fixture
def state(tmp_path: Path, keys: dict[str, Path]) -> State:
    state = State(tmp_path / "state")
    for name in ("alice", "bob"):
        state.add_user(name, password=PASSWORD, keys=[keys["ed25519"].with_suffix(".pub")])
    return state


@pytest.fixture(params=LAYOUTS.values(), ids=[*LAYOUTS])
def server(request: pytest.FixtureRequest, state: State) -> Iterator[Daemon]:
    with start_nacre(state, "-o", "PerSourcePenalties=no", *request.param) as server:
        yield server


@pytest.fixture
def login(server: Daemon, keys: dict[str, Path], tmp_path: Path) -> Login:
    return Login(server, "alice", tmp_path, keys["ed25519"])


@contextmanager
def written_by_another(state: State) -> Iterator[None]:
    """Hold the lock of the one who writes into the store, as a program that hangs does."""
    with closing(sqlite3.connect(state.path / FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def established(login: Login) -> Iterator[subprocess.Popen[bytes]]:
    """Keep a session open, which must go on whatever happens to the store."""
    client = subprocess.Popen(
        [*login.ssh(), "echo here; cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )
    try:
        assert client.stdin is not None
        assert client.stdout is not None
        assert client.stdout.readline() == b"here\n"
        yield client
        client.stdin.write(b"still\n")
        client.stdin.flush()
        assert client.stdout.readline() == b"still\n"
    finally:
        client.kill()
        client.communicate(timeout=20)


def test_logins_need_nobody_who_writes(state: State, login: Login) -> None:
    with written_by_another(state):
        assert run([*login.ssh(), "echo in"]).stdout == b"in\n"
        asking = askpass(login.directory, PASSWORD)
        assert run([*login.using(None).ssh(), "echo in"], **asking).stdout == b"in\n"


@pytest.mark.parametrize("server", [[]], ids=["gates"], indirect=True)
def test_a_code_that_can_not_be_marked_as_used_lets_nobody_in(
    state: State, server: Daemon, login: Login
) -> None:
    secret = new_secret()
    with closing(UserStore(state.path / FILE)) as store:
        store.factors.enrol("alice", secret)
        store.change("alice", second_factor="required")
    code = code_at(secret, int(time.time()) // INTERVAL)
    bob = Login(server, "bob", login.directory, login.key)
    command = [
        *login.ssh("NumberOfPasswordPrompts=1", INTERACTIVE.replace("password", "publickey"))
    ]
    with written_by_another(state), established(bob):
        done = run([*command, "echo in"], **askpass(login.directory, code))
        assert (done.returncode, done.stdout) == (255, b"")
        server.wait_for("user store|database is locked")
    code = code_at(secret, int(time.time()) // INTERVAL)
    done = run([*command, "echo in"], **askpass(login.directory, code))
    assert done.stdout == b"in\n"


@pytest.mark.parametrize("how", ["emptied", "gone", "replaced"])
def test_a_store_that_can_not_be_read_refuses_logins_and_ends_nothing(
    state: State, server: Daemon, login: Login, how: str
) -> None:
    path = state.path / FILE
    with closing(sqlite3.connect(path)) as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if how == "replaced":
        (state.path / "other").write_bytes(path.read_bytes())
    with established(login):
        if how == "emptied":
            os.truncate(path, 0)
        elif how == "gone":
            path.unlink()
        else:
            (state.path / "other").rename(path)
        done = run([*login.ssh(), "echo in"])
        assert (done.returncode, done.stdout) == (255, b"")
        server.wait_for("can't use the user store .*users")


def test_a_damaged_store_is_said_when_the_server_starts(state: State) -> None:
    (state.path / FILE).write_bytes(os.urandom(8192))
    done = run([*NACRE, "serve", "--state", state.path, "--listen", "127.0.0.1:0"])
    assert done.returncode == 1
    assert b"can't use the user store" in done.stderr
