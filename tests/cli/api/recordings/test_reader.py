"""The process with the recordings."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.api.recordings.kept import write
from nacre.cli.api.recordings import reader as module
from nacre.cli.api.recordings.reader import RecordingReader
from nacre.daemon.control.values import ControlError
from nacre.daemon.sandbox.kernel import call_itself

DAY = "2030-01-02"


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    for n in range(5):
        path = f"2030-01-0{n + 1}/000000.000-u-{n}.cast"
        write(tmp_path, path, ("alice", "bob")[n % 2], 1_893_456_000.0 + n * 86400)
    number = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield number
    os.close(number)


def listed(directory: int, **wanted: Any) -> tuple[list[str], str | None]:
    usual = {"user": "", "since": 0, "after": "", "limit": 50}
    asked = json.dumps({"list": {**usual, **wanted}}).encode()
    answer, number = RecordingReader(directory).answer(asked)
    assert number is None
    found = json.loads(answer)
    return [one["path"][-6] for one in found["recordings"]], found["next"]


def opened(directory: int, path: str) -> tuple[dict[str, Any], int | None]:
    answer, number = RecordingReader(directory).answer(json.dumps({"open": path}).encode())
    return json.loads(answer), number


def test_the_newest_come_first_in_pages(directory: int) -> None:
    assert listed(directory) == (["4", "3", "2", "1", "0"], None)
    first, after = listed(directory, limit=2)
    assert first == ["4", "3"]
    assert listed(directory, limit=2, after=after)[0] == ["2", "1"]
    assert listed(directory, user="bob") == (["3", "1"], None)
    assert listed(directory, since=(1_893_456_000 + 3 * 86400) * 1_000_000)[0] == ["4", "3"]


def test_so_many_files_are_looked_at(directory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_LOOKED_AT", 2)
    first, after = listed(directory, user="nobody")
    assert (first, after) == ([], "2030-01-04/000000.000-u-3.cast")
    assert listed(directory, user="alice", after=after)[0] == ["2"]


def test_what_is_damaged_is_left_out(directory: int, tmp_path: Path) -> None:
    (tmp_path / DAY / "000001.000-x.cast").write_bytes(b"nonsense\n")
    (tmp_path / DAY / "000002.000-x.sealed").write_bytes(b"")
    (tmp_path / DAY / "000003.000-x.txt").write_bytes(b"")
    (tmp_path / "elsewhere").mkdir()
    assert listed(directory) == (["4", "3", "2", "1", "0"], None)


def test_what_files_say_is_safe_and_bounded(directory: int, tmp_path: Path) -> None:
    write(tmp_path, f"{DAY}/990000.000-x.cast", "\x1b[2J" + "a" * 5000, 1_893_456_001.5)
    asked = {"user": "", "since": 0, "after": f"{DAY}/99a", "limit": 1}
    answer, _ = RecordingReader(directory).answer(json.dumps({"list": asked}).encode())
    (row,) = json.loads(answer)["recordings"]
    assert (len(row["user"]) < 200, "\x1b" in row["user"]) == (True, False)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "../secret.cast",
        f"{DAY}/../../secret.cast",
        "/etc/passwd",
        f"{DAY}/missing.cast",
        f"{DAY}/link.cast",
        f"{DAY}/folder.cast",
        f"{DAY}/pipe.cast",
        f"{DAY}/000000.000-u-1.cast\n",
        f"{DAY}/x.txt",
    ],
)
def test_only_recordings_are_opened(directory: int, tmp_path: Path, path: str) -> None:
    (tmp_path / "secret.cast").write_bytes(b"x")
    (tmp_path / DAY / "link.cast").symlink_to(tmp_path / "secret.cast")
    (tmp_path / DAY / "folder.cast").mkdir()
    os.mkfifo(tmp_path / DAY / "pipe.cast")
    found, number = opened(directory, path)
    assert number is None
    assert found["failed"]


def test_a_file_is_opened_to_be_read(directory: int) -> None:
    found, number = opened(directory, f"{DAY}/000000.000-u-1.cast")
    assert number is not None
    assert found == {}
    assert b"bob" in os.read(number, 1000)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(number, b"x")
    os.close(number)


@pytest.mark.parametrize(
    "data",
    [b"x", b"{}", b'{"list": {"limit": "x"}}', b'{"remove": "x"}', b'{"open": "x", "list": {}}'],
)
def test_what_is_no_request_ends_it(directory: int, data: bytes) -> None:
    with pytest.raises(ControlError):
        RecordingReader(directory).answer(data)


def test_the_process_has_the_directory_and_nothing_else(directory: int, tmp_path: Path) -> None:
    """It is forked here, and confined as in the server."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    alive, kept = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(kept)
            ours.close()
            call_itself("api-recordings")
            module.main(directory, None, [theirs], alive)
            os._exit(0)
        finally:
            os._exit(1)
    theirs.close()
    ours.settimeout(30)
    ours.sendall(json.dumps({"open": f"{DAY}/000000.000-u-1.cast"}).encode())
    data, numbers, _, _ = socket.recv_fds(ours, 1000, 1)
    assert (data, len(numbers)) == (b"{}", 1)
    os.close(numbers[0])
    status = Path(f"/proc/{pid}/status").read_text()
    assert "Seccomp:\t2" in status
    os.close(kept)
    assert os.waitpid(pid, 0)[1] == 0
    ours.close()
    os.close(alive)
