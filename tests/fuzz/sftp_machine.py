"""Sessions of SFTP over a real directory, beside a directory that plain calls of the system change.

Each request goes to nacre's service over a ``LocalFilesystem`` of the one directory; ``os`` does
the same to the other one. Both must give the same answer or the same failure, and after each
request both directories must hold the same files.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nacre.errors import SFTPError
from nacre.limits import MIB
from nacre.sftp.filesystems.local import LocalFilesystem
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.status import status_of
from sftp.server.talk import Talk

DIRECTORIES = ["", "d/", "d/e/", "many/"]
COMMON = ["a", "b", "d/a"]
"""What most requests are about, so that they meet."""

PATHS = st.sampled_from(COMMON) | st.sampled_from(
    [
        *(f"{directory}{name}" for directory in DIRECTORIES for name in "abcd"),
        *("d/e", "/a", "/d", "./b", "d/../a", "d/e/../a", "a/b", "a/..", "missing/a"),
        *("ä", "\udcff", "n" * 255, "n" * 256, "many"),
    ]
)
ANY_PATHS = PATHS | st.sampled_from(["/", ".", "d/..", "", "a\0b"])
TARGETS = st.sampled_from(["a", "b", "d", "e", "e/a", "l", "many", "missing", "missing/b"])
"""What links point to: never above them, as there the two directories end."""

OFFSETS = st.sampled_from([0, 0, 1, 10, 999, 65_536, MIB, 1 << 62, (1 << 63) - 1, 1 << 63])
SIZES = st.sampled_from([0, 1, 10, 3000, 70_000, MIB, (1 << 63) - 1])
LENGTHS = st.sampled_from([0, 1, 10, 1000, 40_000, 300_000])
DATA = st.binary(max_size=40) | st.sampled_from([5000, 70_000])
"""What is written; a number stands for as many bytes."""

FLAGS = st.sampled_from([1, 2, 3]).flatmap(
    lambda way: st.integers(0, 15).map(lambda more: way | more << 2)
) | st.integers(0, 63)  # fmt: skip
MODES = st.sampled_from([None, 0o700, 0o711, 0o755, 0o1777, 0o4755, 0o100700])
"""Permissions with which their owner, who need not be root, still gets everywhere."""

HANDLES = st.integers(0, 9)

READ_SIZE = 255 * 1024
COMPARED = 4 * MIB
"""Bytes of a file up to which its content is compared: larger ones have holes."""

MOST_FILES = 6

MOST_HASHES = 128 * 1024
"""Bytes of hashes that one answer of nacre's has at most."""


@dataclass
class Opened:
    """A file that is open on both sides.

    :ivar handle: the service's handle; ``number``: the descriptor of the file of the oracle.
    """

    handle: bytes
    number: int
    writable: bool


