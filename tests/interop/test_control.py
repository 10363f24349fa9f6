"""A running server is asked and told over its control socket, with OpenSSH's client connected."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from interop.clients import Login
from interop.daemons import Daemon, State, start_nacre
from interop.programs import NACRE, environment, manage, run

pytestmark = [pytest.mark.interop, pytest.mark.timeout(120)]

KINDS: dict[str, tuple[str, ...]] = {
    "gates": (),
    "one process": ("--gates", "0"),
    "workers": ("--workers", "2"),
}
MANY = ("-o", "MaxStartups=100", "-o", "PerSourcePenalties=no")


@pytest.fixture
def state(tmp_path: Path, keys: dict[str, Path]) -> State:
    state = State(tmp_path / "state")
    state.add_user("alice", keys=[keys["ed25519"].with_suffix(".pub")])
    return state


@pytest.fixture(params=KINDS.values(), ids=[*KINDS])
def server(request: pytest.FixtureRequest, state: State) -> Iterator[Daemon]:
    with start_nacre(state, *request.param, *MANY) as server:
        yield server


@pytest.fixture
def login(server: Daemon, keys: dict[str, Path], tmp_path: Path) -> Login:
    return Login(server, "alice", tmp_path, keys["ed25519"])


def nacre(state: State, *words: str) -> subprocess.CompletedProcess[bytes]:
    return run([*NACRE, *words, "--state", state.path])


def who(state: State, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(manage("who", "--json", "--state", state.path, *words))
    return found


def details(state: State) -> list[dict[str, Any]]:
    """Return what the processes that serve the connections have answered in time."""
    return [one["details"] for one in who(state) if one["details"] is not None]


def described(state: State, count: int) -> list[dict[str, Any]]:
    """Return what is shown of so many connections when all their processes have answered."""
    found: list[dict[str, Any]] = []

    def complete() -> bool:
        found[:] = [one for one in who(state) if one["details"] is not None]
        return len(found) == count

    until(complete)
    return found


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def connected(login: Login, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run ssh up to the end of the context; a command of it says that it is here."""
    client = subprocess.Popen(
        [*login.ssh(), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        start_new_session=True,
    )
    try:
        assert client.stdout is not None
        if HERE in words:
            assert client.stdout.readline().startswith(b"here")
        yield client
    finally:
        client.kill()
        client.communicate(timeout=20)


HERE = "echo here; exec cat"


def test_who_shows_what_runs_and_kill_ends_one_with_its_reason(state: State, login: Login) -> None:
    with connected(login, HERE) as one, connected(login, "-tt", HERE) as two:
        first, second = described(state, 2)
        assert {one["user"] for one in (first, second)} == {"alice"}
        assert first["methods"] == ["publickey"]
        assert first["id"] != second["id"]
        running = [each["details"]["running"] for each in (first, second)]
        assert all(session["what"] == HERE for (session,) in running)
        assert sorted(session["terminal"] for (session,) in running) == [False, True]
        assert all(each["details"]["received"] > 1000 for each in (first, second))
        plain = next(one for one in (first, second) if not one["details"]["running"][0]["terminal"])
        table = nacre(state, "who").stdout.decode()
        assert f"{HERE} (tty)" in table
        done = nacre(state, "kill", plain["id"], "--reason", "The host goes down at noon.")
        assert (done.returncode, done.stdout) == (0, f"ended {plain['id']} alice\n".encode())
        _, said = one.communicate(timeout=20)
        assert b"The host goes down at noon." in said
        assert one.returncode == 255
        login.server.wait_for(r'event=killed .*user=alice .*reason="The host goes down at noon\."')
        until(lambda: len(who(state)) == 1)
        assert two.poll() is None


def test_a_connection_at_rest_is_listed_and_its_client_told(
    state: State, keys: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch = "from nacre.daemon.separate import users\nusers.REST = 0.2\nusers.IDLE = 0.2\n"
    (tmp_path / "sitecustomize.py").write_text(patch)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    with start_nacre(state) as server:
        login = Login(server, "alice", tmp_path, keys["ed25519"])
        with connected(login, "-N") as client:
            until(lambda: [one["state"] for one in who(state)] == ["rest"])
            (one,) = who(state)
            assert (one["process"], one["details"], one["user"]) == (None, None, "alice")
            assert "at rest" in nacre(state, "who").stdout.decode()
            assert nacre(state, "kill", one["id"], "--reason", "wake up").returncode == 0
            _, said = client.communicate(timeout=20)
            assert b"wake up" in said
        until(lambda: who(state) == [])


def test_kill_tells_whether_it_ended_all_a_part_or_nothing(state: State, login: Login) -> None:
    with connected(login, HERE) as one, connected(login, HERE) as two:
        done = nacre(state, "kill", "9.9.9", "--user", "alice")
        assert done.returncode == 3
        assert b"there is no connection 9.9.9" in done.stderr
        assert done.stdout.count(b"ended") == 2
        assert [each.wait(20) for each in (one, two)] == [255, 255]
    done = nacre(state, "kill", "--user", "bob")
    assert (done.returncode, done.stdout) == (1, b"")


def running(state: State) -> list[tuple[str, str]]:
    """Return the requests of all channels, and what they run."""
    return [(r["request"], r["what"]) for one in details(state) for r in one["running"]]


def test_who_shows_forwarding_and_subsystems(state: State, login: Login) -> None:
    with connected(login, "-N", "-R", "0:127.0.0.1:9"):
        until(lambda: [one["listens"] for one in details(state)] == [1])
    until(lambda: not who(state))
    with connected(login, "-s", "sftp"):
        # A channel is listed before what runs in it is known.
        until(lambda: running(state) == [("subsystem", "sftp")])


def test_clients_that_log_in_are_listed_and_ended_too(state: State, login: Login) -> None:
    command = login.using(None).ssh("PreferredAuthentications=password")
    answers = login.directory / "ask"
    answers.write_text("#!/bin/sh\nexec sleep 60\n")
    answers.chmod(0o700)
    with subprocess.Popen(
        [*command, "true"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(SSH_ASKPASS=str(answers), SSH_ASKPASS_REQUIRE="force", DISPLAY=":0"),
        start_new_session=True,
    ) as client:
        try:
            until(lambda: [one["state"] for one in who(state, "--all")] == ["login"])
            assert who(state) == []
            (one,) = who(state, "--all")
            assert nacre(state, "kill", one["id"], "--reason", "not now").returncode == 0
            login.server.wait_for(r'event=closed .*reason="not now"')
        finally:
            os.killpg(client.pid, signal.SIGKILL)


def test_top_prints_once(state: State, login: Login) -> None:
    with connected(login, HERE):
        done = nacre(state, "top", "--once")
    head, names, row = done.stdout.decode().splitlines()
    assert head == "1 connections, 1 sessions, 1 users"
    assert names.split()[:2] == ["id", "user"]
    assert "alice" in row
    assert " kB " in row


@contextmanager
def following(state: State, *words: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*NACRE, "log", "-f", "--state", str(state.path), *words],
        stdout=subprocess.PIPE,
        env=environment(PYTHONUNBUFFERED="1"),
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_log_is_followed_by_user_and_event(state: State, server: Daemon, login: Login) -> None:
    wanted = ("--json", "--user", "alice", "--event", "session")
    with following(state, *wanted) as log, ThreadPoolExecutor(1) as pool:
        assert log.stdout is not None
        line = pool.submit(log.stdout.readline)
        # Nothing tells when it follows, so sessions go on until one is seen.
        until(lambda: run([*login.ssh(), "true"]).returncode == 0 and line.done())
        record = json.loads(line.result())
    assert (record["event"], record["user"], record["level"]) == ("session", "alice", "info")
    assert record["time"]


def test_without_a_server_it_says_so(tmp_path: Path) -> None:
    for words in (["who"], ["kill", "1"], ["log", "-f"], ["top", "--once"]):
        done = run([*NACRE, *words, "--state", tmp_path])
        assert done.returncode == 1
        assert b"no server runs with the state directory" in done.stderr


def test_a_live_server_keeps_its_place_and_a_killed_one_loses_it(
    state: State, server: Daemon
) -> None:
    second = run([*NACRE, "serve", "--state", state.path, "--listen", "127.0.0.1:0"])
    assert second.returncode == 1
    assert b"a server runs with the state directory" in second.stderr
    assert who(state) == []
    server.process.kill()
    server.process.wait(20)
    until(lambda: not state.in_use)  # the process of the socket ends after the supervisor
    with start_nacre(state):
        assert who(state) == []
    assert not (state.path / "control").exists()


def test_a_hostile_client_of_the_socket_slows_nobody(state: State, login: Login) -> None:
    def client() -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(20)
        sock.connect(str(state.path / "control"))
        return sock

    with connected(login, HERE), client() as garbage, client() as huge, client() as mute:
        garbage.sendall(b"\xff\0{}[]\n" * 3)
        assert b"rejected" in garbage.recv(4096)
        with pytest.raises(OSError, match=r"reset|roken pipe"):
            huge.sendall(b"[" * (64 << 20))
        mute.sendall(b'{"ask": "who", "everyone": true}\n' * 1000)  # and it reads nothing
        assert run([*login.ssh(), "echo", "in"]).stdout == b"in\n"
        assert len(who(state)) == 1
        with ExitStack() as many:
            while (done := nacre(state, "who")).returncode == 0:
                for _ in range(4):
                    many.enter_context(client())
            assert b"programs talk to the server already" in done.stderr
            assert run([*login.ssh(), "echo", "in"]).stdout == b"in\n"
        until(lambda: nacre(state, "who").returncode == 0)


def test_no_more_than_max_sessions_get_in_at_once(state: State, login: Login) -> None:
    manage("user", "set", "alice", "--max-sessions", "5", "--state", state.path)

    def try_it(_: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*login.ssh("ServerAliveInterval=1"), HERE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )

    clients = [try_it(number) for number in range(30)]
    try:
        with ThreadPoolExecutor(30) as pool:
            lines = list(pool.map(lambda one: one.stdout.readline(), clients))
        assert lines.count(b"here\n") == 5
        assert lines.count(b"") == 25
        until(lambda: len(who(state)) == 5)  # those that were refused are gone
        for client, line in zip(clients, lines, strict=True):
            if not line:
                assert client.stderr is not None
                assert b"you have 5 connections to this server already" in client.stderr.read()
        login.server.wait_for(r'event=refused .*reason="max_sessions is 5"')
        first = next(one for one, line in zip(clients, lines, strict=True) if line)
        first.kill()
        first.wait(20)
        until(lambda: run([*login.ssh(), "true"]).returncode == 0)
    finally:
        for client in clients:
            client.kill()
            client.communicate(timeout=20)


def test_a_killed_process_leaves_no_count(state: State, login: Login) -> None:
    manage("user", "set", "alice", "--max-sessions", "1", "--state", state.path)
    with connected(login, HERE):
        (one,) = who(state)
        assert run([*login.ssh(), "true"]).returncode == 255
        if one["process"] == login.server.pid:
            return  # a server of one process ends with it
        os.kill(one["process"], signal.SIGKILL)
        until(lambda: run([*login.ssh(), "true"]).returncode == 0)
