"""The link to the process with the recordings."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from cli.api.recordings.kept import link_to, write
from nacre.cli.api.recordings import asking as asking_module
from nacre.cli.api.recordings.asking import RecordingsLink
from nacre.cli.api.recordings.values import NAME, WantedRecordings
from nacre.errors import StateError

SOME = "2030-01-02/a.cast"


def test_recordings_are_listed_and_opened(tmp_path: Path) -> None:
    write(tmp_path, "2030-01-02/a.cast", "alice", 1.0)
    with link_to(tmp_path) as link:
        found = link.find(WantedRecordings())
        (row,) = found["recordings"]
        assert (row["user"], row["path"], found["next"]) == ("alice", "2030-01-02/a.cast", None)
        number = link.open(row["path"])
        assert os.read(number, 10) == b'{"version"'
        os.close(number)
        with pytest.raises(StateError, match="no such recording"):
            link.open("2030-01-02/b.cast")


def test_a_process_that_is_gone_is_told() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    link = RecordingsLink(ours)
    with pytest.raises(StateError, match=r"can't be asked for|has ended"):
        link.open(SOME)
    ours.close()


def test_an_answer_without_a_file_is_none() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.sendall(b"{}")
    with pytest.raises(StateError, match="no such recording"):
        RecordingsLink(ours).open(SOME)
    for sock in (ours, theirs):
        sock.close()


@pytest.mark.parametrize("path", ["2030-01-02/" + "x" * 8192 + ".cast", "x", "../x/y.cast"])
def test_what_is_no_name_of_a_recording_is_not_asked_for(path: str) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setblocking(False)
    with pytest.raises(StateError, match="no such recording"):
        RecordingsLink(ours).open(path)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)
    for sock in (ours, theirs):
        sock.close()


def test_an_answer_that_came_too_late_is_not_taken_for_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking_module, "_PATIENCE", 0.01)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link = RecordingsLink(ours)
    with pytest.raises(StateError, match="can't be asked for"):
        link.open(SOME)
    for name in ("late", "next"):
        (tmp_path / name).write_text(name)
        with (tmp_path / name).open("rb") as file:
            socket.send_fds(theirs, [b"{}"], [file.fileno()])
    before = len(os.listdir("/proc/self/fd"))
    number = link.open(SOME)
    assert os.read(number, 10) == b"next"
    assert len(os.listdir("/proc/self/fd")) == before + 1
    os.close(number)
    for sock in (ours, theirs):
        sock.close()


def test_names_are_those_of_the_recorder() -> None:
    assert NAME.fullmatch("2026-11-30/202528.538-alice-2eb7416f6292.cast")
    assert NAME.fullmatch("2026-11-30/202528.538-a_b@c+d-2eb7416f6292.sealed")
    assert not NAME.fullmatch("2026-11-30/x/y.cast")