class SFTPMachine(RuleBasedStateMachine):
    """Every rule is one request, or several that are sent before the first answer is read."""

    version = 3

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(os.path.realpath(tempfile.mkdtemp(prefix="nacre-fuzz-")))
        self.served, self.oracle = self.root / "served", self.root / "oracle"
        self.loop = asyncio.new_event_loop()
        self.opened: list[Opened] = []
        self.closed: list[bytes] = []
        for directory in (self.served, self.oracle):
            directory.mkdir()

    @initialize(
        files=st.sampled_from([0, 3, 3, 300]),
        flags=st.lists(st.sampled_from([1, 3, 7, 15, 10]), max_size=3),
    )
    def begin(self, files: int, flags: list[int]) -> None:
        for directory in (self.served, self.oracle):
            if files:
                (directory / "d/e").mkdir(parents=True)
                (directory / "many").mkdir()
                for number in range(files):
                    (directory / "many" / f"{number}").touch()
                for name in COMMON:
                    (directory / name).write_bytes(b"some text\n" * 1000)
        self.loop.run_until_complete(self._connect())
        for name, wanted in zip(COMMON, flags, strict=False):
            self.open(name, wanted, None)

    async def _connect(self) -> None:
        self.filesystem = LocalFilesystem(self.served, user="alice")
        self.talk = Talk(self.filesystem)
        if self.version != 3:
            self.talk.client.propose(self.version)
        await self.talk.__aenter__()

    # --- both sides ---

    def _call(self, request: msg.SFTPRequest[Any]) -> Any:
        """Return the answer to a request, or the failure."""
        return self._calls([request])[0]

    def _calls(self, requests: Sequence[msg.SFTPRequest[Any]]) -> list[Any]:
        """Send requests before the first answer is read; return the answers and failures."""
        return self.loop.run_until_complete(self._exchanged(requests))

    async def _exchanged(self, requests: Sequence[msg.SFTPRequest[Any]]) -> list[Any]:
        numbers = [self.talk.client.send(request) for request in requests]
        self.talk.flush()
        answers: list[Any] = []
        for number in numbers:
            try:
                answers.append(await self.talk.result(number))
            except SFTPError as error:
                answers.append(error)
        return answers

    def _same(self, request: msg.SFTPRequest[Any], system: Callable[[], Any]) -> Any:
        """Return the answer to a request; the system must succeed or fail in the same way."""
        return self._compared(self._call(request), _outcome(system))

    @staticmethod
    def _compared(found: Any, expected: Any) -> Any:
        failed, should_fail = isinstance(found, OSError), isinstance(expected, OSError)
        assert failed == should_fail, (found, expected)
        if failed:
            assert status_of(found) == status_of(expected), (found, expected)
            return None
        return found

    def _at(self, path: str) -> str:
        if "\0" in path:
            raise OSError(errno.EINVAL, "")
        return f"{self.oracle}/{path if path.strip('/') else '.'}"

    def _file(self, which: int) -> Opened | None:
        return self.opened[which % len(self.opened)] if self.opened else None

    # --- names ---

    @rule(path=ANY_PATHS, follow=st.booleans())
    def stat(self, path: str, follow: bool) -> None:
        request: msg.SFTPRequest[Any] = msg.Stat(path) if follow else msg.LStat(path)
        found = self._same(request, lambda: os.stat(self._at(path), follow_symlinks=follow))
        if found is not None:
            _check(found, os.stat(f"{self.served}/{path}", follow_symlinks=follow))

    @rule(path=PATHS)
    def remove(self, path: str) -> None:
        self._same(msg.Remove(path), lambda: os.unlink(self._at(path)))

    @rule(path=PATHS | st.sampled_from(["d", "d/e", "new/"]), mode=MODES)
    def mkdir(self, path: str, mode: int | None) -> None:
        bits = 0o777 if mode is None else mode & 0o777
        request = msg.MkDir(path, Attributes(permissions=mode))
        self._same(request, lambda: os.mkdir(self._at(path), bits))

    @rule(path=PATHS | st.sampled_from(["d", "d/e", "d/e/"]))
    def rmdir(self, path: str) -> None:
        self._same(msg.RmDir(path), lambda: os.rmdir(self._at(path)))

    @rule(old=PATHS, new=PATHS)
    def rename(self, old: str, new: str) -> None:
        def system() -> None:
            if _is_there(self._at(old)) and _is_there(self._at(new)):
                raise OSError(errno.EEXIST, "")
            os.rename(self._at(old), self._at(new))

        self._same(msg.Rename(old, new), system)

    @rule(old=PATHS, new=PATHS)
    def replace(self, old: str, new: str) -> None:
        self._same(ext.PosixRename(old, new), lambda: os.rename(self._at(old), self._at(new)))

    @rule(old=PATHS, new=PATHS)
    def hard_link(self, old: str, new: str) -> None:
        def system() -> None:
            for path in (old, new):  # of two failures, the one of a directory counts
                os.stat(f"{os.path.dirname(self._at(path))}/.")
            os.link(self._at(old), self._at(new), follow_symlinks=False)

        self._same(ext.HardLink(old, new), system)

    @rule(to=TARGETS, link=PATHS | st.sampled_from(["l", "d/l"]))
    def symlink(self, to: str, link: str) -> None:
        self._same(msg.SymLink(to, link), lambda: os.symlink(to, self._at(link)))

    @rule(path=PATHS | st.sampled_from(["l", "d/l"]))
    def readlink(self, path: str) -> None:
        found = self._same(msg.ReadLink(path), lambda: os.readlink(self._at(path)))
        if found is not None:
            assert found == os.readlink(self._at(path))

    @rule(path=ANY_PATHS)
    def real_path(self, path: str) -> None:
        def system() -> str:
            where = self._at(path)
            try:
                os.stat(where)  # what goes through a file is an error that realpath may not see
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG or (
                    error.errno == errno.ENOENT and self.version != 3
                ):
                    return where
                if error.errno != errno.ENOENT:
                    raise
            return _real(where)

        expected = _outcome(system)
        found = self._compared(self._call(msg.RealPath(path)), expected)
        if found is not None and os.path.exists(self._at(path)):
            relative = os.path.relpath(expected, self.oracle)
            assert found == ("/" if relative == "." else f"/{relative}")

    @rule(path=ANY_PATHS)
    def list_directory(self, path: str) -> None:
        """List a directory, in as many answers as it takes."""
        handle = self._same(msg.OpenDir(path), lambda: os.listdir(self._at(path)))
        if handle is None:
            return
        entries: list[Any] = []
        while (more := self._call(msg.ReadDir(handle))) is not None:
            assert more
            entries += more
        assert self._call(msg.Close(handle)) is None
        self.closed.append(handle)
        names = [entry.name for entry in entries]
        assert sorted(names) == sorted([".", "..", *os.listdir(self._at(path))])
        for entry in entries:
            if entry.name != "..":
                _check(entry.attributes, os.lstat(f"{self.served}/{path}/{entry.name}"))

    @rule(path=ANY_PATHS)
    def statvfs(self, path: str) -> None:
        found = self._same(ext.StatVFS(path), lambda: os.statvfs(self._at(path)))
        if found is not None:
            expected = os.statvfs(f"{self.served}/{path}")
            assert (found.bsize, found.frsize) == (expected.f_bsize, expected.f_frsize)
            assert (found.blocks, found.namemax) == (expected.f_blocks, expected.f_namemax)

    # --- attributes ---

    @rule(
        path=PATHS,
        size=st.none() | SIZES,
        mode=MODES,
        mtime=st.none() | st.sampled_from([0, 1, (1 << 32) - 1]),
    )
    def set_attributes(
        self, path: str, size: int | None, mode: int | None, mtime: int | None
    ) -> None:
        if size is mode is mtime is None:
            return  # nothing to do: whether there is a file makes no difference
        request = msg.SetStat(path, Attributes(size=size, permissions=mode, mtime=mtime))
        expected = _outcome(lambda: _set(self._at(path), size, mode, mtime))
        self._compared(self._call(request), expected)
        if mtime is not None and expected is None:
            assert _mtime(self._at(path)) == _mtime(f"{self.served}/{path}")

    @rule(path=PATHS | st.just("l"), mtime=st.sampled_from([0, 1, (1 << 32) - 1]))
    def set_attributes_of_link(self, path: str, mtime: int) -> None:
        def system() -> None:
            os.utime(self._at(path), (mtime, mtime), follow_symlinks=False)

        self._same(ext.LSetStat(path, Attributes(mtime=mtime)), system)
        if os.path.lexists(self._at(path)):
            found = os.lstat(f"{self.served}/{path}").st_mtime
            assert int(found) == int(os.lstat(self._at(path)).st_mtime)

    # --- open files ---

    @precondition(lambda self: len(self.opened) < MOST_FILES)
    @rule(path=ANY_PATHS, flags=FLAGS, mode=MODES)
    def open(self, path: str, flags: int, mode: int | None) -> None:
        request = msg.Open(path, flags, Attributes(permissions=mode))
        bits = 0o666 if mode is None else mode & 0o777
        expected = _outcome(lambda: _open(self._at(path), OpenFlag(flags), bits))
        try:
            handle = self._compared(self._call(request), expected)
        except AssertionError:
            if isinstance(expected, int):
                os.close(expected)
            raise
        if handle is not None:
            changes = OpenFlag.WRITE | OpenFlag.APPEND | OpenFlag.CREAT | OpenFlag.TRUNC
            assert handle not in [opened.handle for opened in self.opened]
            self.opened.append(Opened(handle, expected, bool(flags & changes)))

    @rule(which=HANDLES)
    def close(self, which: int) -> None:
        file = self._file(which)
        if file is not None:
            self.opened.remove(file)
            self._same(msg.Close(file.handle), lambda: os.close(file.number))
            self.closed.append(file.handle)

    @rule(which=HANDLES, offset=OFFSETS, length=LENGTHS)
    def read(self, which: int, offset: int, length: int) -> None:
        file = self._file(which)
        if file is not None:
            expected = _outcome(_read, file, offset, length)
            self._compare_read(self._call(msg.Read(file.handle, offset, length)), expected)

    def _compare_read(self, found: Any, expected: Any) -> None:
        """Compare the answer to a READ: None at the end of the file."""
        if found is None:
            assert expected == b"", expected
        elif (data := self._compared(found, expected)) is not None:
            assert bytes(data) == expected

    @rule(which=HANDLES, offset=OFFSETS, data=DATA)
    def write(self, which: int, offset: int, data: bytes | int) -> None:
        file = self._file(which)
        if file is not None:
            data = b"x" * data if isinstance(data, int) else data
            request = msg.Write(file.handle, offset, data)
            self._same(request, lambda: _write(file, offset, data))

    @rule(
        which=HANDLES,
        start=st.sampled_from([0, 1, 5000]),
        parts=st.lists(
            st.tuples(st.sampled_from([0, 0, 0, -3, 7]), st.binary(max_size=20) | LENGTHS),
            min_size=2,
            max_size=12,
        ),
    )
    def pipeline(self, which: int, start: int, parts: list[tuple[int, bytes | int]]) -> None:
        """Send many READs and WRITEs of one file at once, most of them in a row."""
        file = self._file(which)
        if file is None:
            return
        requests: list[msg.Read | msg.Write] = []
        offset = start
        for gap, what in parts:
            offset = max(0, offset + gap)
            if isinstance(what, bytes):
                requests.append(msg.Write(file.handle, offset, what))
                offset += len(what)
            else:
                requests.append(msg.Read(file.handle, offset, what))
                offset += what
        for request, found in zip(requests, self._calls(requests), strict=True):
            if isinstance(request, msg.Read):
                expected = _outcome(_read, file, request.offset, request.length)
                self._compare_read(found, expected)
            else:
                self._compared(found, _outcome(_write, file, request.offset, bytes(request.data)))

    @rule(which=HANDLES)
    def fstat(self, which: int) -> None:
        file = self._file(which)
        if file is not None:
            found = self._same(msg.FStat(file.handle), lambda: os.fstat(file.number))
            expected = os.fstat(file.number)
            assert (found.size, found.permissions) == (expected.st_size, expected.st_mode)

    @rule(which=HANDLES, size=st.none() | SIZES | st.just(1 << 63), mode=MODES)
    def fset_attributes(self, which: int, size: int | None, mode: int | None) -> None:
        file = self._file(which)
        if file is not None:
            request = msg.FSetStat(file.handle, Attributes(size=size, permissions=mode))
            self._same(request, lambda: _set(file.number, size, mode, None))

    @rule(which=HANDLES)
    def fsync(self, which: int) -> None:
        file = self._file(which)
        if file is not None:
            self._same(ext.FSync(file.handle), lambda: os.fsync(file.number))

    @rule(
        source=HANDLES,
        sink=HANDLES,
        start=st.sampled_from([0, 3, 9999, MIB]),
        length=st.sampled_from([0, 1, 5000, 70_000]),
        offset=st.sampled_from([0, 3, 20_000]),
    )
    def copy(self, source: int, sink: int, start: int, length: int, offset: int) -> None:
        one, two = self._file(source), self._file(sink)
        if one is None or two is None:
            return

        def system() -> None:
            left = max(0, os.fstat(one.number).st_size - start)
            left = min(left, length) if length else left
            if one is two and start < offset + left and offset < start + left:
                raise OSError(errno.EINVAL, "")
            if left:
                data = os.pread(one.number, left, start)
                _write(two, offset, data)

        if os.fstat(one.number).st_size <= COMPARED:
            request = ext.CopyData(one.handle, start, length, two.handle, offset)
            self._same(request, system)

    @rule(
        which=HANDLES,
        offset=st.sampled_from([0, 1, 5000, MIB]),
        length=st.sampled_from([0, 1, 700, 70_000]),
        block=st.sampled_from([0, 1, 256, 1000]),
        algorithms=st.sampled_from(["sha256", "md5,sha512", "md5", "sha384,sha256"]),
    )
    def check_file(self, which: int, offset: int, length: int, block: int, algorithms: str) -> None:
        file = self._file(which)
        if file is None or os.fstat(file.number).st_size > COMPARED:
            return
        name = next((name for name in algorithms.split(",") if name in ext.HASHES), "")
        expected = _outcome(_hashes, file, name, offset, length, block)
        request = ext.CheckFileHandle(file.handle, algorithms, offset, length, block)
        found = self._compared(self._call(request), expected)
        if found is not None:
            assert (found.algorithm, found.hashes) == (name, expected)

    # --- what no client should send ---

    @rule(handle=st.binary(max_size=9), offset=OFFSETS)
    def wrong_handles(self, handle: bytes, offset: int) -> None:
        """A handle that never was, one that is closed, and a directory's in place of a file's."""
        directory = self._call(msg.OpenDir("/"))
        known = [opened.handle for opened in self.opened]
        wrong = [one for one in (handle, *self.closed[-2:]) if one not in (*known, directory)]
        for one in wrong:
            assert isinstance(self._call(msg.FStat(one)), SFTPError)
            assert isinstance(self._call(msg.ReadDir(one)), SFTPError)
        for one in (*wrong, directory):
            assert isinstance(self._call(msg.Read(one, offset, 10)), SFTPError)
            assert isinstance(self._call(msg.Write(one, offset, b"x")), SFTPError)
            assert isinstance(self._call(ext.FSync(one)), SFTPError)
        for one in known:
            assert isinstance(self._call(msg.ReadDir(one)), SFTPError)
        assert self._call(msg.Close(directory)) is None

    # --- the state ---

    @invariant()
    def both_hold_the_same(self) -> None:
        served, oracle = _tree(self.served), _tree(self.oracle)
        assert served == oracle, sorted(set(served.items()) ^ set(oracle.items()))

    def teardown(self) -> None:
        """End the session: files that are open are closed with it."""
        try:
            if hasattr(self, "talk"):
                self.loop.run_until_complete(self.talk.__aexit__(None, None, None))
        finally:
            for opened in self.opened:
                os.close(opened.number)
            self.loop.close()
            for directory, _, _ in os.walk(self.root):
                os.chmod(directory, 0o700)
            shutil.rmtree(self.root)


