"""Encrypted files over a local directory and a storage."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path
from typing import Any

import pytest

from nacre.crypto.chunks import CHUNK, HEADER, OVERHEAD, SEALED
from nacre.limits import DEFAULT_SFTP_LIMITS
from nacre.sftp.filesystems.base import DamagedFile
from nacre.sftp.filesystems.encrypted import EncryptedFilesystem
from nacre.sftp.filesystems.local import LocalFilesystem
from nacre.sftp.filesystems.memory import MemoryFilesystem
from nacre.sftp.filesystems.rights import RightsFilesystem
from nacre.sftp.filesystems.rules import parse_rules
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.server.opened import carried_out
from sftp.filesystems.test_every_filesystem import fails, get, names, put, storage

READ, WRITE, NEW = OpenFlag.READ, OpenFlag.WRITE, OpenFlag.WRITE | OpenFlag.CREAT
FRESH = NEW | OpenFlag.TRUNC
NONE = Attributes()
KEY = bytes(range(32))
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7]


@pytest.fixture
def local(tmp_path: Path) -> Any:
    files = EncryptedFilesystem(LocalFilesystem(tmp_path), KEY)
    yield files
    files.close()


@pytest.fixture(params=["local", "fsspec"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "local":
        return EncryptedFilesystem(LocalFilesystem(tmp_path), KEY)
    return EncryptedFilesystem(storage(), KEY, streams=True)


def content(files: Any, path: str) -> bytes:
    file = files.open(path, READ, NONE)
    try:
        found, at = bytearray(), 0
        while data := file.pread(30_000, at):
            found += data
            at += len(data)
        return bytes(found)
    finally:
        file.close()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("flags", [FRESH, FRESH | READ])
@pytest.mark.parametrize("step", [1000, 32768, CHUNK, 300_000])
def test_what_was_written_is_read(files: Any, size: int, flags: OpenFlag, step: int) -> None:
    data = random.Random(size).randbytes(size)
    file = files.open("/f", flags, NONE)
    for at in range(0, size, step):
        file.pwrite(data[at : at + step], at)
        assert file.stat().size == min(size, at + step)
    file.close()
    assert content(files, "/f") == data
    assert files.stat("/f").size == files.lstat("/f").size == size
    (entry,) = [entry for entry in files.scandir("/") if entry.name == "f"]
    assert (entry.attributes.size, entry.longname) == (size, "")
    stored = get(files._inner, "/f")
    assert len(stored) == HEADER + size + max(1, -(-size // CHUNK)) * OVERHEAD
    assert size < 20 or data[:20] not in stored
    file = files.open("/f", READ, NONE)
    for offset in (0, 1, CHUNK - 10, CHUNK, CHUNK + 5, size - 3, size, size + 1):
        at = max(0, offset)
        assert file.pread(20, at) == data[at : at + 20]
    file.close()


@pytest.mark.parametrize("seed", range(8))
def test_changes_in_place_are_those_of_a_plain_file(files: Any, seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(chance.randbytes(chance.choice(SIZES)))
    put(files, "/f", bytes(data), FRESH)
    for _ in range(6):
        file = files.open("/f", READ | WRITE, NONE)
        for _ in range(6):
            match chance.randrange(5):
                case 0:
                    size = chance.choice(
                        [0, CHUNK, len(data) // 2, len(data) + chance.randrange(9)]
                    )
                    file.set_attributes(Attributes(size=size))
                    data = data[:size] + bytes(max(0, size - len(data)))
                case 1:
                    at, count = chance.randrange(len(data) + 10), chance.randrange(100_000)
                    assert file.pread(count, at) == data[at : at + count]
                case _:
                    at = chance.choice([chance.randrange(len(data) + 10), CHUNK, len(data)])
                    piece = chance.randbytes(chance.choice([1, 100, CHUNK, CHUNK + 100]))
                    file.pwrite(piece, at)
                    data += bytes(max(0, at - len(data)))
                    data[at : at + len(piece)] = piece
            assert file.stat().size == len(data)
        file.close()
        assert content(files, "/f") == data
        assert files.stat("/f").size == len(data)


def test_open_flags(files: Any) -> None:
    put(files, "/f", b"0123456789", FRESH)
    put(files, "/f", b"ab", WRITE)
    assert content(files, "/f") == b"ab23456789"
    put(files, "/f", b"AB", NEW)
    assert content(files, "/f") == b"AB23456789"
    file = files.open("/f", WRITE | OpenFlag.APPEND, NONE)
    file.pwrite(b"x", 0)
    file.pwrite(b"y", 0)
    fails(errno.EBADF, lambda: file.pread(1, 0))
    file.close()
    assert content(files, "/f") == b"AB23456789xy"
    put(files, "/f", b"new", FRESH)
    assert content(files, "/f") == b"new"
    put(files, "/g", b"", NEW)
    assert content(files, "/g") == b""
    fails(errno.EEXIST, lambda: files.open("/f", NEW | OpenFlag.EXCL, NONE))
    for flags in (READ, WRITE, READ | WRITE):
        fails(errno.ENOENT, lambda flags=flags: files.open("/missing", flags, NONE))  # type: ignore[misc]
    file = files.open("/f", WRITE, NONE)
    fails(errno.EBADF, lambda: file.pread(1, 0))
    file.close()
    files.set_attributes("/f", Attributes(size=1))
    assert content(files, "/f") == b"n"
    file = files.open("/f", READ, NONE)
    fails(errno.EBADF, lambda: file.set_attributes(Attributes(size=0)))
    fails(errno.EOPNOTSUPP, lambda: file.pwrite(b"x", 0))
    file.close()
    limit = DEFAULT_SFTP_LIMITS.gap
    file = files.open("/f", WRITE, NONE)
    fails(errno.EFBIG, lambda: file.pwrite(b"x", limit + 2))
    fails(errno.EFBIG, lambda: file.set_attributes(Attributes(size=limit + 2)))
    file.close()


def stored(local: Any, path: str) -> bytearray:
    return bytearray(get(local._inner, path))


def damages(local: Any) -> dict[str, bytes]:
    """Return what a file of three chunks may be replaced by."""
    body = bytes(stored(local, "/f"))
    header, chunks = body[:HEADER], body[HEADER:]
    first, second, third = chunks[:SEALED], chunks[SEALED : 2 * SEALED], chunks[2 * SEALED :]
    other = bytes(stored(local, "/other"))
    return {
        "cut within a chunk": body[:-1],
        "cut behind the second chunk": header + first + second,
        "cut behind the first chunk": header + first,
        "cut behind the header": header,
        "cut within the header": header[:-1],
        "empty": b"",
        "longer": body + b"x",
        "exchanged": header + second + first + third,
        "doubled": header + first + first + third,
        "left out": header + second + third,
        "last chunk twice": body + third,
        "chunk of another file": header + other[HEADER : HEADER + SEALED] + second + third,
        "header of another file": other[:HEADER] + chunks,
        "plain": b"plain text" * 100,
    }


NAMES = [
    *("cut within a chunk", "cut behind the second chunk", "cut behind the first chunk"),
    *("cut behind the header", "cut within the header", "empty", "longer", "exchanged", "doubled"),
    *("left out", "last chunk twice", "chunk of another file", "header of another file", "plain"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_was_changed_is_not_read_to_its_end(local: Any, name: str) -> None:
    put(local, "/f", os.urandom(2 * CHUNK + 100), FRESH)
    put(local, "/other", os.urandom(2 * CHUNK + 100), FRESH)
    found = damages(local)
    assert sorted(found) == sorted(NAMES)
    put(local._inner, "/f", found[name], FRESH)
    with pytest.raises(DamagedFile) as caught:
        content(local, "/f")
    assert caught.value.errno == errno.EIO
    assert (caught.value.strerror or "").startswith("/f: ")
    assert "f" in names(local, "/")
    local.stat("/f")


def test_another_key_is_told(local: Any, tmp_path: Path) -> None:
    put(local, "/f", b"x", FRESH)
    other = EncryptedFilesystem(LocalFilesystem(tmp_path), bytes(32))
    with pytest.raises(DamagedFile, match="another key"):
        other.open("/f", READ, NONE)
    with pytest.raises(DamagedFile, match="another key"):
        other.open("/f", WRITE, NONE)
    other.close()


def test_a_write_that_was_not_finished_looks_cut_off(local: Any) -> None:
    file = local.open("/f", FRESH, NONE)
    assert content(local, "/f") == b""
    file.pwrite(bytes(CHUNK + 10), 0)
    # The process ends here: the last chunk is in its memory.
    with pytest.raises(DamagedFile, match="chunk 0"):
        content(local, "/f")
    file.fsync()
    assert content(local, "/f") == bytes(CHUNK + 10)
    file.pwrite(b"x", CHUNK + 10)
    file.abort()
    assert content(local, "/f") == bytes(CHUNK + 10) + b"x"


def test_a_storage_discards_what_broke_off(tmp_path: Path) -> None:
    files: Any = EncryptedFilesystem(storage(), KEY, streams=True)
    file = files.open("/f", FRESH, NONE)
    file.pwrite(bytes(CHUNK + 10), 0)
    fails(errno.ESPIPE, lambda: file.pwrite(b"x", 0))
    fails(errno.EOPNOTSUPP, file.fsync)
    fails(errno.EOPNOTSUPP, lambda: file.set_attributes(Attributes(size=1)))
    file.abort()
    # Memory keeps an empty file.
    with pytest.raises((FileNotFoundError, DamagedFile)):
        content(files, "/f")
    file = files.open("/f", FRESH, NONE)
    file.set_attributes(Attributes(size=CHUNK + 5))
    file.close()
    assert content(files, "/f") == bytes(CHUNK + 5)


def test_times_stay_when_the_file_is_closed(local: Any) -> None:
    file = local.open("/f", FRESH, NONE)
    file.pwrite(b"x", 0)
    file.set_attributes(Attributes(permissions=0o600, atime=1, mtime=2))
    file.close()
    found = local.stat("/f")
    assert (found.mtime, found.permissions & 0o777, found.size) == (2, 0o600, 1)
    local.set_attributes("/f", Attributes(size=5, permissions=0o640))
    found = local.stat("/f")
    assert (found.permissions & 0o777, found.size) == (0o640, 5)


def test_names_are_those_of_the_filesystem_behind(local: Any, tmp_path: Path) -> None:
    local.mkdir("/d", NONE)
    put(local, "/d/f", b"x", FRESH)
    local.rename("/d/f", "/d/g", replace=False)
    local.link("/d/g", "/d/h")
    local.symlink("g", "/d/l")
    assert sorted(os.listdir(tmp_path / "d")) == ["g", "h", "l"]
    assert content(local, "/d/h") == content(local, "/d/l") == b"x"
    assert local.readlink("/d/l") == "g"
    assert local.lstat("/d/l").size == 1
    assert local.realpath("/d/l") == "/d/g"
    assert local.statvfs("/").blocks
    assert local.stat("/d").is_directory
    local.start_at("/d")
    assert local.start == "/d"
    local.remove("l")
    local.remove("h")
    local.remove("g")
    local.rmdir("/d")
    assert local.home("") == "/"
    assert local.names((12345,), ()) == (("",), ())
    assert local.prompt == local._inner.prompt


def test_rights_hold_over_encrypted_files(local: Any) -> None:
    local.mkdir("/in", NONE)
    judged: Any = RightsFilesystem(local, parse_rules(["/in:upload"]))
    file = carried_out(judged.open("/in/f", FRESH, NONE))
    file.pwrite(b"content", 0)
    fails(errno.EBADF, lambda: file.pread(10, 0))
    file.close()
    assert content(local, "/in/f") == b"content"


def test_filesystems_with_coroutines_are_refused() -> None:
    with pytest.raises(ValueError, match="plain functions"):
        EncryptedFilesystem(MemoryFilesystem(), KEY)
