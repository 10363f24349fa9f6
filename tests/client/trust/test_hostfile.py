"""Changes of files that other programs change at the same time."""

from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nacre.client.trust.hostfile import replace, update

_ADDER = """
import sys
from pathlib import Path
from nacre.client.trust.hostfile import update
name, path = sys.argv[1], Path(sys.argv[2])
for number in range(25):
    update(path, lambda text: text + f"{name}-{number}\\n".encode())
    if number % 5 == 4:  # changes a line, so that the file is replaced
        gone = f"{name}-{number}\\n".encode()
        update(path, lambda text: text.replace(gone, gone.upper()))
"""


@pytest.mark.slow
def test_no_line_of_eight_processes_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    adders = [
        subprocess.Popen([sys.executable, "-c", _ADDER, f"host{number}", path])
        for number in range(8)
    ]
    assert [adder.wait(50) for adder in adders] == [0] * 8
    lines = path.read_text().lower().splitlines()
    assert sorted(lines) == sorted(f"host{n}-{k}" for n in range(8) for k in range(25))
    assert [file.name for file in tmp_path.iterdir()] == ["known_hosts"]


def test_a_file_is_locked_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "known_hosts"
    path.write_bytes(b"one\n")
    locked: list[int] = []

    def lock(descriptor: int, operation: int) -> None:
        assert os.path.samestat(os.fstat(descriptor), path.stat())
        locked.append(operation)
        path.write_bytes(b"one\ntwo\n")  # by whoever held the lock

    monkeypatch.setattr(fcntl, "flock", lock)
    assert update(path, lambda text: text + b"three\n")
    assert locked == [fcntl.LOCK_EX]
    assert path.read_bytes() == b"one\ntwo\nthree\n"


def test_a_file_that_was_replaced_while_the_lock_was_awaited_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "known_hosts", []
    path.write_bytes(b"one\n")

    def lock(descriptor: int, operation: int) -> None:
        if path.read_bytes() == b"one\n":
            (tmp_path / "new").write_bytes(b"other\n")
            os.rename(tmp_path / "new", path)

    def edit(text: bytes) -> bytes:
        seen.append(text)
        return text + b"mine\n"

    monkeypatch.setattr(fcntl, "flock", lock)
    assert update(path, edit)
    assert seen == [b"other\n"]
    assert path.read_bytes() == b"other\nmine\n"


def test_content_is_on_the_disk_before_it_takes_the_place_of_the_former(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "known_hosts"
    path.write_bytes(b"one\n")
    synced: list[bytes] = []
    moves = os.replace

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").read_bytes())

    def moving(source: str, target: Path) -> None:
        assert Path(source).read_bytes() == synced[-1]
        assert path.read_bytes() == b"one\n"
        moves(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", moving)
    assert update(path, lambda text: b"two\n")
    assert synced == [b"two\n"]
    assert path.read_bytes() == b"two\n"


@pytest.mark.parametrize("refused", [False, True])
def test_the_owner_stays_where_that_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    """Root may change the file of another user."""
    path = tmp_path / "known_hosts"
    path.write_bytes(b"one\n")
    owners: list[tuple[int, int]] = []

    def chown(descriptor: int, user: int, group: int) -> None:
        owners.append((user, group))
        if refused:
            raise PermissionError

    monkeypatch.setattr(os, "fchown", chown)
    assert update(path, lambda text: b"two\n")
    status = path.stat()
    assert owners == [(status.st_uid, status.st_gid)]
    assert path.read_bytes() == b"two\n"


def test_a_line_that_does_not_fit_on_the_disk_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "known_hosts"
    path.write_bytes(b"one\n")
    writes = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, text: writes(descriptor, text[:2]))
    with pytest.raises(OSError, match="No space left"):
        update(path, lambda text: text + b"two\n")
    assert path.read_bytes() == b"one\n"


def test_a_file_that_is_removed_meanwhile_is_made_again(tmp_path: Path) -> None:
    path, seen = tmp_path / "known_hosts", []
    path.write_bytes(b"one\n")

    def edit(text: bytes) -> bytes:
        seen.append(text)
        if len(seen) == 1:
            path.unlink()
        return text + b"mine\n"

    assert update(path, edit)
    assert seen == [b"one\n", b"", b""]
    assert path.read_bytes() == b"mine\n"


def test_a_hundred_changes_of_others_are_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_bytes(b"one\n")
    tries = 0

    def edit(text: bytes) -> bytes:
        nonlocal tries
        tries += 1
        if tries < 100:
            path.unlink()
            path.write_bytes(text)
        return b"two\n"

    assert update(path, edit)
    assert (tries, path.read_bytes()) == (100, b"two\n")


def test_a_device_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="not a regular file"):
        update(Path("/dev/null"), lambda text: b"one\n", backup=Path("/nonexistent/old"))


