"""A server is restarted under OpenSSH's clients: none is refused, and those that are there stay."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from interop.clients import Login
from interop.daemons import Daemon, State, start_nacre
from interop.nacre_sshd import Configure, as_root, serving
from interop.programs import NACRE, check, environment, manage, require, run
from procfs import children, name_of

pytestmark = [pytest.mark.interop, pytest.mark.timeout(240)]

KINDS: dict[str, tuple[str, ...]] = {
    "gates": (),
    "one process": ("--gates", "0"),
    "workers": ("--workers", "2"),
}
MANY = ("-o", "MaxStartups=100", "-o", "PerSourcePenalties=no")
HERE = "echo here; exec cat"


class Restarted:
    """A server that is restarted, with all of its processes."""

    def __init__(self, daemon: Daemon, state: State) -> None:
        self.daemon, self.state = daemon, state
        self.pids = [daemon.pid]

    def restart(self) -> None:
        said = check([*NACRE, "restart", "--state", self.state.path], timeout=100).decode()
        found = re.fullmatch(r"process (\d+) serves now; process (\d+) ends with .*\n", said)
        assert found is not None
        assert int(found[2]) == self.pids[-1]
        self.pids.append(int(found[1]))

    def who(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(
            manage("who", "--json", "--state", self.state.path)
        )
        return found

    def stop(self) -> None:
        """Stop the server that serves now, and with it those before."""
        if len(self.pids) > 1:
            with suppress(ProcessLookupError):
                os.kill(self.pids[-1], signal.SIGTERM)
            for pid in self.pids:
                until_gone(pid)
        # One that was about to end when it was told to stop has its status from the signal.
        assert self.daemon.stop() in (0, -signal.SIGTERM)


def until_gone(pid: int, seconds: float = 30) -> None:
    """Wait until a process has ended, whoever its parent is."""
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            assert select.select([descriptor], [], [], seconds)[0], f"{pid} has not ended"
        finally:
            os.close(descriptor)


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def state(tmp_path: Path, keys: dict[str, Path]) -> State:
    state = State(tmp_path / "state")
    state.add_user("alice", keys=[keys["ed25519"].with_suffix(".pub")])
    return state


@contextmanager
def restarted(state: State, *options: str) -> Iterator[Restarted]:
    server = Restarted(start_nacre(state, *options, *MANY), state)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(params=KINDS.values(), ids=[*KINDS])
def server(request: pytest.FixtureRequest, state: State) -> Iterator[Restarted]:
    with restarted(state, *request.param) as server:
        yield server


@pytest.fixture
def login(server: Restarted, keys: dict[str, Path], tmp_path: Path) -> Login:
    return Login(server.daemon, "alice", tmp_path, keys["ed25519"])


class Client:
    """A session that answers each line."""

    def __init__(self, login: Login) -> None:
        self.process = subprocess.Popen(
            [*login.ssh(), HERE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            start_new_session=True,
        )

    def __enter__(self) -> Client:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"here\n"
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate(timeout=20)

    def echoes(self) -> bool:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"still here\n")
        self.process.stdin.flush()
        return self.process.stdout.readline() == b"still here\n"


class Logins(threading.Thread):
    """Logs in again and again, and attempts to connect much more often."""

    def __init__(self, login: Login) -> None:
        super().__init__()
        self.login = login
        self.over = threading.Event()
        self.failed: list[str] = []
        self.count = 0

    def reached(self, count: int) -> bool:
        return self.count >= count

    def run(self) -> None:
        while not self.over.is_set():
            done = run([*self.login.ssh(), "echo", "in"], timeout=60)
            self.count += 1
            if done.stdout != b"in\n":
                self.failed.append(done.stderr.decode())


def knock(port: int, over: threading.Event, failed: list[str]) -> None:
    """Connect without a pause, and read the first bytes of the server."""
    while not over.is_set():
        try:
            with socket.create_connection(("127.0.0.1", port), 30) as sock:
                if sock.recv(4) != b"SSH-":
                    failed.append("no identification")
        except OSError as error:
            failed.append(repr(error))


def test_no_client_is_refused_and_a_session_stays(server: Restarted, login: Login) -> None:
    logins = Logins(login)
    refused: list[str] = []
    knocking = threading.Thread(
        target=knock, args=(login.server.port, logins.over, refused), daemon=True
    )
    with Client(login) as client:
        logins.start()
        knocking.start()
        try:
            for _ in range(5):
                wanted = logins.count + 1
                server.restart()
                until(partial(logins.reached, wanted))
        finally:
            logins.over.set()
            logins.join(60)
            knocking.join(60)
        assert (logins.failed, refused) == ([], [])
        assert logins.count >= 5
        assert client.echoes()
        until(lambda: len(server.who()) == 1)
        # Those between have ended, but for the first one's successors, who tell of it.
        assert run([*NACRE, "who", "--state", server.state.path]).stdout.count(b"alice") == 1
    for pid in server.pids[:-1]:
        until_gone(pid)
    assert run([*login.ssh(), "echo", "in"]).stdout == b"in\n"


def test_connections_of_the_one_before_are_listed_and_ended(
    server: Restarted, login: Login
) -> None:
    with Client(login) as old:
        server.restart()
        with Client(login) as new:
            until(lambda: len(server.who()) == 2)
            first, second = server.who()
            assert first["id"] != second["id"]
            done = run(
                [*NACRE, "kill", first["id"], "--reason", "at noon", "--state", server.state.path]
            )
            assert done.stdout == f"ended {first['id']} alice\n".encode()
            _, said = old.process.communicate(timeout=20)
            assert b"at noon" in said
            until_gone(server.pids[0])
            assert new.echoes()
            assert [one["id"] for one in server.who()] == [second["id"]]


def test_one_that_can_not_start_leaves_the_old_one_as_it_was(
    server: Restarted, login: Login
) -> None:
    key = server.state.path / "ssh_host_ed25519_key"
    good = key.read_bytes()
    key.write_text("rubbish\n")
    try:
        with Client(login) as client:
            done = run([*NACRE, "restart", "--state", server.state.path], timeout=100)
            assert done.returncode == 1
            assert b"Error: nothing was restarted: the host key" in done.stderr
            assert client.echoes()
            assert run([*login.ssh(), "echo", "in"]).stdout == b"in\n"
            assert len(server.who()) >= 1
    finally:
        key.write_bytes(good)
    server.restart()
    assert run([*login.ssh(), "echo", "in"]).stdout == b"in\n"


def test_max_sessions_counts_the_connections_of_the_one_before(
    server: Restarted, login: Login
) -> None:
    server.state.set_user("alice", "--max-sessions", "1")
    with Client(login):
        server.restart()
        assert run([*login.ssh(), "echo", "in"]).returncode == 255
    until_gone(server.pids[0])
    until(lambda: run([*login.ssh(), "echo", "in"]).stdout == b"in\n")


def test_a_stop_ends_the_one_before_too(server: Restarted, login: Login) -> None:
    with Client(login) as client:
        server.restart()
        began = len(server.daemon.log)
        server.stop()  # it returns when all have ended
        assert client.process.wait(20) == 255
        server.daemon.wait_for("event=stopping", since=began - 1)


def test_a_connection_at_rest_goes_on(
    state: State, keys: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch = "from nacre.daemon.separate import users\nusers.REST = 0.2\nusers.IDLE = 0.2\n"
    (tmp_path / "sitecustomize.py").write_text(patch)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    with restarted(state) as server:
        login = Login(server.daemon, "alice", tmp_path, keys["ed25519"])
        path = tmp_path / "mux"
        master = subprocess.Popen(
            [*login.ssh("ControlMaster=yes", f"ControlPath={path}"), "-N"],
            env=environment(),
            start_new_session=True,
        )
        try:
            until(lambda: [one["state"] for one in server.who()] == ["rest"])
            server.restart()
            assert [one["state"] for one in server.who()] == ["rest"]
            shared = [*login.ssh(f"ControlPath={path}"), "echo", "in"]
            assert run(shared).stdout == b"in\n"
        finally:
            master.kill()
            master.wait(20)
        until_gone(server.pids[0])


def test_the_service_manager_is_told_which_process_serves(
    state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "60000000")
        with restarted(state) as server:
            assert told(manager) == b"READY=1"
            server.restart()
            assert told(manager) == f"MAINPID={server.pids[-1]}".encode()
            assert told(manager) == b"READY=1"


def told(manager: socket.socket) -> bytes:
    """Return the next message of the server that is none of the watchdog."""
    while (said := manager.recv(100)) == b"WATCHDOG=1":
        pass
    return said


def other_python(become: list[str]) -> str:
    """Return an interpreter of this version that the account can start, too."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    again = "import os, sys; os.access(sys.executable, os.X_OK) or sys.exit(1)"
    for path in filter(None, (sys.executable, shutil.which(version, path="/usr/bin"))):
        if run([*become, path, "-c", again]).returncode == 0:
            return path
    pytest.skip("another account can't run the interpreter")


