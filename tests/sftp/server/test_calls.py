"""What calls do with a filesystem, and how they are answered."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from nacre.sftp.filesystems.base import File, Filesystem
from nacre.sftp.filesystems.local import LocalFile, LocalFilesystem
from nacre.sftp.filesystems.memory import MemoryFilesystem
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.status import numbered
from nacre.sftp.server.calls import BASIC, outcome_now, outcome_of, outcomes_of
from nacre.sftp.server.later import LATER
from nacre.sftp.server.opened import OpenedFile, carried_out
from nacre.wire.codec import Buffer
from sftp.server.requests import call

NEW = OpenFlag.READ | OpenFlag.WRITE | OpenFlag.CREAT
REQUESTS: list[type[Any]] = [*msg.REQUESTS.values(), *ext.EXTENSIONS.values()]


def done(filesystem: Filesystem, request: msg.SFTPRequest[Any], *files: object) -> Any:
    value, error = outcome_now(filesystem, call(request, *files), BASIC)
    if error is not None:
        raise error
    return value


def test_every_request_has_an_operation() -> None:
    # The protocol answers LimitsRequest itself.
    wanted = set(REQUESTS) - {ext.LimitsRequest}
    assert {*BASIC.plain, *BASIC.others, *BASIC.opening} == wanted
    later = set(ext.LATER_EXTENSIONS.values()) - {ext.VersionSelect}
    assert {*LATER.plain, *LATER.others, *LATER.opening} == wanted | later
    assert not LATER.plain.keys() & LATER.others.keys()


@pytest.mark.parametrize("fails", [False, True])
def test_fsync_brings_the_file_to_the_disk_or_the_upload_is_not_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    synced: list[str] = []

    def fsync(number: int) -> None:
        if fails:
            raise OSError(errno.EIO, "no disk")
        synced.append(os.readlink(f"/proc/self/fd/{number}"))

    monkeypatch.setattr(os, "fsync", fsync)
    files = LocalFilesystem(tmp_path)
    opened = OpenedFile(files, "f", files.open("f", NEW, Attributes()), writable=True)
    try:
        if fails:
            with pytest.raises(OSError, match="no disk"):
                done(files, ext.FSync(b""), opened)
        else:
            done(files, ext.FSync(b""), opened)
        assert synced == ([] if fails else [str(tmp_path / "f")])
        assert opened.failed is fails
    finally:
        opened.file.close()
        files.close()


CHANGES = [
    msg.Open("f", OpenFlag.WRITE),
    msg.Open("f", OpenFlag.READ | OpenFlag.TRUNC),
    msg.Open("f", OpenFlag.READ | OpenFlag.CREAT),
    msg.Open("f", OpenFlag.APPEND),
    msg.Write(b"", 0, b"x"),
    msg.SetStat("f", Attributes()),
    msg.FSetStat(b"", Attributes()),
    msg.Remove("f"),
    msg.MkDir("d"),
    msg.RmDir("d"),
    msg.Rename("f", "g"),
    msg.SymLink("f", "g"),
    ext.PosixRename("f", "g"),
    ext.HardLink("f", "g"),
    ext.FSync(b""),
    ext.LSetStat("f", Attributes()),
    ext.CopyData(b"", 0, 0, b"", 0),
]
LOOKS = [
    msg.Close,
    msg.Read,
    msg.LStat,
    msg.FStat,
    msg.OpenDir,
    msg.ReadDir,
    msg.RealPath,
    msg.Stat,
    msg.ReadLink,
    ext.StatVFS,
    ext.FStatVFS,
    ext.ExpandPath,
    ext.HomeDirectory,
    ext.UsersGroupsById,
    ext.CheckFileHandle,
    ext.CheckFile,
    ext.CheckFileName,
]


def test_the_two_tables_name_every_request() -> None:
    named = {type(request) for request in CHANGES} | set(LOOKS)
    assert named == set(REQUESTS) - {ext.LimitsRequest}


@pytest.mark.parametrize("request_", CHANGES, ids=repr)
def test_nothing_that_changes_reaches_a_read_only_filesystem(
    request_: msg.SFTPRequest[Any],
) -> None:
    class Untouched(Filesystem):
        read_only = True

        def __getattribute__(self, name: str) -> Any:
            assert name in ("read_only", "__class__"), f"{name} was asked for"
            return super().__getattribute__(name)

    files = (None,) * len(request_.HANDLES)
    for outcome in (
        outcome_now(Untouched(), call(request_, *files), BASIC),
        carried_out(outcome_of(Untouched(), call(request_, *files), BASIC)),
    ):
        value, error = outcome
        assert value is None
        assert error is not None
        assert error.errno == errno.EROFS


def test_a_read_only_filesystem_can_be_read() -> None:
    files = MemoryFilesystem()
    files["/f"] = b"content"
    files.read_only = True
    opened = done(files, msg.Open("/f", OpenFlag.READ))
    assert done(files, msg.Read(b"", 1, 3), opened) == b"ont"
    assert done(files, msg.Stat("/f")).size == 7


def test_what_is_not_implemented_is_unsupported() -> None:
    for request in (msg.Stat("f"), msg.MkDir("d"), ext.StatVFS("/")):
        with pytest.raises(OSError, match="not supported") as caught:
            done(Filesystem(), request)
        assert caught.value.errno == errno.EOPNOTSUPP


async def test_the_outcomes_of_several_calls_are_in_their_order() -> None:
    files = MemoryFilesystem()
    asked = [call(msg.MkDir("/d")), call(msg.MkDir("/d")), call(msg.Stat("/d"))]
    (first, second, third) = await outcomes_of(files, asked, BASIC)
    assert first == (None, None)
    assert second[1] is not None
    assert second[1].errno == errno.EEXIST
    assert third[0].is_directory


async def test_methods_may_be_coroutines() -> None:
    class Later(Filesystem):
        blocking = False

        async def stat(self, path: str) -> Attributes:
            return Attributes(size=5)

    assert (await outcome_of(Later(), call(msg.Stat("f")), BASIC))[0] == Attributes(size=5)


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (FileNotFoundError("text"), errno.ENOENT),
        (PermissionError("text"), errno.EACCES),
        (OSError("text"), errno.EIO),
        (OSError(errno.EXDEV, "text"), errno.EXDEV),
    ],
)
def test_a_failure_without_a_number_gets_that_of_its_type(error: OSError, number: int) -> None:
    assert numbered(error).errno == number


def test_a_bug_is_an_input_output_error_with_its_cause() -> None:
    class Broken(Filesystem):
        def stat(self, path: str) -> Attributes:
            raise KeyError("a bug")

    for one in (call(msg.Stat("f")), call(msg.FStat(b""), OpenedFile(Broken(), "f", None, False))):  # type: ignore[arg-type]
        value, error = outcome_now(Broken(), one, BASIC)
        assert value is None
        assert error is not None
        assert error.errno == errno.EIO
        assert isinstance(error.__cause__, (KeyError, AttributeError))


# --- copies on the server ---


class Counted(File):
    """Wraps a file, and counts what is written through it: as a quota would."""

    vectors = True

    def __init__(self, inner: File, written: list[int]) -> None:
        self.inner = inner
        self.written = written

    def preadv(self, buffers: Sequence[memoryview], offset: int, *, wait: bool = True) -> int:
        return self.inner.preadv(buffers, offset, wait=wait)

    def pwritev(self, buffers: Sequence[Buffer], offset: int) -> None:
        self.written.append(sum(map(len, buffers)))
        self.inner.pwritev(buffers, offset)

    def stat(self) -> Any:
        return self.inner.stat()

    def close(self) -> Any:
        return self.inner.close()


class CountedLocal(LocalFile):
    """Does so by inheritance."""

    written: list[int]

    def pwritev(self, buffers: Sequence[Buffer], offset: int) -> None:
        self.written.append(sum(map(len, buffers)))
        super().pwritev(buffers, offset)


class Quota(LocalFilesystem):
    """Counts all that is written."""

    inherits = False

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.written: list[int] = []

    def open(self, path: str, flags: OpenFlag, attributes: Attributes) -> Any:
        inner = super().open(path, flags, attributes)
        if not self.inherits:
            return Counted(inner, self.written)
        made = CountedLocal(inner._number, inner._permitted)
        made.written = self.written
        return made


@pytest.mark.parametrize("inherits", [False, True])
def test_a_copy_does_not_bypass_a_file_that_wraps_another(tmp_path: Path, inherits: bool) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "f").write_bytes(content)
    files = Quota(tmp_path)
    files.inherits = inherits
    source = done(files, msg.Open("/f", OpenFlag.READ))
    target = done(files, msg.Open("/g", NEW))
    done(files, ext.CopyData(b"", 0, 0, b"", 0), source, target)
    for opened in (source, target):
        done(files, msg.Close(b""), opened)
    files.close()
    assert (tmp_path / "g").read_bytes() == content
    assert sum(files.written) == len(content)


def test_the_system_copies_local_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    files = LocalFilesystem(tmp_path)
    source = done(files, msg.Open("/f", OpenFlag.READ))
    target = done(files, msg.Open("/g", NEW))
    asked = []
    copy = os.copy_file_range

    def noted(*arguments: Any) -> int:
        asked.append(arguments[2:])
        return copy(*arguments)

    monkeypatch.setattr(os, "copy_file_range", noted)
    done(files, ext.CopyData(b"", 2, 5, b"", 1), source, target)
    assert asked == [(5, 2, 1)]
    assert (tmp_path / "g").read_bytes() == b"\x0023456"

    def refused(*arguments: Any) -> int:
        raise OSError(errno.EXDEV, "other disk")

    monkeypatch.setattr(os, "copy_file_range", refused)
    done(files, ext.CopyData(b"", 0, 0, b"", 0), source, target)
    assert (tmp_path / "g").read_bytes() == b"0123456789"
    for opened in (source, target):
        done(files, msg.Close(b""), opened)
    files.close()


def test_a_copy_onto_itself_must_not_overlap() -> None:
    files = MemoryFilesystem()
    files["/f"] = b"0123456789"
    file = done(files, msg.Open("/f", NEW))
    with pytest.raises(OSError, match="overlap"):
        done(files, ext.CopyData(b"", 0, 5, b"", 4), file, file)
    done(files, ext.CopyData(b"", 0, 5, b"", 5), file, file)
    assert files["/f"] == b"0123401234"
    done(files, ext.CopyData(b"", 0, 0, b"", 10), file, file)
    assert files["/f"] == b"0123401234" * 2, "what the copy adds is not copied"


# --- hashes ---


def test_hashes_of_a_range_and_of_its_blocks() -> None:
    files = MemoryFilesystem()
    files["/f"] = content = bytes(range(250)) * 4
    whole = done(files, ext.CheckFileName("/f", "md5,sha256,sha512", 0, 0, 0))
    assert whole == ext.FileHashes("sha256", hashlib.sha256(content).digest())
    blocks = done(files, ext.CheckFileName("/f", "sha512", 100, 600, 256))
    parts = (content[100:356], content[356:612], content[612:700])
    assert blocks.hashes == b"".join(hashlib.sha512(part).digest() for part in parts)


@pytest.mark.parametrize(
    ("algorithms", "block", "number"),
    [
        ("md5,sha1", 0, errno.EOPNOTSUPP),
        ("sha256", 255, errno.EINVAL),
        ("sha256", 256, errno.EINVAL),  # of a file that has too many of them
    ],
)
def test_hashes_that_are_refused(algorithms: str, block: int, number: int) -> None:
    files = MemoryFilesystem()
    files["/f"] = bytes(2_000_000)
    asked = call(ext.CheckFileName("/f", algorithms, 0, 0, block))
    value, error = outcome_now(files, asked, BASIC)
    assert value is None
    assert error is not None
    assert error.errno == number
