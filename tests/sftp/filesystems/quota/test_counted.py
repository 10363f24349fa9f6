"""What is stored is counted, byte by byte, and what is too much is refused."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacre.sftp.filesystems.encrypted import EncryptedFilesystem
from nacre.sftp.filesystems.local import LocalFilesystem
from nacre.sftp.filesystems.quota.counted import QuotaFilesystem
from nacre.sftp.filesystems.rights import RightsFilesystem
from nacre.sftp.filesystems.rules import parse_rules
from nacre.sftp.filesystems.uploads import UploadsFilesystem
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.status import ToldError
from nacre.sftp.server.opened import carried_out
from sftp.filesystems.quota.ledgers import (
    NEW,
    NONE,
    counted_anew,
    figures,
    put,
    quota,
    refused,
    used,
)

CHANGE = OpenFlag.READ | OpenFlag.WRITE
APPEND = OpenFlag.WRITE | OpenFlag.APPEND


@pytest.fixture
def files(tmp_path: Path) -> Iterator[QuotaFilesystem]:
    """A filesystem with a quota of 100 bytes and five files."""
    (tmp_path / "root").mkdir()
    made = QuotaFilesystem(LocalFilesystem(tmp_path / "root"), quota(tmp_path, bytes=100, files=5))
    yield made
    assert figures(tmp_path) == counted_anew(made)
    made.close()


def test_what_fits_exactly_is_stored(files: QuotaFilesystem, tmp_path: Path) -> None:
    put(files, "a", 60)
    put(files, "b", 40)
    assert figures(tmp_path) == (100, 2)
    with refused(errno.EDQUOT, r"your quota is 100 bytes: 0 bytes of it are left, and .* 1 bytes"):
        put(files, "c", 1)
    put(files, "a", 60)
    assert figures(tmp_path) == (100, 3)


def test_what_is_given_back(files: QuotaFilesystem, tmp_path: Path) -> None:
    put(files, "a", 60)
    put(files, "a", 20)
    assert figures(tmp_path) == (20, 1)
    put(files, "b", 30)
    files.rename("b", "a", replace=True)
    assert figures(tmp_path) == (30, 1)
    files.rename("a", "a", replace=True)
    files.rename("a", "c", replace=True)
    assert figures(tmp_path) == (30, 1)
    files.set_attributes("c", Attributes(size=10))
    assert figures(tmp_path) == (10, 1)
    with refused(errno.EDQUOT, "quota"):
        files.set_attributes("c", Attributes(size=101))
    files.remove("c")
    assert figures(tmp_path) == (0, 0)


def test_files_and_directories_count(files: QuotaFilesystem, tmp_path: Path) -> None:
    files.mkdir("d", NONE)
    files.symlink("a", "d/link")
    for name in ("a", "d/b", "d/c"):
        put(files, name, 0)
    for act in (lambda: put(files, "e", 0), lambda: files.mkdir("f", NONE)):
        with refused(errno.EDQUOT, "your quota is 5 files"):
            act()
    with refused(errno.EDQUOT, "5 files"):
        files.symlink("a", "g")
    put(files, "a", 1)  # it is there already
    with pytest.raises(FileNotFoundError):
        files.remove("none")
    with pytest.raises(FileExistsError):
        files.rename("d/b", "a", replace=False)
    with pytest.raises(OSError, match="not empty"):
        files.rmdir("d")
    for name in ("d/b", "d/c", "d/link"):
        files.remove(name)
    files.rmdir("d")
    with pytest.raises(FileExistsError):
        files.mkdir("a", NONE)
    assert figures(tmp_path) == (1, 1)
    assert files.statvfs("/").files == 5
    assert files.statvfs("/").ffree == 4


def test_files_that_are_changed_in_place(files: QuotaFilesystem, tmp_path: Path) -> None:
    put(files, "a", 50)
    file = files.open("a", CHANGE, NONE)
    file.pwrite(bytes(50), 0)
    assert figures(tmp_path) == (50, 1)
    file.pwrite(bytes(50), 50)
    with refused(errno.EDQUOT, "quota"):
        file.pwrite(bytes(2), 99)
    assert bytes(file.pread(200, 0)) == bytes(100)  # type: ignore[arg-type]
    file.set_attributes(Attributes(size=7))
    assert figures(tmp_path) == (7, 1)
    with refused(errno.EDQUOT, "quota"):
        file.set_attributes(Attributes(size=101))
    file.set_attributes(Attributes(permissions=0o600))
    file.close()
    file = files.open("a", APPEND, NONE)
    file.pwrite(bytes(90), 0)
    with refused(errno.EDQUOT, "quota"):
        file.pwrite(bytes(4), 0)
    file.close()
    assert figures(tmp_path) == (97, 1)


def test_a_hole_counts_as_it_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    files = QuotaFilesystem(LocalFilesystem(tmp_path / "root"), quota(tmp_path, bytes=100))
    file = files.open("a", NEW, NONE)
    with refused(errno.EDQUOT, "this needs 1025 bytes"):
        file.pwrite(b"x", 1024)
    file.pwrite(b"x", 99)
    assert figures(tmp_path) == (100, 1)
    file.close()


def test_bytes_that_are_copied_by_the_system(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root/a").write_bytes(bytes(40))
    files = QuotaFilesystem(LocalFilesystem(tmp_path / "root"), quota(tmp_path, bytes=100))
    source, target = files.open("a", OpenFlag.READ, NONE), files.open("b", NEW, NONE)
    assert target.copy_from(source, 0, 1 << 40, 0) == 40
    assert target.copy_from(source, 0, 1 << 40, 40) == 20
    assert figures(tmp_path) == (100, 2)
    assert target.copy_from(source, 0, 1 << 40, 50) == 10
    with refused(errno.EDQUOT, "quota"):
        target.copy_from(source, 0, 1, 60)
    assert figures(tmp_path) == counted_anew(files)


def test_encrypted_files_count_as_they_are_stored(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    inner = QuotaFilesystem(LocalFilesystem(tmp_path / "root"), quota(tmp_path, bytes=100))
    files = EncryptedFilesystem(inner, bytes(32))
    put(files, "a", 10)
    stored = (tmp_path / "root/a").stat().st_size
    assert figures(tmp_path) == counted_anew(inner) == (stored, 1)
    assert stored > 10
    with refused(errno.EDQUOT, "quota"):
        put(files, "b", 90 - (stored - 10))
    assert figures(tmp_path) == counted_anew(inner)


def test_what_was_there_before_counts(tmp_path: Path) -> None:
    (tmp_path / "root/d").mkdir(parents=True)
    (tmp_path / "root/d/a").write_bytes(bytes(99))
    files = QuotaFilesystem(LocalFilesystem(tmp_path / "root"), quota(tmp_path, bytes=100))
    assert used(tmp_path).doubted
    with refused(errno.EDQUOT, "1 bytes of it are left"):
        put(files, "b", 2)
    assert figures(tmp_path) == (99, 3)
    found = files.statvfs("/")
    assert (found.blocks, found.bavail) == (0, 0)


def test_the_quota_is_the_size_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    files = QuotaFilesystem(LocalFilesystem(tmp_path / "root"), quota(tmp_path, bytes=1 << 20))
    put(files, "a", 1 << 18)
    found = files.statvfs("/")
    assert found.blocks * found.frsize == 1 << 20
    assert found.bavail * found.frsize == found.bfree * found.frsize == 3 << 18
    assert files.open("a", CHANGE, NONE).statvfs() == found


def test_a_disk_that_is_full_says_so_and_what_was_written_counts(tmp_path: Path) -> None:
    class Full(LocalFilesystem):
        def open(self, path: str, flags: OpenFlag, attributes: Attributes) -> Any:
            file = super().open(path, flags, attributes)
            write = file.pwritev

            def pwritev(buffers: Any, offset: int) -> None:
                write([bytes(buffers[0])[:3]], offset)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            file.pwritev = pwritev  # type: ignore[method-assign]
            return file

    (tmp_path / "root").mkdir()
    files = QuotaFilesystem(Full(tmp_path / "root"), quota(tmp_path, bytes=100))
    with pytest.raises(OSError, match="No space left"):
        put(files, "a", 10)
    assert figures(tmp_path) == (3, 1)


def test_a_file_of_which_nothing_is_known_after_a_write_is_counted_anew(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    files = QuotaFilesystem(LocalFilesystem(tmp_path / "root"), quota(tmp_path, bytes=100))
    file: Any = files.open("a", NEW, NONE)
    inner, looks = file.inner, iter([(0, 1)])

    class Silent:
        pwrite = inner.pwrite

        def extent(self) -> tuple[int, int]:
            for found in looks:
                return found
            raise OSError(errno.EIO, "no answer")

    file.inner = Silent()
    file.pwrite(bytes(10), 0)
    assert used(tmp_path).doubted
    put(files, "b", 5)
    assert figures(tmp_path) == (15, 2)


def test_what_fails_for_another_reason_is_counted_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "root").mkdir()
    inner = LocalFilesystem(tmp_path / "root")
    files = QuotaFilesystem(inner, quota(tmp_path, bytes=100))
    put(files, "a", 1)

    def fails(path: str) -> None:
        raise ValueError(path)

    monkeypatch.setattr(inner, "remove", fails)
    with pytest.raises(ValueError, match="a"):
        files.remove("a")
    assert used(tmp_path).doubted


def test_a_directory_that_can_not_be_counted(tmp_path: Path) -> None:
    class Closed(LocalFilesystem):
        def scandir(self, path: str) -> Any:
            if path == "/closed":
                raise PermissionError(errno.EACCES, "Permission denied")
            return super().scandir(path)

    (tmp_path / "root/closed").mkdir(parents=True)
    files = QuotaFilesystem(Closed(tmp_path / "root"), quota(tmp_path, bytes=100))
    with refused(errno.EACCES, "/closed: Permission denied"):
        put(files, "a", 1)
    assert list((tmp_path / "root").iterdir()) == [tmp_path / "root/closed"]


def test_a_file_has_one_name(tmp_path: Path) -> None:
    (tmp_path / "root/in").mkdir(parents=True)
    files = QuotaFilesystem(LocalFilesystem(tmp_path / "root"), quota(tmp_path, bytes=9))
    put(files, "a", 5)
    with refused(errno.EOPNOTSUPP, "one name"):
        files.link("a", "b")
    files.close()
    # Where a file is moved to other rights, it has two for a moment.
    inner = QuotaFilesystem(
        LocalFilesystem(tmp_path / "root"), quota(tmp_path, bytes=9), links=True
    )
    judged = RightsFilesystem(inner, parse_rules(["/:*", "/in:*"]), links=False)
    with refused(errno.EOPNOTSUPP, "one name"):
        carried_out(judged.link("a", "b"))
    carried_out(judged.rename("a", "in/a", replace=False))
    assert figures(tmp_path) == counted_anew(inner) == (5, 2)
    put(inner, "a", 3)
    carried_out(judged.rename("a", "in/a", replace=True))
    assert figures(tmp_path) == counted_anew(inner) == (3, 2)


def test_a_file_that_was_removed_does_not_grow(files: QuotaFilesystem, tmp_path: Path) -> None:
    put(files, "a", 50)
    file = files.open("a", CHANGE, NONE)
    files.remove("a")
    assert figures(tmp_path) == (0, 0)
    for act in (lambda: file.pwrite(b"x", 0), lambda: file.set_attributes(Attributes(size=0))):
        with refused(errno.ESTALE, "removed, or replaced, while it was open"):
            act()
    assert len(file.pread(99, 0)) == 50  # type: ignore[arg-type]
    file.close()


def test_a_file_with_two_names_keeps_its_size(files: QuotaFilesystem, tmp_path: Path) -> None:
    """It counts twice, so that what one name gives back is not still there under the other one."""
    root = tmp_path / "root"
    (root / "a").write_bytes(bytes(10))
    (root / "b").hardlink_to(root / "a")
    put(files, "c", 1)
    assert figures(tmp_path) == (21, 3)
    file = files.open("a", CHANGE, NONE)
    acts = [
        lambda: file.pwrite(b"x", 20),
        lambda: file.set_attributes(Attributes(size=20)),
        lambda: files.set_attributes("a", Attributes(size=20)),
    ]
    for act in acts:
        with refused(errno.EMLINK, "two names"):
            act()
    file.close()
    put_new = files.open("a", NEW, NONE)
    put_new.close()
    assert used(tmp_path).doubted
    put(files, "c", 2)
    assert figures(tmp_path) == (2, 3)
    files.remove("a")
    put(files, "b", 3)


@pytest.mark.parametrize("keep", [True, False])
def test_atomic_uploads(tmp_path: Path, keep: bool) -> None:
    (tmp_path / "root").mkdir()
    inner = QuotaFilesystem(LocalFilesystem(tmp_path / "root"), quota(tmp_path, bytes=100))
    files = UploadsFilesystem(inner, atomic=True, keep=keep)
    put(files, "a", 50)
    put(files, "a", 40)  # the old one is there until the new one is complete
    with pytest.raises(ToldError, match="not complete"):
        put(files, "a", 61)
    kept = {"a"} | ({"a.part"} if keep else set())
    assert {path.name for path in (tmp_path / "root").iterdir()} == kept
    assert figures(tmp_path) == counted_anew(inner) == (40, len(kept))


def test_without_limits_of_reading_a_file_is_as_it_was_opened(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    inner = LocalFilesystem(tmp_path / "root")
    files = QuotaFilesystem(inner, quota(tmp_path, bytes=9))
    put(files, "a", 1)
    assert type(files.open("a", OpenFlag.READ, NONE)) is type(inner.open("a", OpenFlag.READ, NONE))
    assert not files.prompt


def test_with_limits_of_reading_alone_nothing_is_held_for_writing(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    files = QuotaFilesystem(LocalFilesystem(tmp_path / "root"), quota(tmp_path, transfer_down=9))
    with quota(tmp_path, bytes=1).shares[0].ledger.held():
        put(files, "a", 20)
        files.rename("a", "b", replace=True)
        files.mkdir("d", NONE)
        files.set_attributes("b", Attributes(size=3))
        source, target = files.open("b", CHANGE, NONE), files.open("c", NEW | CHANGE, NONE)
        assert target.copy_from(source, 0, 9, 0) == 3
        files.link("b", "e")
        files.remove("b")
        files.rmdir("d")
        assert files.statvfs("/") is not None


def test_sessions_at_once_count_every_byte_once(tmp_path: Path) -> None:
    """Threads of many sessions write, truncate and replace the same files."""
    (tmp_path / "root").mkdir()

    def work(number: int) -> None:
        files = QuotaFilesystem(LocalFilesystem(tmp_path / "root"), quota(tmp_path, bytes=1000))
        for turn in range(30):
            name = f"f{(number + turn) % 3}"
            try:
                put(files, name, 10 * number + turn)
                files.set_attributes(name, Attributes(size=turn))
                files.rename(name, f"f{turn % 4}", replace=True)
                files.remove(f"f{(turn + 1) % 4}")
            except OSError:
                continue
        files.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    files = QuotaFilesystem(LocalFilesystem(tmp_path / "root"), quota(tmp_path, bytes=1000))
    assert figures(tmp_path) == counted_anew(files)


_NAMES = st.sampled_from(["a", "b", "d/a", "d/b", "d"])
_ACTS = st.one_of(
    st.tuples(st.just("put"), _NAMES, st.integers(0, 60)),
    st.tuples(st.just("change"), _NAMES, st.integers(0, 60)),
    st.tuples(st.just("size"), _NAMES, st.integers(0, 60)),
    st.tuples(st.just("remove"), _NAMES),
    st.tuples(st.just("mkdir"), _NAMES),
    st.tuples(st.just("rmdir"), _NAMES),
    st.tuples(st.just("link"), _NAMES, _NAMES),
    st.tuples(st.just("rename"), _NAMES, _NAMES, st.booleans()),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(_ACTS, max_size=25))
def test_the_figures_are_those_of_the_files(
    tmp_path_factory: pytest.TempPathFactory, acts: list[Any]
) -> None:
    place = tmp_path_factory.mktemp("quota")
    (place / "root").mkdir()
    files = QuotaFilesystem(LocalFilesystem(place / "root"), quota(place, bytes=100, files=4))
    put(files, "a", 0)
    for act, name, *more in acts:
        try:
            if act == "put":
                put(files, name, more[0])
            elif act == "change":
                file: Any = files.open(name, CHANGE | OpenFlag.CREAT, NONE)
                try:
                    file.pwritev([bytes(10), bytes(5)], more[0])
                finally:
                    file.close()
            elif act == "size":
                files.set_attributes(name, Attributes(size=more[0]))
            elif act == "link":
                files.symlink(name, more[0])
            elif act == "rename":
                files.rename(name, more[0], replace=more[1])
            elif act == "mkdir":
                files.mkdir(name, NONE)
            else:
                getattr(files, act)(name)
        except OSError:
            pass
        size, count = figures(place)
        assert (size, count) == counted_anew(files)
        assert size <= 100
        assert count <= 4
    files.close()