@as_root
def test_nacre_sshd_is_restarted_too(configure_sshd: Configure, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    config = configure_sshd(f"PidFile {file}", "UsePAM no")
    with serving(config) as server:
        knocked = socket.create_connection(("127.0.0.1", server.port), 30)
        assert knocked.recv(4) == b"SSH-"
        os.kill(server.pid, signal.SIGUSR2)
        pid = int(server.wait_for(r"event=restarted process=(\d+)")[1])
        try:
            until(lambda: file.read_text() == f"{pid}\n")
            with socket.create_connection(("127.0.0.1", server.port), 30) as sock:
                assert sock.recv(4) == b"SSH-"
            assert server.process.poll() is None  # its client has not logged in yet
            knocked.close()
            until_gone(server.pid)
            assert file.exists()
        finally:
            os.kill(pid, signal.SIGTERM)
            until_gone(pid)
        assert not file.exists()


def test_metrics_go_on_at_the_same_port(
    state: State, keys: dict[str, Path], tmp_path: Path
) -> None:
    pytest.importorskip("prometheus_client")
    with restarted(state, "--metrics", "127.0.0.1:0") as server:
        found = server.daemon.wait_for(r"event=metrics address=127\.0\.0\.1:(\d+)")
        url = f"http://127.0.0.1:{found[1]}/health"
        since = len(server.daemon.log)
        server.restart()
        server.daemon.wait_for(found[0].replace(".", r"\."), since=since)

        def healthy() -> bool:
            with suppress(OSError), urllib.request.urlopen(url, timeout=20) as answer:
                return answer.status == 200
            return False

        until(healthy)


def test_the_api_goes_on_at_the_same_port(
    state: State, keys: dict[str, Path], tmp_path: Path
) -> None:
    pytest.importorskip("uvicorn")
    with ExitStack() as stack:
        server = stack.enter_context(restarted(state, "--api", "127.0.0.1:0"))
        stack.enter_context(Client(Login(server.daemon, "alice", tmp_path, keys["ed25519"])))
        found = server.daemon.wait_for(r"event=api address=127\.0\.0\.1:(\d+)")
        url = f"http://127.0.0.1:{found[1]}/openapi.json"
        before = api_processes(server.daemon.pid)
        assert len(before) == 1
        since = len(server.daemon.log)
        server.restart()
        server.daemon.wait_for(found[0].replace(".", r"\."), since=since)
        until(lambda: "Z" in Path(f"/proc/{before[0]}/stat").read_text().rpartition(")")[2])
        with urllib.request.urlopen(url, timeout=20) as answer:
            assert json.load(answer)["openapi"].startswith("3.1")
        assert not any("the API has ended" in line for line in server.daemon.log)


def test_the_api_goes_on_at_the_same_unix_socket(state: State, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    directory = Path(tempfile.mkdtemp(prefix="nacre-api-"))
    place = directory / "api"
    try:
        with restarted(state, "--api", str(place)) as server:
            before = place.stat().st_ino
            server.restart()
            until_gone(server.pids[0])
            assert place.stat().st_ino == before
            url = "http://localhost/v1/users"
            curl = [require("curl"), "-sS", "-m", "20", "--unix-socket", place, url]
            assert [one["name"] for one in json.loads(check(curl))["users"]] == ["alice"]
        assert not place.exists()
    finally:
        shutil.rmtree(directory)


def api_processes(parent: int) -> list[int]:
    """Return the processes of a server that serve its API."""
    return [one for one in children(parent) if "api" in name_of(one)]


@pytest.fixture
def place() -> Iterator[Path]:
    """Return a directory that a hook's account may write to."""
    directory = Path(tempfile.mkdtemp(prefix="nacre-hooks-"))
    directory.chmod(0o777)
    yield directory
    shutil.rmtree(directory)


TAKES = "cd {} && test ! -e hold && cat >.$$ && mv .$$ $NACRE_ID.$$"
"""What a hook runs: each attempt that succeeds leaves a file."""


def told_of(place: Path) -> list[dict[str, Any]]:
    found = [json.loads(one.read_text()) for one in place.glob("[0-9]*")]
    return sorted(found, key=lambda one: int(one["number"]))


@pytest.mark.parametrize("kind", ["gates", "workers"])
def test_hooks_are_told_of_the_sessions_of_both_servers(
    state: State, keys: dict[str, Path], tmp_path: Path, place: Path, kind: str
) -> None:
    hook = [*NACRE, "hook", "add", "all", "--on", "login,command,exit", "--state", state.path]
    check([*hook, "--command", f"/bin/sh -c '{TAKES.format(place)}'"])
    (place / "hold").touch()
    with restarted(state, *KINDS[kind], "--hooks") as server:
        login = Login(server.daemon, "alice", tmp_path, keys["ed25519"])
        with Client(login) as client:
            server.daemon.wait_for("event=hook hook=all .*outcome=failing")
            server.restart()
            (place / "hold").unlink()
            check([*login.ssh(), "echo new"])
            # The server before has taken no clients for some time when this session ends.
            until(
                lambda: (
                    [one["event"] for one in told_of(place)][-3:] == ["login", "command", "exit"]
                )
            )
            assert client.process.stdin is not None
            client.process.stdin.close()
            client.process.stdin = None
            assert client.process.wait(30) == 0
        until(lambda: [one["event"] for one in told_of(place)].count("exit") == 2)
    found = told_of(place)
    commands = {one["fields"]["command"]: one for one in found if one["event"] == "command"}
    assert commands.keys() == {HERE, "echo new"}
    ids: dict[str, int] = {one["id"]: one["number"] for one in found}
    assert len(ids) == len(set(ids.values())) == 6
    sessions = {one["connection"] for one in found}
    assert sessions == {one["connection"] for one in commands.values()}
    assert len(sessions) == 2


def test_a_server_without_roots_rights_is_restarted(
    keys: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("the other tests do so")
    become = [require("setpriv"), "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
    nacre = [*become, other_python(become), "-m", "nacre"]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    place = Path(tempfile.mkdtemp(prefix="nacre-plain-"))
    try:
        shutil.chown(place, "nobody", "nogroup")
        (place / "key").write_bytes(keys["ed25519"].with_suffix(".pub").read_bytes())
        (place / "key").chmod(0o644)
        added = ["alice", "--key", place / "key", "--home", place, "--state", place / "state"]
        check([*nacre, "user", "add", *added])
        serve = ["serve", "--state", str(place / "state"), "--listen", "127.0.0.1:0", *MANY]
        daemon = Daemon("nacre serve", [*nacre, *serve], directory=place)
        daemon.port = int(daemon.wait_for(r"^listening on .*:(\d+)$")[1])
        server = Restarted(daemon, State(place / "state"))
        try:
            login = Login(daemon, "alice", tmp_path, keys["ed25519"])
            with Client(login) as client:
                server.restart()
                assert client.echoes()
                assert run([*login.ssh(), "id", "-un"]).stdout == b"nobody\n"
        finally:
            server.stop()
    finally:
        shutil.rmtree(place)
