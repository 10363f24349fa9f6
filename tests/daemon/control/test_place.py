"""The control socket: for its owner alone, and one server has it."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
import threading
from pathlib import Path

import pytest

from nacre.daemon.control.place import NAME, ControlPlace, connected, peer_of
from nacre.daemon.control.values import ControlError
from nacre.errors import StateError


def test_the_socket_is_for_its_owner_alone_and_removed_at_the_end(state: Path) -> None:
    before = os.umask(0)
    try:
        with ControlPlace(state):
            assert stat.S_IMODE((state / NAME).stat().st_mode) == 0o600
    finally:
        os.umask(before)
    assert not (state / NAME).exists()


def test_a_server_that_runs_keeps_it(state: Path) -> None:
    with ControlPlace(state):
        with pytest.raises(StateError, match="a server runs with the state directory"):
            ControlPlace(state)
        connected(state).close()


def test_a_server_that_ends_at_this_moment_is_waited_for(state: Path) -> None:
    first = ControlPlace(state)
    ends = threading.Timer(0.15, first.listener.close)
    ends.start()
    with ControlPlace(state):
        connected(state).close()
    ends.join()


def test_one_of_a_dead_server_is_replaced(state: Path) -> None:
    ControlPlace(state).listener.close()
    assert (state / NAME).exists()
    with ControlPlace(state):
        connected(state).close()


def test_a_queue_that_is_full_is_that_of_a_server(state: Path) -> None:
    with ControlPlace(state):
        waiting = []
        while True:
            one = socket.socket(socket.AF_UNIX)
            waiting.append(one)
            one.setblocking(False)
            directory = os.open(state, os.O_PATH)
            try:
                one.connect(f"/proc/self/fd/{directory}/{NAME}")
            except BlockingIOError:
                break
            finally:
                os.close(directory)
        with pytest.raises(StateError, match="runs"):
            ControlPlace(state)
        with pytest.raises(ControlError, match="can't ask the server"):
            connected(state)
        for one in waiting:
            one.close()


def test_what_another_server_has_put_there_stays(state: Path) -> None:
    first = ControlPlace(state)
    (state / NAME).rename(state / "elsewhere")
    with ControlPlace(state):
        first.remove()
        assert (state / NAME).exists()


def test_the_system_says_who_asks(state: Path) -> None:
    with ControlPlace(state) as place, connected(state) as sock:
        accepted, _ = place.listener.accept()
        with accepted:
            assert peer_of(accepted) == (os.getpid(), os.geteuid())
            assert peer_of(sock) == (os.getpid(), os.geteuid())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another account")
def test_the_system_names_the_process_that_has_the_socket_now(state: Path) -> None:
    with ControlPlace(state) as place:
        # The child of a server that goes to the background has the socket from its parent.
        child = os.fork()
        if child == 0:
            place.own()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        with connected(state) as sock:
            assert peer_of(sock)[0] == child


def test_another_account_is_told_that_it_may_not() -> None:
    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory)
        state.chmod(0o755)  # the mode of the socket keeps it out
        with ControlPlace(state):
            pid = os.fork()
            if pid == 0:
                os.setresuid(65534, 65534, 65534)
                try:
                    connected(state)
                except ControlError as error:
                    os._exit(7 if "the server's account and root alone" in str(error) else 1)
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_without_a_server_it_says_what_to_do(state: Path) -> None:
    for path in (state, state / "none", Path("/dev/null")):
        with pytest.raises(ControlError, match="start one with nacre serve"):
            connected(path)


def test_a_state_directory_that_can_not_be_used_is_named(state: Path) -> None:
    with pytest.raises(StateError, match="can't make the control socket"):
        ControlPlace(state / "none")
