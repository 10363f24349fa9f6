"""Bans of ``nacre serve``, as OpenSSH's client meets them from several addresses."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from interop.clients import Login
from interop.daemons import Daemon, State, start_nacre
from interop.programs import manage, run

pytestmark = pytest.mark.interop

BAD, GOOD = "127.0.0.7", "127.0.0.8"
MODES = {"gates": (), "one-process": ("--gates", "0"), "workers": ("--workers", "2")}


@pytest.fixture
def state(tmp_path: Path, keys: dict[str, Path]) -> State:
    state = State(tmp_path / "state")
    state.add_user("alice", keys=[keys["ed25519"].with_suffix(".pub")])
    return state


@pytest.fixture
def login(tmp_path: Path, keys: dict[str, Path]) -> Callable[[Daemon], Login]:
    return lambda server: Login(server, "alice", tmp_path, keys["ed25519"])


def gets_in(login: Login, address: str) -> bool:
    command = login.ssh(f"BindAddress={address}", "BatchMode=yes")
    return run([*command, "echo in"]).stdout == b"in\n"


def until_it_is(login: Login, address: str, wanted: bool) -> None:
    deadline = time.monotonic() + 30
    while gets_in(login, address) is not wanted:
        assert time.monotonic() < deadline, login.server.tail()


@pytest.mark.parametrize("mode", ["gates", "one-process"])
def test_failures_ban_a_network_and_that_lasts_over_a_restart(
    state: State, login: Callable[[Daemon], Login], mode: str
) -> None:
    # Without penalties, which would refuse the client before the ban does.
    arguments = (*MODES[mode], "--bans", "40", "-o", "PerSourcePenalties=no")
    with start_nacre(state, *arguments) as server:
        assert gets_in(login(server), BAD)
        nobody = replace(login(server), user="nobody-of-this-name")
        for _ in range(2):
            assert not gets_in(nobody, BAD)
        server.wait_for(rf"event=ban network={BAD} seconds=600")
        assert not gets_in(login(server), BAD)
        server.wait_for(rf"event=dropped .*peer={BAD}:\d+ reason=banned")
        assert gets_in(login(server), GOOD)
    assert BAD in manage("ban", "list", "--state", state.path).decode()
    with start_nacre(state, *arguments) as server:
        assert not gets_in(login(server), BAD)
        manage("ban", "remove", BAD, "--state", state.path)
        until_it_is(login(server), BAD, True)


@pytest.mark.parametrize("mode", MODES)
def test_bans_by_hand_take_effect_without_a_restart(
    state: State, login: Callable[[Daemon], Login], mode: str
) -> None:
    with start_nacre(state, *MODES[mode], "--bans", "0") as server:
        assert gets_in(login(server), BAD)
        # A program that closes the store must not take the server's log of it away.
        assert manage("ban", "list", "--state", state.path) == b""
        manage("ban", "add", "--for", "1d", "127.0.0.0/28", "--state", state.path)
        until_it_is(login(server), BAD, False)
        manage("ban", "add", "--allow", GOOD, "--state", state.path)
        until_it_is(login(server), GOOD, True)
        # Each worker has heard of it.
        for _ in range(4):
            assert not gets_in(login(server), BAD)
        manage("ban", "remove", "127.0.0.0/28", "--state", state.path)
        until_it_is(login(server), BAD, True)


def test_gates_of_a_reload_know_the_bans(
    state: State, login: Callable[[Daemon], Login], tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text("LogLevel INFO\n")
    manage("ban", "add", BAD, "--state", state.path)
    with start_nacre(state, "--bans", "0", "-f", str(config)) as server:
        assert not gets_in(login(server), BAD)
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("event=reloaded")
        assert not gets_in(login(server), BAD)
        manage("ban", "remove", BAD, "--state", state.path)
        until_it_is(login(server), BAD, True)
