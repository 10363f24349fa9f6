"""Paths, links and races by which a client of a virtual root tries to get out of it."""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nacre.sftp.filesystems.base import File
from nacre.sftp.filesystems.local import LocalFilesystem
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag

SECRET = b"nobody may read this"
CREATE = OpenFlag.READ | OpenFlag.WRITE | OpenFlag.CREAT
SECONDS = float(os.environ.get("NACRE_FUZZ_SECONDS", "5"))


class Prison:
    """A root, and beside it what nobody may reach."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.root = base / "root"
        self.outside = base / "outside"
        for directory in (self.root / "a/b/c", self.outside / "deep", base / "rootless"):
            directory.mkdir(parents=True)
        (self.outside / "secret").write_bytes(SECRET)
        (self.outside / "deep" / "secret").write_bytes(SECRET)
        (base / "rootless" / "secret").write_bytes(SECRET)
        (base / "secret").write_bytes(SECRET)
        (self.root / "file").write_bytes(b"inside")
        self._link_all()
        self.before = self.snapshot()

    def _link_all(self) -> None:
        links: dict[str, str | Path] = {
            "absolute": self.outside,
            "absolute-file": self.outside / "secret",
            "relative": "../outside",
            "relative-file": "../outside/secret",
            "up": "..",
            "up-slash": "../",
            "up-dot": "../.",
            "up-many": "../" * 30,
            "top": "/",
            "sibling": "../rootless",
            "etc": "/etc",
            "passwd": "/etc/passwd",
            "proc-root": "/proc/self/root",
            "proc-cwd": "/proc/self/cwd",
            "proc-fd": "/proc/self/fd",
            "proc-fd-0": "/proc/self/fd/0",
            "dangling": self.outside / "new",
            "dangling-relative": "../outside/new",
            "loop": "loop",
            "loop-a": "loop-b",
            "loop-b": "loop-a/x",
            "chain-0": "chain-1",
            "chain-1": "a/../chain-2",
            "chain-2": "../../outside/secret",
            "inner": "a/b/c/../../../../outside",
            "via": "a/b/back/../../outside",
            "a/b/back": "../../..",
            "a/b/c/out": self.outside,
            "double": "up/up",
            "slashes": f"//{self.outside}",
        }
        for name, target in links.items():
            (self.root / name).symlink_to(target)

    def snapshot(self) -> dict[str, Any]:
        """What is outside: names, numbers, modes, owners, times of change, content."""
        found: dict[str, Any] = {}
        for top in (self.outside, self.base / "rootless", self.base / "secret"):
            for path in (top, *sorted(top.rglob("*"))):
                status = path.lstat()
                content = path.read_bytes() if path.is_file() else None
                found[str(path)] = (
                    *(status.st_ino, status.st_mode, status.st_uid, status.st_nlink),
                    *(status.st_mtime_ns, status.st_ctime_ns, content),
                )
        found["names"] = sorted(os.listdir(self.base))
        return found

    def unharmed(self) -> bool:
        return self.snapshot() == self.before


@pytest.fixture
def prison(tmp_path: Path) -> Prison:
    return Prison(tmp_path)


@pytest.fixture
def files(prison: Prison) -> Iterator[LocalFilesystem]:
    filesystem = LocalFilesystem(prison.root)
    yield filesystem
    filesystem.close()


def is_inside(prison: Prison, file: File) -> bool:
    """Tell whether an open file is one of the root's, or of none any more."""
    where = os.readlink(f"/proc/self/fd/{file._number}")  # type: ignore[attr-defined]
    return where.startswith(f"{prison.root}/") or where.endswith(" (deleted)")


