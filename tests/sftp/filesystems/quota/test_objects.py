"""What is stored as objects is counted, and what is too much is not stored."""

from __future__ import annotations

import errno
import os
import signal
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacre.limits import MIB
from nacre.sftp.filesystems.encrypted import EncryptedFilesystem
from nacre.sftp.filesystems.fsspec import FsspecFilesystem
from nacre.sftp.filesystems.local import LocalFilesystem
from nacre.sftp.filesystems.quota.counted import QuotaFilesystem
from nacre.sftp.filesystems.quota.limits import QuotaLimits
from nacre.sftp.filesystems.quota.objects import StorageQuotaFilesystem, counting
from nacre.sftp.filesystems.quota.quota import Quota, Share
from nacre.sftp.filesystems.quota.shared import SharedLedger, open_shared, read_shared
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag
from sftp.filesystems.quota.ledgers import (
    NEW,
    NONE,
    OPENED,
    counted_anew,
    figures,
    put,
    quota,
    refused,
    used,
)

pytest.importorskip("fsspec")

from fsspec.implementations.memory import MemoryFileSystem

from sftp.filesystems.objects import Objects, object_store

CHANGE = OpenFlag.READ | OpenFlag.WRITE


class WholeObjects(Objects):
    """A store of which uploads are known to be whole."""

    protocol = "s3"


def memory() -> FsspecFilesystem:
    """Return a storage whose files are there, in part, while they are written."""
    MemoryFileSystem.clear_instance_cache()
    store = MemoryFileSystem(skip_instance_cache=True)
    root = f"/{uuid.uuid4()}"
    store.mkdir(root)
    return FsspecFilesystem(store, root)


def objects() -> FsspecFilesystem:
    return FsspecFilesystem(WholeObjects(), "bucket")


def s3() -> FsspecFilesystem:
    pytest.importorskip("s3fs")
    pytest.importorskip("moto.server")
    store, bucket = object_store(), str(uuid.uuid4())
    store.mkdir(bucket)
    return FsspecFilesystem(store, f"{bucket}/prefix")


STORAGES = {"memory": memory, "objects": objects, "s3": s3}


@pytest.fixture(params=STORAGES)
def storage(request: pytest.FixtureRequest) -> FsspecFilesystem:
    return STORAGES[request.param]()


@pytest.fixture
def files(storage: FsspecFilesystem, tmp_path: Path) -> Iterator[StorageQuotaFilesystem]:
    """A storage with a quota of 100 bytes and five files."""
    made = StorageQuotaFilesystem(storage, quota(tmp_path, bytes=100, files=5))
    yield made
    made.quota.recount()
    assert figures(tmp_path) == counted_anew(made)
    made.close()


def test_what_the_root_is_decides(tmp_path: Path) -> None:
    of = quota(tmp_path, bytes=1)
    assert type(counting(objects(), of, "", links=False)) is StorageQuotaFilesystem
    local = counting(LocalFilesystem(tmp_path), of, "", links=False)  # file:///srv/files
    assert type(local) is QuotaFilesystem
    local.close()


def test_what_fits_exactly_is_stored(files: StorageQuotaFilesystem, tmp_path: Path) -> None:
    put(files, "a", 60)
    put(files, "b", 40)
    assert figures(tmp_path) == (100, 2)
    with refused(errno.EDQUOT, r"your quota is 100 bytes: 0 bytes of it are left, and .* 1 bytes"):
        put(files, "c", 1)
    put(files, "a", 60)
    files.remove("b")
    assert figures(tmp_path)[0] == 60


def test_what_is_given_back(files: StorageQuotaFilesystem, tmp_path: Path) -> None:
    put(files, "a", 60)
    put(files, "a", 20)
    assert figures(tmp_path) == (20, 1)
    put(files, "b", 30)
    files.rename("b", "a", replace=True)
    assert figures(tmp_path) == (30, 1)
    files.rename("a", "a", replace=True)
    files.rename("a", "c", replace=False)
    assert figures(tmp_path) == (30, 1)
    files.set_attributes("c", Attributes(size=10))
    files.quota.recount()  # not needed where uploads are whole
    assert figures(tmp_path) == (10, 1)
    with refused(errno.EDQUOT, "quota"):
        files.set_attributes("c", Attributes(size=101))
    files.set_attributes("c", Attributes(permissions=0o600))
    files.remove("c")
    assert figures(tmp_path) == (0, 0)


