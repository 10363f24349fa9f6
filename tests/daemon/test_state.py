"""The state directory, and secret files in it."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nacre.daemon.state import alone, default_path, open_state, remove_unfinished, write_once
from nacre.errors import StateError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = open_state(tmp_path / "a" / "state")
    assert path.is_dir()
    assert mode(path) == 0o700
    assert open_state(path) == path


def test_default_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/x")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_path() == tmp_path / "nacre"
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")
    assert default_path() == Path("/home/x/.local/state/nacre")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_path() == Path("/var/lib/nacre")


def test_directory_that_others_can_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.mkdir()
    path.chmod(0o770)
    with pytest.raises(StateError, match="chmod go-w"):
        open_state(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_directory_of_another_account_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    os.chown(path, 65534, 65534)
    with pytest.raises(StateError, match="belongs to nobody"):
        open_state(path)


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="--state"):
        open_state(tmp_path / "file" / "state")


def test_only_the_first_writes(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    assert write_once(path, b"first")
    assert not write_once(path, b"second")
    assert path.read_bytes() == b"first"
    assert mode(path) == 0o600
    assert os.listdir(tmp_path) == ["secret"]


def test_a_secret_and_its_name_are_on_the_disk_when_it_counts_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret"
    synced: list[object] = []
    locked: list[int] = []

    def fsync(descriptor: int) -> None:
        found = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        synced.append(sorted(os.listdir(found)) if found.is_dir() else found.read_bytes())

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(fcntl, "flock", lambda descriptor, operation: locked.append(operation))
    before = len(os.listdir("/proc/self/fd"))
    assert write_once(path, b"content")
    content, names = synced
    assert content == b"content"
    assert isinstance(names, list)
    assert "secret" in names
    (tmp_path / ".secret.x.unfinished").touch()
    remove_unfinished(tmp_path)
    assert locked == [fcntl.LOCK_EX] * 2
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_a_killed_process_was_writing_is_removed(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from nacre.daemon.state import write_once\n"
        "def die(*about): os.kill(os.getpid(), signal.SIGKILL)\n"
        "setattr(os, sys.argv[1], die)\n"
        "write_once(Path(sys.argv[2]), b'secret')\n"
    )
    for call in ("fsync", "link", "unlink"):
        path = tmp_path / "key"
        subprocess.run([sys.executable, "-c", program, call, path], timeout=30, check=False)
        left = [name for name in os.listdir(tmp_path) if not name.startswith(".lock-")]
        assert len(left) == (2 if call == "unlink" else 1)
        remove_unfinished(tmp_path)
        assert os.listdir(tmp_path) == (["key"] if call == "unlink" else [])
    assert (tmp_path / "key").read_bytes() == b"secret"


def test_of_many_at_once_one_writes(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    won: list[int] = []
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        barrier.wait(30)
        if write_once(path, b"%d" % number):
            won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes()] == [b"%d" % number for number in won]
    assert os.listdir(tmp_path) == ["secret"]


def test_who_can_list_a_directory_can_not_lock_it(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        program = (
            "import sys; from pathlib import Path; from nacre.daemon.state import write_once;"
            "write_once(Path(sys.argv[1]), b'secret')"
        )
        made = [sys.executable, "-c", program, str(tmp_path / "key")]
        subprocess.run(made, timeout=30, check=True)
    finally:
        os.close(descriptor)
    assert os.listdir(tmp_path) == ["key"]


def test_the_lock_is_a_file_that_other_accounts_can_not_open(tmp_path: Path) -> None:
    lock = tmp_path / f".lock-{os.geteuid()}"
    with alone(tmp_path):
        assert mode(lock) == 0o600
    assert os.listdir(tmp_path) == []
    lock.symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic links"), alone(tmp_path):
        pass
    assert os.listdir(tmp_path) == [lock.name]
    if os.geteuid() == 0:
        lock.unlink()
        lock.touch()
        os.chown(lock, 1, -1)
        with pytest.raises(PermissionError, match="another account's"), alone(tmp_path):
            pass


def test_one_after_the_other_is_alone_in_a_directory(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def enter() -> None:
        for _ in range(50):
            with alone(tmp_path):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == [1] * 300
    assert os.listdir(tmp_path) == []