def everything(prison: Prison, files: LocalFilesystem, path: str) -> None:
    """Try each operation on ``path``, and look at what came of it."""
    for flags in (OpenFlag.READ, CREATE, CREATE | OpenFlag.TRUNC, CREATE | OpenFlag.EXCL):
        with contextlib.suppress(OSError):
            file = files.open(path, flags, Attributes())
            try:
                assert is_inside(prison, file)
                assert file.pread(100, 0) != SECRET
                if flags & OpenFlag.WRITE:
                    file.pwrite(b"written", 0)
            finally:
                file.close()
    outside = {os.stat(p).st_ino for p in (prison.outside, prison.base, "/", "/etc", "/proc")}
    with contextlib.suppress(OSError):
        listing = files.scandir(path)
        try:
            assert os.fstat(listing._number).st_ino not in outside
            assert not {"secret", "rootless"} & {entry.name for entry in listing}
        finally:
            listing.close()
    assert prison.unharmed()
    secret_sizes = {len(SECRET), os.stat("/etc/passwd").st_size}
    for look in (files.stat, files.lstat):
        with contextlib.suppress(OSError):
            found = look(path)
            assert found.is_symlink or found.is_directory or found.size not in secret_sizes
    with contextlib.suppress(OSError):
        real = files.realpath(path)
        assert real.startswith("/")
        assert ".." not in real.split("/")
    changes: list[Callable[[], object]] = [
        lambda: files.readlink(path),
        lambda: files.statvfs(path),
        lambda: files.set_attributes(path, Attributes(permissions=0o777)),
        lambda: files.set_attributes(path, Attributes(atime=1, mtime=2)),
        lambda: files.set_attributes(path, Attributes(size=3)),
        lambda: files.set_attributes(path, Attributes(uid=os.getuid(), gid=os.getgid())),
        lambda: files.set_attributes(path, Attributes(permissions=0o7), follow_symlinks=False),
        lambda: files.set_attributes(path, Attributes(atime=1, mtime=2), follow_symlinks=False),
        lambda: files.mkdir(path, Attributes()),
        lambda: files.mkdir(f"{path}/made", Attributes()),
        lambda: files.symlink("/", f"{path}/linked"),
        lambda: files.link("file", f"{path}/hard"),
        lambda: files.link(path, "taken"),
        lambda: files.link(f"{path}/secret", "taken2"),
        lambda: files.rename("file", f"{path}/moved", replace=False),
        lambda: files.rename(f"{path}/moved", "file", replace=True),
        lambda: files.rename(f"{path}/secret", "stolen", replace=True),
        lambda: files.rmdir(f"{path}/made"),
        lambda: files.remove(f"{path}/secret"),
        lambda: files.rename(path, "renamed", replace=True),
        lambda: files.rename("renamed", path, replace=True),
        lambda: files.rmdir(path),
        lambda: files.remove(path),
    ]
    for change in changes:
        with contextlib.suppress(OSError):
            change()
        assert prison.unharmed()
    for name in ("taken", "taken2", "stolen"):
        with contextlib.suppress(OSError):
            assert (prison.root / name).is_symlink() or (prison.root / name).read_bytes() != SECRET


TRICKS = [
    "..",
    "../",
    "/..",
    "/../",
    "../secret",
    "/../secret",
    "../outside/secret",
    "/../outside/secret",
    "../rootless/secret",
    "../../../../../../../../../../etc/passwd",
    "/" + "../" * 500 + "etc/passwd",
    "a/../../secret",
    "a/b/../../../secret",
    "./.././secret",
    "a/./b/.././../../outside/secret",
    "//etc/passwd",
    "///..///secret",
    "/etc/passwd",
    "/proc/self/root/etc/passwd",
    "/proc/self/cwd",
    "absolute",
    "absolute/secret",
    "absolute/",
    "absolute/.",
    "absolute/../secret",
    "absolute-file",
    "absolute-file/",
    "relative",
    "relative/secret",
    "relative/deep/secret",
    "relative-file",
    "up",
    "up/secret",
    "up/outside/secret",
    "up/..",
    "up/../..",
    "up-slash/secret",
    "up-dot/secret",
    "up-many/etc/passwd",
    "top/etc/passwd",
    "top/../etc/passwd",
    "sibling/secret",
    "etc/passwd",
    "etc/../etc/passwd",
    "passwd",
    "proc-root/etc/passwd",
    "proc-root/..",
    "proc-cwd/..",
    "proc-fd/0",
    "proc-fd-0",
    "dangling",
    "dangling-relative",
    "dangling/x",
    "loop",
    "loop/x",
    "loop-a/x",
    "chain-0",
    "chain-1",
    "chain-2",
    "inner/secret",
    "via/secret",
    "a/b/back/secret",
    "a/b/back/outside/secret",
    "a/b/c/out/secret",
    "a/b/c/out/../../secret",
    "double/outside/secret",
    "slashes/secret",
    "file/../../secret",
    "missing/../../secret",
    "",
    ".",
    "/",
    "...",
    "a\\..\\..\\secret",
    "%2e%2e/secret",
    "..\0/secret",
    "file\0",
    "\udcff\udcfe/../../secret",
    "/" * 4000 + "../secret",
    "x" * 5000,
    "a/" * 2000,
    "~/../secret",
    "~root",
]


@pytest.mark.slow
@pytest.mark.parametrize("path", TRICKS, ids=[f"{i}-{p[:30]!r}" for i, p in enumerate(TRICKS)])
def test_path_tricks(prison: Prison, files: LocalFilesystem, path: str) -> None:
    everything(prison, files, path)
    # What the tricks made is there for another round.
    everything(prison, files, path)


def test_links_lead_where_the_root_says(prison: Prison, files: LocalFilesystem) -> None:
    inside = prison.root / "outside"
    inside.mkdir()
    (inside / "secret").write_bytes(b"an inside one")
    for path in ("up/outside/secret", "relative/secret", "chain-0", "via/secret"):
        file = files.open(path, OpenFlag.READ, Attributes())
        assert file.pread(100, 0) == b"an inside one"
        file.close()
    assert files.realpath("a/b/back/outside/../a/./b") == "/a/b"