def test_files_and_directories_count(files: StorageQuotaFilesystem, tmp_path: Path) -> None:
    files.mkdir("d", NONE)
    for name in ("a", "d/b", "d/c"):
        put(files, name, 0)
    files.mkdir("d/e", NONE)
    for act in (lambda: put(files, "f", 0), lambda: files.mkdir("f", NONE)):
        with refused(errno.EDQUOT, "your quota is 5 files"):
            act()
    put(files, "a", 1)  # it is there already
    with pytest.raises(FileNotFoundError):
        files.remove("none")
    with pytest.raises(OSError, match="not empty"):
        files.rmdir("d")
    with pytest.raises(FileExistsError):
        files.rename("d/b", "a", replace=False)
    assert figures(tmp_path) == (1, 5)
    assert (files.statvfs("/").files, files.statvfs("/").ffree) == (5, 0)
    files.rename("d", "g", replace=False)
    for name in ("g/b", "g/c"):
        files.remove(name)
    files.rmdir("g/e")
    files.rmdir("g")
    with pytest.raises(FileExistsError):
        files.mkdir("a", NONE)
    assert figures(tmp_path) == (1, 1)


def test_a_directory_is_there_before_its_files(
    files: StorageQuotaFilesystem, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        put(files, "none/a", 1)
    files.mkdir("d", NONE)
    put(files, "d/a", 1)
    assert figures(tmp_path) == (1, 2)


def test_files_that_are_changed(files: StorageQuotaFilesystem, tmp_path: Path) -> None:
    put(files, "a", 50)
    file: Any = files.open("a", CHANGE, NONE)
    file.pwrite(bytes(50), 50)
    with refused(errno.EDQUOT, "quota"):
        file.pwrite(bytes(2), 99)
    assert file.pread(200, 0) == bytes(100)
    file.set_attributes(Attributes(size=7))
    with refused(errno.EDQUOT, "quota"):
        file.set_attributes(Attributes(size=101))
    file.close()
    assert figures(tmp_path) == (7, 1)
    file = files.open("a", OpenFlag.WRITE | OpenFlag.APPEND, NONE)
    file.pwrite(bytes(90), 0)
    with refused(errno.EDQUOT, "quota"):
        file.pwrite(bytes(4), 0)
    file.close()
    assert figures(tmp_path) == (97, 1)


def test_an_upload_that_breaks_off(files: StorageQuotaFilesystem, tmp_path: Path) -> None:
    put(files, "a", 10)
    for name in ("a", "b"):
        file: Any = files.open(name, NEW, NONE)
        file.pwrite(bytes(40), 0)
        file.abort()
    files.quota.recount()
    assert figures(tmp_path) == counted_anew(files)


def test_a_storage_that_fails_is_counted_anew(
    files: StorageQuotaFilesystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: Any, **options: Any) -> None:
        raise OSError(errno.EIO, "the storage failed")

    put(files, "a", 10)
    monkeypatch.setattr(files.inner, "remove", broken)
    with pytest.raises(OSError, match="failed"):
        files.remove("a")
    assert used(tmp_path).doubted
    put(files, "b", 5)
    assert figures(tmp_path) == (15, 2)


def test_two_sessions_that_upload_at_once_get_no_more_than_there_is(
    storage: FsspecFilesystem, tmp_path: Path
) -> None:
    one, two = (StorageQuotaFilesystem(storage, quota(tmp_path, bytes=100)) for _ in range(2))
    first: Any = one.open("a", NEW, NONE)
    second: Any = two.open("b", NEW, NONE)
    first.pwrite(bytes(60), 0)
    if storage.whole_uploads:
        second.pwrite(bytes(60), 0)
        first.close()
        with refused(errno.EDQUOT, "your quota is 100 bytes: 40 bytes of it are left"):
            second.close()
    else:  # the first one is there already, in part
        with refused(errno.EDQUOT, "your quota is 100 bytes: 40 bytes of it are left"):
            second.pwrite(bytes(60), 0)
        second.abort()
        first.close()
    assert figures(tmp_path)[0] == 60
    assert [entry.name for entry in storage.scandir("/") if entry.name[0] != "."] in (
        ["a"],
        ["a", "b"],
    )
    two.quota.recount()
    assert figures(tmp_path) == counted_anew(two)


def test_a_count_during_an_upload(storage: FsspecFilesystem, tmp_path: Path) -> None:
    files = StorageQuotaFilesystem(storage, quota(tmp_path, bytes=100))
    file: Any = files.open("a", NEW, NONE)
    file.pwrite(bytes(60), 0)
    files.quota.doubt()
    files.quota.recount()
    file.close()
    files.quota.recount()
    assert figures(tmp_path) == (60, 1)


def test_a_directory_that_is_removed_during_an_upload(
    files: StorageQuotaFilesystem, tmp_path: Path
) -> None:
    files.mkdir("d", NONE)
    file: Any = files.open("d/a", NEW, NONE)
    file.pwrite(bytes(6), 0)
    try:
        files.rmdir("d")
    except OSError:
        file.close()  # the file is there already
    else:
        file.close()
        files.quota.recount()
    assert figures(tmp_path) == (6, 2)


def test_a_process_that_is_killed_while_it_uploads_has_stored_nothing(tmp_path: Path) -> None:
    """And one that is killed while an upload gets its name has the files counted."""
    storage = objects()
    StorageQuotaFilesystem(storage, quota(tmp_path, bytes=100)).quota.recount()
    for stage in ("write", "close"):
        child = os.fork()
        if not child:
            files = StorageQuotaFilesystem(storage, quota(tmp_path, bytes=100))
            file: Any = files.open("a", NEW, NONE)
            file.pwrite(bytes(60), 0)
            if stage == "close":
                file.inner.close = lambda: os.kill(os.getpid(), signal.SIGKILL)
                file.close()
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        assert used(tmp_path).doubted is (stage == "close")
    files = StorageQuotaFilesystem(storage, quota(tmp_path, bytes=100))
    put(files, "b", 100)
    assert figures(tmp_path) == (100, 1)


def test_the_members_of_a_group_share_a_quota_of_objects(tmp_path: Path) -> None:
    store, groups, limits = WholeObjects(), tmp_path / "groups", QuotaLimits(group="a", bytes=100)
    groups.mkdir()

    def member(name: str) -> StorageQuotaFilesystem:
        ledger = SharedLedger(open_shared(groups, "a", [f"s3://bucket/{name}"]))
        OPENED.append(ledger)
        files = FsspecFilesystem(store, f"bucket/{name}")
        return StorageQuotaFilesystem(files, Quota(Share(limits, ledger)), f"s3://bucket/{name}")

    def shared() -> tuple[int, bool]:
        found = read_shared(groups, "a", ["s3://bucket/alice", "s3://bucket/bob"])
        assert found is not None
        return found[0].bytes, found[1]

    alice, bob = member("alice"), member("bob")
    put(alice, "a", 60)
    with refused(errno.EDQUOT, "the quota of the group a is 100 bytes: 40 bytes of it are left"):
        put(bob, "b", 41)
    put(bob, "b", 30)
    assert shared() == (90, True)
    if not (child := os.fork()):
        file: Any = member("alice").open("c", NEW, NONE)
        file.pwrite(bytes(10), 0)
        file.inner.close = lambda: os.kill(os.getpid(), signal.SIGKILL)
        file.close()
    os.waitpid(child, 0)
    assert shared() == (100, False), "it may have been stored"
    with refused(errno.EDQUOT, "0 bytes of it are left"):
        put(bob, "d", 1)
    alice.remove("a")
    assert shared() == (30, True)


def test_transfers_count_and_nothing_else(storage: FsspecFilesystem, tmp_path: Path) -> None:
    files = StorageQuotaFilesystem(storage, quota(tmp_path, transfer_up=100, transfer_down=50))
    put(files, "a", 60)
    file: Any = files.open("a", OpenFlag.READ, NONE)
    assert len(file.pread(40, 0)) == 40
    with refused(errno.EDQUOT, "you may download 50 bytes a month, of which 10 bytes are left"):
        file.pread(60, 0)
    file.close()
    with refused(errno.EDQUOT, "you may upload 100 bytes a month"):
        put(files, "b", 41)
    files.rename("a", "c", replace=False)
    files.set_attributes("c", Attributes(size=5))
    files.mkdir("d", NONE)
    files.remove("c")
    with pytest.raises(OSError, match="not supported"):
        files.statvfs("/")
    assert (used(tmp_path).up, used(tmp_path).down) == (60, 40)
    assert used(tmp_path).bytes == 0


def test_encrypted_objects_count_as_they_are_stored(tmp_path: Path) -> None:
    counted = StorageQuotaFilesystem(objects(), quota(tmp_path, bytes=MIB))
    files = EncryptedFilesystem(counted, bytes(32), streams=True)
    put(files, "a", 1000)
    assert figures(tmp_path) == counted_anew(counted)
    assert figures(tmp_path)[0] > 1000


def test_sessions_at_once_count_every_byte_once(tmp_path: Path) -> None:
    """Threads of many sessions store, truncate, replace and remove the same objects."""
    store = WholeObjects()

    def work(number: int) -> None:
        files = StorageQuotaFilesystem(
            FsspecFilesystem(store, "bucket"), quota(tmp_path, bytes=300)
        )
        for turn in range(15):
            name = f"f{(number + turn) % 3}"
            for act in (
                lambda name=name, turn=turn: put(files, name, 20 * number + turn),
                lambda name=name, turn=turn: files.set_attributes(name, Attributes(size=turn)),
                lambda name=name: files.rename(name, "other", replace=True),
                lambda: files.remove("other"),
            ):
                try:
                    act()
                except OSError:
                    continue

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    files = StorageQuotaFilesystem(FsspecFilesystem(store, "bucket"), quota(tmp_path, bytes=300))
    assert figures(tmp_path) == counted_anew(files)


ACTS = st.sampled_from(["put", "abort", "append", "truncate", "remove", "rename", "mkdir", "rmdir"])
NAMES = st.sampled_from(["a", "b", "d", "d/a", "d/e"])


@pytest.mark.parametrize("kind", ["memory", "objects"])
@settings(deadline=None, max_examples=30)
@given(steps=st.lists(st.tuples(ACTS, NAMES, NAMES, st.integers(0, 60)), max_size=12))
def test_the_figures_are_those_of_the_objects(
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    steps: list[tuple[str, str, str, int]],
) -> None:
    directory = tmp_path_factory.mktemp("objects")
    files: Any = StorageQuotaFilesystem(STORAGES[kind](), quota(directory, bytes=100, files=4))
    for act, name, other, size in steps:
        try:
            if act in ("put", "abort"):
                file = files.open(name, NEW, NONE)
                try:
                    file.pwrite(bytes(size), 0)
                finally:
                    (file.close if act == "put" else file.abort)()
            elif act == "append":
                file = files.open(name, OpenFlag.WRITE | OpenFlag.APPEND, NONE)
                try:
                    file.pwrite(bytes(size), 0)
                finally:
                    file.close()
            elif act == "truncate":
                files.set_attributes(name, Attributes(size=size))
            elif act == "rename":
                files.rename(name, other, replace=bool(size % 2))
            elif act == "mkdir":
                files.mkdir(name, NONE)
            else:
                getattr(files, act)(name)
        except OSError:
            pass
        found = used(directory)
        if not found.doubted:
            assert (found.bytes, found.files) == counted_anew(files), (act, name)
    files.quota.recount()
    assert figures(directory) == counted_anew(files)
    files.close()