def test_the_mode_of_a_file_that_is_written_anew(tmp_path: Path) -> None:
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_bytes(b"one\n")
    path.chmod(0o666)
    link.symlink_to("file")
    replace(link, b"two\n", 0o640)
    assert link.is_symlink()
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"two\n", 0o640)
    assert update(tmp_path / "new", lambda text: b"one\n", mode=0o644)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o644 & ~_umask()


def _umask() -> int:
    before = os.umask(0)
    os.umask(before)
    return before


def test_a_new_file_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "home" / "ssh" / "known_hosts"
    assert update(path, lambda text: text + b"one\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path.read_bytes() == b"one\n"


def test_nothing_to_change(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    assert not update(path, lambda text: None)
    assert not path.exists()
    path.write_bytes(b"one\n")
    before = path.stat()
    assert not update(path, lambda text: None, backup=tmp_path / "old")
    assert not update(path, lambda text: text)
    assert path.stat() == before
    assert [*tmp_path.iterdir()] == [path]
    assert update(path, lambda text: text, backup=tmp_path / "old")
    assert (tmp_path / "old").read_bytes() == path.read_bytes() == b"one\n"


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640])
@pytest.mark.parametrize("after", [b"# a\n\nhost key", b"# a\n\nhost key\nmore\n", b"host key"])
def test_mode_and_the_other_lines_stay(tmp_path: Path, mode: int, after: bytes) -> None:
    path, old = tmp_path / "known_hosts", tmp_path / "known_hosts.old"
    path.write_bytes(b"# a\n\nhost key\ngone")
    path.chmod(mode)
    assert update(path, lambda text: after, backup=old)
    assert path.read_bytes() == after
    assert old.read_bytes() == b"# a\n\nhost key\ngone"
    assert [stat.S_IMODE(file.stat().st_mode) for file in (path, old)] == [mode, mode]


def test_added_text_is_appended_to_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_bytes(b"one")
    inode = path.stat().st_ino
    assert update(path, lambda text: text + b"\ntwo\n")
    assert (path.read_bytes(), path.stat().st_ino) == (b"one\ntwo\n", inode)


@pytest.mark.parametrize("after", [b"one\ntwo\n", b"two\n"])
def test_a_link_stays_one(tmp_path: Path, after: bytes) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_bytes(b"one\n")
    link.symlink_to("file")
    assert update(link, lambda text: after)
    assert link.is_symlink()
    assert file.read_bytes() == after


@pytest.mark.parametrize("suffix", [True, False], ids=["appended", "replaced"])
def test_another_writer_replaces_the_file_meanwhile(tmp_path: Path, suffix: bool) -> None:
    path, seen = tmp_path / "known_hosts", []
    path.write_bytes(b"one\n")

    def edit(text: bytes) -> bytes:
        seen.append(text)
        if len(seen) == 1:
            (tmp_path / "new").write_bytes(b"other\n")
            os.rename(tmp_path / "new", path)
        return text + b"mine\n" if suffix else b"mine\n" + text

    assert update(path, edit)
    assert seen == [b"one\n", b"other\n"]
    assert path.read_bytes() == (b"other\nmine\n" if suffix else b"mine\nother\n")


def test_another_writer_appends_meanwhile(tmp_path: Path) -> None:
    path, seen = tmp_path / "known_hosts", []
    path.write_bytes(b"one\ngone\n")

    def edit(text: bytes) -> bytes:
        seen.append(text)
        if len(seen) == 1:
            with path.open("ab") as file:
                file.write(b"other\n")
        return text.replace(b"gone\n", b"")

    assert update(path, edit)
    assert path.read_bytes() == b"one\nother\n"
    assert [*tmp_path.iterdir()] == [path]


def test_a_file_that_changes_all_the_time(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_bytes(b"one\n")
    tries = 0

    def edit(text: bytes) -> bytes:
        nonlocal tries
        tries += 1
        path.unlink()
        path.write_bytes(text)
        return b""

    with pytest.raises(OSError, match="change it all the time") as caught:
        update(path, edit)
    assert tries == 100
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"one\n"


def test_what_is_no_file() -> None:
    assert update(Path("/dev/null"), lambda text: b"one\n")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: update(path, lambda text: b"two\n"),
        lambda path: replace(path, b"two\n", 0o600),
    ],
    ids=["update", "replace"],
)
def test_a_failed_write_leaves_the_former_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> None:
    path = tmp_path / "known_hosts"
    path.write_bytes(b"one\n")

    def fails(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="No space left"):
        change(path)
    assert path.read_bytes() == b"one\n"
    assert [*tmp_path.iterdir()] == [path]