def test_a_directory_moved_out_takes_nobody_along(prison: Prison, files: LocalFilesystem) -> None:
    """While a walk is in a directory, somebody moves that out: ``..`` leads nowhere then."""
    walked = files._walker.place("a/../a/b/c/x")
    try:
        (prison.root / "a/b/c").rename(prison.outside / "deep" / "c")
        with pytest.raises(FileNotFoundError):
            walked.go([b"..", b"secret"], False)
    finally:
        walked.close()


def test_what_is_no_file_is_not_opened(prison: Prison, files: LocalFilesystem) -> None:
    os.mkfifo(prison.root / "fifo")
    for flags in (OpenFlag.READ, CREATE):
        with pytest.raises(PermissionError):
            files.open("fifo", flags, Attributes())


def test_nothing_changes_who_runs_it(prison: Prison, files: LocalFilesystem) -> None:
    files.set_attributes("file", Attributes(permissions=0o6755))
    assert (prison.root / "file").stat().st_mode & 0o7777 == 0o755
    file = files.open("new", CREATE, Attributes(permissions=0o6755))
    file.set_attributes(Attributes(permissions=0o4711))
    file.close()
    assert (prison.root / "new").stat().st_mode & 0o7777 == 0o711


class Racer(threading.Thread):
    """Walks, links and renames at random, with others at its side."""

    NAMES = ("a", "b", "c", "d", "x", "secret", "outside")

    def __init__(self, prison: Prison, seed: int, deadline: float) -> None:
        super().__init__(daemon=True)
        self.prison = prison
        self.files = LocalFilesystem(prison.root)
        self.random = random.Random(seed)
        self.deadline = deadline
        self.done = self.opened = 0
        self.caught: list[str] = []
        self.moves = [
            *(self.read, self.write, self.link, self.rename, self.mkdir, self.list),
            *(self.chmod, self.truncate, self.remove, self.hard, self.exchange),
        ]

    def path(self) -> str:
        parts = self.random.choices((*self.NAMES, "..", "."), k=self.random.randint(1, 6))
        return self.random.choice(("", "/")) + "/".join(parts)

    def target(self) -> str:
        outside = str(self.prison.outside)
        up = "../" * self.random.randint(1, 5)
        known = (outside, f"{outside}/secret", "/", "..", up, f"{up}outside", f"{up}outside/secret")
        return self.random.choice((*known, self.path()))

    def run(self) -> None:
        while time.monotonic() < self.deadline and not self.caught:
            with contextlib.suppress(OSError):
                self.random.choice(self.moves)()
            self.done += 1
        self.files.close()

    def check(self, file: File) -> None:
        self.opened += 1
        if file.pread(100, 0) == SECRET:
            self.caught.append("read the secret")
        if not is_inside(self.prison, file):
            self.caught.append("opened a file outside")

    def read(self) -> None:
        file = self.files.open(self.path(), OpenFlag.READ, Attributes())
        try:
            self.check(file)
        finally:
            file.close()

    def write(self) -> None:
        file = self.files.open(self.path(), CREATE, Attributes())
        try:
            self.check(file)
            file.pwrite(b"x", 0)
        finally:
            file.close()

    def link(self) -> None:
        self.files.symlink(self.target(), self.path())

    def rename(self) -> None:
        self.files.rename(self.path(), self.path(), replace=self.random.random() < 0.5)

    def mkdir(self) -> None:
        self.files.mkdir(self.path(), Attributes())

    def list(self) -> None:
        listing = self.files.scandir(self.path())
        try:
            where = os.readlink(f"/proc/self/fd/{listing._number}").removesuffix(" (deleted)")
            if where != str(self.prison.root) and not where.startswith(f"{self.prison.root}/"):
                self.caught.append("listed a directory outside")
        finally:
            listing.close()

    def chmod(self) -> None:
        self.files.set_attributes(self.path(), Attributes(permissions=0o750, atime=1, mtime=1))

    def truncate(self) -> None:
        self.files.set_attributes(self.path(), Attributes(size=2))

    def remove(self) -> None:
        path = self.path()
        self.random.choice((self.files.remove, self.files.rmdir))(path)

    def hard(self) -> None:
        self.files.link(self.path(), self.path())

    def exchange(self) -> None:
        """Put a link where a directory was, as fast as can be: a walk may be on its way there."""
        name = self.random.choice(self.NAMES)
        self.files.rename(name, f"{name}-away", replace=True)
        self.files.symlink(self.target(), name)
        self.files.remove(name)
        self.files.rename(f"{name}-away", name, replace=True)


@pytest.mark.timeout(60 + SECONDS)
def test_racing_clients_stay_inside(prison: Prison) -> None:
    deadline = time.monotonic() + SECONDS
    racers = [Racer(prison, seed, deadline) for seed in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert not [caught for racer in racers for caught in racer.caught]
    assert prison.unharmed()
    assert sum(racer.opened for racer in racers) > 10 * SECONDS
