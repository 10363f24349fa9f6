"""Users of the store, their groups, and what these say: OpenSSH's programs log in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from interop.clients import Login
from interop.daemons import RUN_AS, Daemon, State, start_nacre
from interop.programs import check, manage, require, run

pytestmark = pytest.mark.interop


@pytest.fixture
def state(tmp_path: Path) -> State:
    (tmp_path / "files").mkdir()
    return State(tmp_path / "state")


@pytest.fixture
def server(state: State) -> Iterator[Daemon]:
    manage("group", "add", "everybody", "--state", state.path, *RUN_AS)
    with start_nacre(state) as server:
        yield server


def nacre(state: State, *words: str | Path) -> str:
    return manage(*words, "--state", state.path).decode()


def gets_in(login: Login) -> bool:
    done = run([*login.ssh("BatchMode=yes"), "echo", "in"])
    assert (done.returncode, done.stdout) in ((0, b"in\n"), (255, b"")), done.stderr
    return done.returncode == 0


def test_what_a_group_says_holds_at_the_next_login(
    state: State, server: Daemon, keys: dict[str, Path], tmp_path: Path
) -> None:
    key = keys["ed25519"].with_suffix(".pub")
    nacre(state, "user", "add", "alice", "--key", key, "--group", "everybody")
    login = Login(server, "alice", tmp_path, keys["ed25519"])
    assert gets_in(login)
    today = datetime.now()
    elsewhere = (today + timedelta(days=3)).strftime("%a")
    for word, no, yes, reason in (
        ("--expires", "2001-01-01", "never", "the user has expired"),
        ("--allow-from", "192.0.2.0/24", "192.0.2.0/24,127.0.0.0/8", "not log in from this"),
        ("--hours", elsewhere, f"{elsewhere},{today:%a},Mon-Sun", "not log in at this time"),
        ("--auth", "password", "publickey", "Permission denied"),
    ):
        nacre(state, "group", "set", "everybody", word, no)
        assert not gets_in(login), word
        if word != "--auth":
            server.wait_for(f"refused .*{reason}")
        # The user decides before the group.
        nacre(state, "user", "set", "alice", word, yes)
        assert gets_in(login), word
        nacre(state, "group", "set", "everybody", word, yes)
        nacre(state, "user", "set", "alice", "--inherit", word[2:])
        assert gets_in(login), word


def test_a_group_gives_files_under_the_users_name(
    state: State, server: Daemon, keys: dict[str, Path], tmp_path: Path
) -> None:
    for name in ("alice", "bob"):
        (tmp_path / "files" / name).mkdir()
        (tmp_path / "files" / name / f"of-{name}").touch()
    options = ["--service", "sftp", "--root", f"{tmp_path}/files/%u", "--read-only"]
    nacre(state, "group", "add", "files", *options)
    table = tmp_path / "users.csv"
    key = keys["ed25519"].with_suffix(".pub").read_text()
    table.write_text(
        f'name,groups,keys\nalice,files;everybody,"{key}"\nbob,files;everybody,"{key}"\n'
    )
    nacre(state, "user", "import", table)
    for name in ("alice", "bob"):
        login = Login(server, name, tmp_path, keys["ed25519"])
        where = ["-P" if word == "-p" else word for word in login.options()]
        command = [require("sftp"), "-b", "-", *where, f"{name}@127.0.0.1"]
        done = run(command, input=b"ls -1\n-put /etc/hostname new\n")
        assert f"of-{name}" in done.stdout.decode().splitlines()
        assert b"dest open" in done.stderr, done.stderr
        assert run([*login.ssh(), "true"]).returncode == 255
    assert sorted(path.name for path in (tmp_path / "files").rglob("*-*")) == ["of-alice", "of-bob"]


def test_an_expired_user_opens_no_session_on_an_open_connection(
    state: State, server: Daemon, keys: dict[str, Path], tmp_path: Path
) -> None:
    key = keys["ed25519"].with_suffix(".pub")
    nacre(state, "user", "add", "alice", "--key", key, "--group", "everybody")
    login = Login(server, "alice", tmp_path, keys["ed25519"])
    path = f"ControlPath={tmp_path}/master"
    check(login.ssh("ControlMaster=yes", "ControlPersist=60", path, flags=["-N", "-f"]))
    try:
        assert run([*login.ssh(path), "echo", "in"]).stdout == b"in\n"
        nacre(state, "user", "set", "alice", "--expires", "2001-01-01")
        deadline = time.monotonic() + 20
        while run([*login.ssh(path), "echo", "in"]).stdout == b"in\n":
            assert time.monotonic() < deadline, "the session process asks once a second"
        server.wait_for("the user has expired")
    finally:
        run(login.ssh(path, flags=["-O", "exit"]))
