"""Sockets of a service manager, passed by hand and by systemd's own program."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from interop.programs import NACRE, environment, require
from nacre.daemon.handover import activation
from nacre.daemon.handover.activation import ACTIVATED, is_activated, take_activated
from nacre.daemon.sockets import ListeningSockets, Passed
from nacre.errors import StateError

PASS = (
    "import fcntl, os, sys; count = int(sys.argv[1])\n"
    "passed = [fcntl.fcntl(int(one), fcntl.F_DUPFD, 20) for one in sys.argv[2].split(',')]\n"
    "for number, one in enumerate(passed, 3): os.dup2(one, number)\n"
    "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count))\n"
    "os.execvp(sys.argv[3], sys.argv[3:])"
)
"""Executes a program with sockets, as a service manager does."""


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    return monkeypatch


def take(variables: pytest.MonkeyPatch, sock: socket.socket) -> Passed | None:
    """Take one socket, which has another number than the first one of a fresh process."""
    variables.setattr(activation, "FIRST", sock.fileno())
    return take_activated()


def test_a_socket_is_listened_on_at_its_address(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("LISTEN_FDNAMES", "ssh")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        os.set_inheritable(listener.fileno(), True)
        assert is_activated()
        passed = take(variables, listener)
        assert passed is not None
        assert passed.descriptors == [listener.fileno()]
        assert not os.get_inheritable(listener.fileno())
        assert not {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} & os.environ.keys()
        port = listener.getsockname()[1]
        sockets = ListeningSockets()
        sockets.adopt(Passed(passed.data, [os.dup(listener.fileno())]))
        with sockets:
            (address,) = sockets.addresses
            assert (address.host, address.port, address.told_by) == ("127.0.0.1", port, ACTIVATED)
            sockets.change(sockets.addresses)  # a reload keeps it
            assert len(sockets.all) == 1


@pytest.mark.parametrize(("pid", "count"), [("1", "1"), ("own", "0"), ("own", ""), ("", "1")])
def test_sockets_for_others_are_not_taken_and_not_told_on(
    monkeypatch: pytest.MonkeyPatch, pid: str, count: str
) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()) if pid == "own" else pid)
    monkeypatch.setenv("LISTEN_FDS", count)
    assert not is_activated()
    assert take_activated() is None
    assert "LISTEN_FDS" not in os.environ


def test_what_is_no_listening_socket_of_tcp_is_named(
    variables: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        pair = socket.socketpair()
        with pair[0], pair[1], pytest.raises(StateError, match=r"no socket of TCP.*ListenStream="):
            take(variables, pair[0])
        variables.setenv("LISTEN_PID", str(os.getpid()))
        variables.setenv("LISTEN_FDS", "1")
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        client = stack.enter_context(socket.create_connection(listener.getsockname()))
        with pytest.raises(StateError, match="a connection: set Accept=no"):
            take(variables, client)
        variables.setenv("LISTEN_PID", str(os.getpid()))
        variables.setenv("LISTEN_FDS", "1")
        file = stack.enter_context((tmp_path / "file").open("w"))
        variables.setattr(activation, "FIRST", file.fileno())
        with pytest.raises(StateError, match="which is no socket"):
            take_activated()


@pytest.mark.parametrize("count", ["-1", "65", "many"])
def test_a_wrong_number_is_an_error(variables: pytest.MonkeyPatch, count: str) -> None:
    variables.setenv("LISTEN_FDS", count)
    with pytest.raises(StateError, match="a number up to 64"):
        take_activated()


def identification(address: tuple[str, int]) -> bytes:
    with socket.create_connection(address, 30) as sock:
        return sock.recv(8)


@pytest.mark.parametrize("options", [(), ("--gates", "0"), ("--workers", "2")])
def test_a_server_serves_the_sockets_that_it_is_given(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("", 0)) as two:
        numbers = f"{one.fileno()},{two.fileno()}"
        serve = [*NACRE, "serve", "--state", str(tmp_path / "state"), *options]
        with subprocess.Popen(
            [sys.executable, "-c", PASS, "2", numbers, *serve],
            pass_fds=[one.fileno(), two.fileno()],
            stderr=subprocess.PIPE,
            env=environment(),
            text=True,
            start_new_session=True,
        ) as server:
            try:
                assert server.stderr is not None
                said = {server.stderr.readline(), server.stderr.readline()}
                ports = [sock.getsockname()[1] for sock in (one, two)]
                assert said == {
                    f"listening on 127.0.0.1:{ports[0]}\n",
                    f"listening on 0.0.0.0:{ports[1]}\n",
                }
                for port in ports:
                    assert identification(("127.0.0.1", port)) == b"SSH-2.0-"
                with open(f"/proc/{server.pid}/environ", "rb") as file:
                    assert b"LISTEN_PID=" in file.read()  # what it began with
            finally:
                server.send_signal(signal.SIGTERM)
            assert server.wait(30) == 0


def test_listen_and_socket_activation_exclude_each_other(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        serve = [*NACRE, "serve", "--state", str(tmp_path / "state"), "--listen", ":0"]
        done = subprocess.run(
            [sys.executable, "-c", PASS, "1", str(one.fileno()), *serve],
            pass_fds=[one.fileno()],
            capture_output=True,
            env=environment(),
            text=True,
            timeout=50,
        )
    assert done.returncode == 2
    assert "--listen can't be used with socket activation" in done.stderr


def test_systemds_program_starts_a_server_at_the_first_connection(tmp_path: Path) -> None:
    activate = require("systemd-socket-activate")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    told = [f"--setenv={name}={value}" for name, value in environment().items()]
    serve = [shutil.which(NACRE[0]) or NACRE[0], "serve", "--state", str(tmp_path / "state")]
    with subprocess.Popen(
        [activate, f"--listen=127.0.0.1:{port}", *told, *serve],
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
        start_new_session=True,
    ) as server:
        try:
            assert server.stderr is not None
            assert "Listening" in server.stderr.readline()
            assert identification(("127.0.0.1", port)) == b"SSH-2.0-"
            assert any(f"listening on 127.0.0.1:{port}" in line for line in server.stderr)
        finally:
            server.send_signal(signal.SIGTERM)
        server.wait(30)


def test_what_a_session_is_started_with_names_no_sockets(variables: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        take(variables, listener)
        listed = json.loads(
            subprocess.check_output(
                [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"],
                timeout=50,
            )
        )
    assert not [name for name in listed if name.startswith("LISTEN_")]
