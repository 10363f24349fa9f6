"""HAProxy in front of ``nacre serve``: the clients of OpenSSH are those that it names."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from interop.clients import Login
from interop.daemons import Daemon, State, on_free_port, start_nacre
from interop.programs import require, run

pytestmark = pytest.mark.interop

CLIENT, OTHER = "127.0.0.7", "127.0.0.8"
"""Addresses that OpenSSH's client connects from."""

MODES = {"gates": (), "one-process": ("--gates", "0"), "workers": ("--workers", "2")}


@contextmanager
def haproxy(directory: Path, server: Daemon, *words: str) -> Iterator[Daemon]:
    """Run HAProxy in front of a server; ``words`` are of its line ``server``."""
    program = require("haproxy")

    def start(port: int) -> Daemon:
        config = directory / f"haproxy-{port}.cfg"
        config.write_text(
            "global\n  log stderr format raw local0\n"
            "defaults\n  mode tcp\n  log global\n"
            "  timeout connect 10s\n  timeout client 60s\n  timeout server 60s\n"
            f"frontend front\n  bind 127.0.0.1:{port}\n  default_backend back\n"
            f"backend back\n  server one 127.0.0.1:{server.port} {' '.join(words)}\n"
        )
        return Daemon("haproxy", [program, "-db", "-V", "-f", config])

    with on_free_port(start, "Using epoll") as daemon:
        deadline = time.monotonic() + 30
        while not listens(daemon.port):  # it says nothing when it does
            assert time.monotonic() < deadline, daemon.tail()
            time.sleep(0.02)
        yield daemon


def listens(port: int) -> bool:
    """Tell whether a program listens; a connection would be one to the server behind it."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


@pytest.fixture
def state(tmp_path: Path, keys: dict[str, Path]) -> State:
    state = State(tmp_path / "state")
    state.add_user("alice", keys=[keys["ed25519"].with_suffix(".pub")])
    return state


@pytest.fixture
def login(tmp_path: Path, keys: dict[str, Path]) -> Callable[[Daemon], Login]:
    return lambda server: Login(server, "alice", tmp_path, keys["ed25519"])


def from_address(login: Login, address: str) -> list[str]:
    return login.ssh(f"BindAddress={address}", "BatchMode=yes")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2", "send-proxy-v2 set-crc"])
def test_the_client_is_the_one_that_the_proxy_names(
    state: State,
    login: Callable[[Daemon], Login],
    tmp_path: Path,
    mode: str,
    version: str,
) -> None:
    words = version.replace("set-crc", "proxy-v2-options crc32c")
    match = f"Match Address {OTHER}\n  ForceCommand echo forced\n"
    config = tmp_path / "config"
    config.write_text(match)
    arguments = (*MODES[mode], "--proxy-from", "127.0.0.1", "-f", str(config))
    with start_nacre(state, *arguments) as server, haproxy(tmp_path, server, words) as proxy:
        done = run([*from_address(login(proxy), CLIENT), "echo $SSH_CONNECTION"])
        assert done.returncode == 0, (done.stderr, server.tail())
        host, port, local, local_port = done.stdout.decode().split()
        assert (host, local, local_port) == (CLIENT, "127.0.0.1", str(proxy.port)), done.stderr
        server.wait_for(rf"event=accepted .*peer={CLIENT}:{port} .*proxy=127\.0\.0\.1:\d+")
        server.wait_for(rf"event=authenticated .*peer={CLIENT}:{port}")
        assert run([*from_address(login(proxy), OTHER), "true"]).stdout == b"forced\n"


def test_a_key_for_another_address_is_refused_behind_a_proxy(
    state: State, login: Callable[[Daemon], Login], tmp_path: Path
) -> None:
    from interop.programs import NACRE, check

    set_from = [*NACRE, "user", "set", "alice", "--allow-from", CLIENT, "--state", state.path]
    check(set_from)
    with (
        start_nacre(state, "--proxy-from", "127.0.0.1") as server,
        haproxy(tmp_path, server, "send-proxy-v2") as proxy,
    ):
        assert run([*from_address(login(proxy), CLIENT), "echo in"]).stdout == b"in\n"
        assert run([*from_address(login(proxy), OTHER), "echo in"]).returncode == 255


@pytest.mark.parametrize("mode", ["gates", "one-process"])
def test_penalties_are_those_of_the_client_and_not_of_the_proxy(
    state: State, login: Callable[[Daemon], Login], tmp_path: Path, mode: str
) -> None:
    penalties = ("-o", "PerSourcePenalties=authfail:100 min:1")
    arguments = (*MODES[mode], "--proxy-from", "127.0.0.1", *penalties)
    with (
        start_nacre(state, *arguments) as server,
        haproxy(tmp_path, server, "send-proxy-v2") as proxy,
    ):
        nobody = replace(login(proxy), user="nobody-of-this-name")
        assert run([*from_address(nobody, OTHER), "true"]).returncode == 255
        server.wait_for(rf"event=penalty .*peer={OTHER}:\d+")
        assert run([*from_address(login(proxy), OTHER), "true"]).returncode == 255
        server.wait_for(rf"event=dropped .*peer={OTHER}:\d+")
        assert run([*from_address(login(proxy), CLIENT), "echo in"]).stdout == b"in\n"


@pytest.mark.parametrize("mode", ["gates", "one-process"])
@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
def test_health_checks_are_neither_logged_nor_penalized(
    state: State, login: Callable[[Daemon], Login], tmp_path: Path, mode: str, version: str
) -> None:
    penalties = ("-o", "PerSourcePenalties=noauth:1000 min:1")
    arguments = (*MODES[mode], "--proxy-from", "127.0.0.1", *penalties)
    check = f"{version} check check-send-proxy inter 50ms fall 1 rise 1"
    with start_nacre(state, *arguments) as server, haproxy(tmp_path, server, check) as proxy:
        # Dozens of checks come while these log in.
        for _ in range(5):
            assert run([*from_address(login(proxy), CLIENT), "echo in"]).stdout == b"in\n"
        server.wait_for(rf"event=closed .*peer={CLIENT}:\d+")
        said = [line for line in server.log if "peer=" in line]
        assert [line for line in said if f"peer={CLIENT}:" not in line] == []
        assert not re.search("is DOWN", proxy.tail())


def test_without_the_header_nobody_gets_in(
    state: State, login: Callable[[Daemon], Login], tmp_path: Path
) -> None:
    with start_nacre(state, "--proxy-from", "127.0.0.1") as server:
        assert run([*from_address(login(server), "127.0.0.1"), "true"]).returncode == 255
        server.wait_for(r"event=dropped .*peer=127\.0\.0\.1:\d+ .*no PROXY header")
        # From elsewhere the header is an error, and clients connect as usual.
        assert run([*from_address(login(server), CLIENT), "echo in"]).stdout == b"in\n"


def test_a_proxy_that_is_not_trusted_names_nobody(
    state: State, login: Callable[[Daemon], Login], tmp_path: Path
) -> None:
    with (
        start_nacre(state, "--proxy-from", "192.0.2.0/24") as server,
        haproxy(tmp_path, server, "send-proxy") as proxy,
    ):
        assert run([*from_address(login(proxy), CLIENT), "true"]).returncode == 255
        server.wait_for(r"event=closed .*peer=127\.0\.0\.1:\d+ reason=.*SSH")