class LaterSFTPMachine(SFTPMachine):
    """The same in version 6."""

    version = 6


def _outcome(system: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return system(*arguments)
    except OSError as error:
        return error


def _is_there(path: str) -> bool:
    with contextlib.suppress(OSError):
        os.lstat(path)
        return True
    return False


def _real(path: str) -> str:
    """Return a path without links; the last name need not exist, nor what a link there points to.

    :raises OSError: another name does not exist.
    """
    with contextlib.suppress(FileNotFoundError):
        return os.path.realpath(path, strict=True)
    directory, name = os.path.split(path)
    place = os.path.join(os.path.realpath(directory, strict=True), name)
    if not os.path.islink(place):
        return place
    return _real(os.path.join(os.path.dirname(place), os.readlink(place)))


def _mtime(path: str) -> int:
    return int(os.stat(path).st_mtime)


def _check(found: Attributes, expected: os.stat_result) -> None:
    """Compare an answer with what the system says of the same file."""
    assert found.size == expected.st_size
    assert found.permissions == expected.st_mode
    assert found.mtime == min(int(expected.st_mtime), (1 << 32) - 1)
    if found.uid is not None:
        assert (found.uid, found.gid) == (expected.st_uid, expected.st_gid)


def _open(path: str, flags: OpenFlag, mode: int) -> int:
    """Open a file as draft-ietf-secsh-filexfer-02, 6.3, has it; nothing but a regular file."""
    reads, writes = OpenFlag.READ in flags, bool(flags & (OpenFlag.WRITE | OpenFlag.APPEND))
    changes = bool(flags & (OpenFlag.CREAT | OpenFlag.TRUNC))
    wanted = os.O_RDONLY
    if writes:
        wanted = os.O_RDWR if reads else os.O_WRONLY
    elif changes:
        wanted = os.O_RDWR
    wanted |= os.O_APPEND if OpenFlag.APPEND in flags else 0
    wanted |= os.O_CREAT if OpenFlag.CREAT in flags else 0
    wanted |= os.O_EXCL if OpenFlag.EXCL in flags and OpenFlag.CREAT in flags else 0
    wanted |= os.O_TRUNC if OpenFlag.TRUNC in flags else 0
    number = os.open(path, wanted | os.O_NONBLOCK, mode)
    if stat.S_ISDIR(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EISDIR, "")
    return number


def _read(file: Opened, offset: int, length: int) -> bytes:
    if offset >= 1 << 63:
        raise OSError(errno.EFBIG, "")
    return os.pread(file.number, min(length, READ_SIZE), offset)


def _write(file: Opened, offset: int, data: bytes) -> None:
    if not file.writable:
        raise OSError(errno.EBADF, "")
    if offset >= 1 << 63:
        raise OSError(errno.EFBIG, "")
    while data:
        count = os.pwrite(file.number, data, offset)
        data, offset = data[count:], offset + count


def _set(file: str | int, size: int | None, mode: int | None, mtime: int | None) -> None:
    """Set attributes in the order of the fields, as far as it goes."""
    if size is not None:
        if size >= 1 << 63:
            raise OSError(errno.EFBIG, "")
        os.truncate(file, size)
    if mode is not None:
        os.chmod(file, mode & 0o1777)
    if mtime is not None:
        os.utime(file, (mtime, mtime))


def _hashes(file: Opened, algorithm: str, offset: int, length: int, block: int) -> bytes:
    """Return what ``check-file`` answers (draft-ietf-secsh-filexfer-extensions-00, 3)."""
    if not algorithm:
        raise OSError(errno.EOPNOTSUPP, "")
    if 0 < block < 256:
        raise OSError(errno.EINVAL, "")
    left = max(0, os.fstat(file.number).st_size - offset)
    left = min(left, length) if length else left
    data = os.pread(file.number, left, offset) if left else b""
    step = block or max(1, len(data))
    parts = [data[at : at + step] for at in range(0, max(1, len(data)), step)]
    if len(parts) * hashlib.new(algorithm).digest_size > MOST_HASHES:
        raise OSError(errno.EINVAL, "")
    return b"".join(hashlib.new(algorithm, part).digest() for part in parts)


def _tree(root: Path) -> dict[str, tuple[Any, ...]]:
    """Return what a directory holds: type, mode, size and content, and names of the same file."""
    found: dict[str, tuple[Any, ...]] = {}
    names: dict[int, str] = {}
    for directory, directories, files in os.walk(root):
        for name in sorted([*directories, *files]):
            path = os.path.join(directory, name)
            status = os.lstat(path)
            content: Any = None
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(status.st_mode) and 0 < status.st_size <= COMPARED:
                content = Path(path).read_bytes()
            size = None if stat.S_ISDIR(status.st_mode) else status.st_size
            shown = os.path.relpath(path, root)
            first = names.setdefault(status.st_ino, shown)
            found[shown] = (status.st_mode, size, content, first)
    return found
