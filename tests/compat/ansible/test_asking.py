"""The broker as a process that tasks start."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from nacre.compat.ansible import asking
from nacre.compat.ansible.asking import BrokerError, ask, deadline, left
from nacre.compat.ansible.frames import BrokerFrame, frame

NOWHERE = {"host": "127.0.0.1", "port": 1, "keywords": [], "config": "none"}


def failure(directory: Path, unused: float = 0.2) -> BrokerError:
    with (
        pytest.raises(BrokerError) as caught,
        ask(str(directory), unused, {"login": NOWHERE, "command": "x"}) as asked,
    ):
        asked.read(30)
    return caught.value


@pytest.mark.slow
def test_a_broker_is_started_once_and_again_when_it_has_ended(tmp_path: Path) -> None:
    directory = tmp_path / "made"
    found = [failure(directory) for _ in range(3)]
    assert {one.kind for one in found} == {asking.CONNECTION}
    assert all("refused" in str(one) for one in found), found
    assert directory.stat().st_mode & 0o777 == 0o700
    names = sorted(one.name for one in directory.iterdir())
    # A socket that nobody listens at, as one leaves that was killed, is replaced.
    (name,) = [one for one in names if not one.endswith(".lock")] or ["broker-none"]
    until = deadline(30)
    while (directory / name).exists():
        assert left(until) > 0, "the broker does not end"
        time.sleep(0.01)
    assert "refused" in str(failure(directory))


def test_a_broker_that_keeps_nothing_does_what_it_is_asked_for(tmp_path: Path) -> None:
    assert "refused" in str(failure(tmp_path / "made", 0))


def test_a_directory_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert "chmod 700" in str(failure(tmp_path))


def test_a_path_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "can't use" in str(failure(tmp_path / "file"))


def test_a_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 120)
    assert "too long" in str(failure(long))


def test_what_comes_too_late_is_told() -> None:
    ours, theirs = socket.socketpair()
    with theirs, asking.BrokerRequest(ours) as asked:
        with pytest.raises(TimeoutError):
            asked.read(0.01)
        theirs.close()
        with pytest.raises(BrokerError, match="has ended"):
            asked.read(30)


def test_the_last_frame_counts_even_if_the_broker_reads_no_more() -> None:
    for data in (b"", bytes(3 << 20)):
        ours, theirs = socket.socketpair()
        with asking.BrokerRequest(ours) as asked:
            theirs.sendall(frame(BrokerFrame.DONE, b'{"kind": "login", "error": "no"}'))
            theirs.close()
            asked.write(b"password")
            with pytest.raises(BrokerError, match="no"):
                asked.pass_input(data, {})
