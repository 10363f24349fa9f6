"""Rules for directories over a local directory, memory and a storage: what each method needs."""

from __future__ import annotations

import errno
import os
import random
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from nacre.aio.maybe import settled
from nacre.sftp.filesystems.base import File, Filesystem, NotPermitted, WrappedFilesystem
from nacre.sftp.filesystems.local import LocalFilesystem
from nacre.sftp.filesystems.memory import MemoryFilesystem
from nacre.sftp.filesystems.rights import NEEDS, RightsFilesystem
from nacre.sftp.filesystems.rules import RIGHTS, parse_rules
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.server.opened import carried_out
from sftp.filesystems.test_every_filesystem import get, put, storage

READ, WRITE = OpenFlag.READ, OpenFlag.WRITE
CREAT, TRUNC, EXCL, APPEND = OpenFlag.CREAT, OpenFlag.TRUNC, OpenFlag.EXCL, OpenFlag.APPEND
NONE = Attributes()

Act = Callable[[Any], Any]


def made(kind: str, path: Path) -> Any:
    """Return a filesystem with ``/in`` and ``/other``, a file and a directory in each."""
    kinds: dict[str, Callable[[], Any]] = {
        "local": lambda: LocalFilesystem(path),
        "memory": MemoryFilesystem,
        "fsspec": storage,
    }
    files = kinds[kind]()
    for directory in ("/in", "/other"):
        files.mkdir(directory, NONE)
        files.mkdir(f"{directory}/sub", NONE)
        put(files, f"{directory}/file", directory.encode())
        put(files, f"{directory}/sub/below", b"below")
    return files


class Judged:
    """A filesystem behind rules; its coroutines, which wait for nothing, are carried out."""

    def __init__(self, inner: Any, *rules: str) -> None:
        self.inner = inner
        self.files = RightsFilesystem(inner, parse_rules(rules))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self.files, name)

        def call(*args: Any, **options: Any) -> Any:
            return carried_out(settled(method(*args, **options)))

        return call

    def opened(self, path: str, flags: OpenFlag) -> None:
        self.open(path, flags, NONE).close()

    def names(self, path: str) -> list[str]:
        listing = self.scandir(path)
        try:
            return sorted(entry.name for entry in listing if entry.name not in (".", ".."))
        finally:
            listing.close()


def denied(act: Callable[[], object], reason: str = "") -> None:
    with pytest.raises(NotPermitted) as caught:
        act()
    assert caught.value.errno == errno.EACCES
    assert reason in (caught.value.strerror or ""), caught.value


@pytest.fixture(params=["local", "memory", "fsspec"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["local", "memory"])
def linking(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A filesystem with links."""
    files = made(request.param, tmp_path)
    yield files
    files.close()


MODE = Attributes(permissions=0o600)
TIMES = Attributes(atime=1, mtime=2)

ROWS: list[tuple[str, str, Act]] = [
    ("read", "download", lambda fs: fs.opened("/in/file", READ)),
    ("no flags", "download", lambda fs: fs.opened("/in/file", OpenFlag(0))),
    ("change", "overwrite", lambda fs: fs.opened("/in/file", WRITE)),
    ("append", "overwrite", lambda fs: fs.opened("/in/file", APPEND | WRITE)),
    ("truncate by open", "overwrite", lambda fs: fs.opened("/in/file", WRITE | TRUNC)),
    ("put over", "overwrite", lambda fs: fs.opened("/in/file", WRITE | CREAT | TRUNC)),
    ("read and change", "download overwrite", lambda fs: fs.opened("/in/file", READ | WRITE)),
    ("truncate alone", "download overwrite", lambda fs: fs.opened("/in/file", TRUNC)),
    ("create", "upload", lambda fs: fs.opened("/in/new", WRITE | CREAT)),
    ("put", "upload", lambda fs: fs.opened("/in/new", WRITE | CREAT | TRUNC)),
    ("create exclusively", "upload", lambda fs: fs.opened("/in/new", WRITE | CREAT | EXCL)),
    ("create to read", "download upload", lambda fs: fs.opened("/in/new", READ | WRITE | CREAT)),
    ("create alone", "download upload", lambda fs: fs.opened("/in/new", CREAT)),
    ("scandir", "list", lambda fs: fs.names("/in")),
    ("scandir below", "list", lambda fs: fs.names("/in/sub")),
    ("mkdir", "mkdir", lambda fs: fs.mkdir("/in/new", NONE)),
    ("mkdir/", "mkdir", lambda fs: fs.mkdir("/in/new/", NONE)),
    ("rmdir", "delete", lambda fs: fs.rmdir("/in/sub")),
    ("remove", "delete", lambda fs: fs.remove("/in/file")),
    ("truncate", "overwrite", lambda fs: fs.set_attributes("/in/file", Attributes(size=1))),
    ("chmod", "chmod", lambda fs: fs.set_attributes("/in/file", MODE)),
    ("lchmod", "chmod", lambda fs: fs.set_attributes("/in/file", TIMES, follow_symlinks=False)),
    ("nothing set", "chmod", lambda fs: fs.set_attributes("/in/file", NONE)),
    (
        "truncate and chmod",
        "overwrite chmod",
        lambda fs: fs.set_attributes("/in/file", MODE._replace(size=1)),
    ),
    ("rename", "rename upload", lambda fs: fs.rename("/in/file", "/in/new", replace=False)),
    ("posix-rename", "rename upload", lambda fs: fs.rename("/in/file", "/in/new", replace=True)),
    ("rename directory", "rename upload", lambda fs: fs.rename("/in/sub", "/in/d", replace=False)),
    (
        "replace",
        "rename overwrite",
        lambda fs: fs.rename("/in/file", "/in/sub/below", replace=True),
    ),
    ("symlink", "symlink", lambda fs: fs.symlink("file", "/in/new")),
    ("readlink", "list", lambda fs: fs.readlink("/in/link")),
    ("link", "rename upload", lambda fs: fs.link("/in/file", "/in/new")),
]
"""What is done, the rights that it needs, and how."""

LINKS = {"symlink", "readlink", "link"}


@pytest.mark.parametrize(("what", "needed", "act"), ROWS, ids=[row[0] for row in ROWS])
def test_each_method_needs_its_rights_and_no_others(
    kind: str, what: str, needed: str, act: Act, tmp_path: Path
) -> None:
    if kind == "fsspec" and (what in LINKS or what == "rename directory"):
        pytest.skip("a storage has no links")
    if (kind, what) == ("fsspec", "rmdir"):
        needed = "delete"

    def attempt(rights: set[str], number: int) -> None:
        where = tmp_path / str(number)
        where.mkdir()
        files = made(kind, where)
        if kind != "fsspec":
            files.symlink("file", "/in/link")
        if what == "rmdir":
            files.remove("/in/sub/below")
        rule = ",".join(sorted(rights)) or "none"
        judged = Judged(files, f"/in:{rule}", "/other:*")
        try:
            act(judged)
        finally:
            files.close()

    wanted = set(needed.split())
    attempt(wanted, 0)
    for number, right in enumerate(sorted(wanted), 1):
        denied(lambda right=right, n=number: attempt(set(RIGHTS) - {right}, n), right)  # type: ignore[misc]
    denied(lambda: attempt(set(), 99))


def test_the_table_has_a_row_for_each_method_that_names_paths() -> None:
    """A method that is new in the interface needs a decision here."""
    judged = {"open", "scandir", "stat", "lstat", "set_attributes", "remove", "mkdir", "rmdir"}
    judged |= {"rename", "link", "symlink", "readlink", "realpath", "statvfs", "start_at"}
    passed_on = {"speak", "prompt", "home", "names", "numbers", "upload_ended", "close"}
    passed_on |= {"whole_uploads"}
    own = {"keep_to_real_paths", "blocking", "start", "read_only"}
    public = {name for name in vars(Filesystem) if not name.startswith("_")}
    assert public == judged | passed_on | own
    assert judged <= vars(RightsFilesystem).keys()
    assert passed_on == vars(WrappedFilesystem).keys() & public
    assert {right for needed in NEEDS.values() for right in needed} == set(RIGHTS)


LOOKS: list[Act] = [
    lambda fs: fs.stat("/in/file"),
    lambda fs: fs.lstat("/in/file"),
]


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("right", RIGHTS)
def test_attributes_need_list_or_download(kind: str, look: Act, right: str, tmp_path: Path) -> None:
    judged = Judged(made(kind, tmp_path), f"/in:{right}")
    if right in ("list", "download"):
        assert look(judged).size == 3
    else:
        denied(lambda: look(judged))
        denied(lambda: judged.stat("/in/missing"))
    # A directory in which something is allowed can be entered, and those on the way.
    for directory in ("/", "/in", "/in/sub"):
        assert judged.stat(directory).is_directory
        assert judged.realpath(directory) == directory
    denied(lambda: judged.stat("/other"))
    denied(lambda: judged.stat("/other/file"), "no rule holds here")


def test_what_may_not_be_looked_at_does_not_tell_whether_it_exists(linking: Any) -> None:
    linking.symlink("/other/sub", "/in/link")
    linking.symlink("/other/missing/x", "/in/dangling")
    judged = Judged(linking, "/in:*")
    for path in (
        *("/other", "/other/file", "/other/missing", "/other/missing/x/y", "/missing", "/m/x"),
        *("/in/../other/missing/x", "/in/link/missing/x", "/in/link/below", "/in/dangling/y"),
    ):
        for act in (judged.stat, judged.lstat, judged.scandir, judged.statvfs):
            denied(lambda act=act, path=path: act(path))  # type: ignore[misc]
        for flags in (READ, WRITE, WRITE | CREAT, WRITE | CREAT | EXCL):
            denied(lambda flags=flags, path=path: judged.opened(path, flags))  # type: ignore[misc]
    assert judged.realpath("/in/link/below") == "/in/link/below"
    assert judged.realpath("/in/link/missing/x/y") == "/in/link/missing/x/y"
    with pytest.raises(FileNotFoundError):
        judged.stat("/in/missing/x")


def test_many_links_that_lead_nowhere_are_denied(linking: Any) -> None:
    linking.symlink("/other/missing/x", "/in/l0")
    for number in range(1, 12):
        linking.symlink(f"l{number - 1}/y", f"/in/l{number}")
    linking.symlink("loop", "/in/loop")
    judged = Judged(linking, "/in:*")
    for number in range(12):
        denied(lambda n=number: judged.stat(f"/in/l{n}/z"))  # type: ignore[misc]
    denied(lambda: judged.realpath("/in/l11/z"), "too many links")
    with pytest.raises(OSError) as caught:  # noqa: PT011
        judged.stat("/in/loop/x")
    assert caught.value.errno == errno.ELOOP


def test_a_link_has_the_rights_of_where_it_leads(linking: Any) -> None:
    for target, name in (("../other", "dir"), ("/other/file", "file"), ("/other/new", "new")):
        linking.symlink(target, f"/in/{name}-link")
    judged = Judged(linking, "/in:*", "/other:list")
    assert judged.names("/in/dir-link") == ["file", "sub"]
    assert judged.stat("/in/file-link").size == 6
    assert judged.realpath("/in/dir-link/sub") == "/other/sub"
    for act in (
        lambda: judged.opened("/in/file-link", READ),
        lambda: judged.opened("/in/dir-link/file", READ),
        lambda: judged.opened("/in/dir-link/../other/file", READ),
        lambda: judged.opened("/in/file-link", WRITE),
        lambda: judged.opened("/in/new-link", WRITE | CREAT),
        lambda: judged.set_attributes("/in/file-link", MODE),
        lambda: judged.remove("/in/dir-link/file"),
        lambda: judged.rmdir("/in/dir-link/sub"),
        lambda: judged.mkdir("/in/dir-link/d", NONE),
        lambda: judged.rename("/in/dir-link/file", "/in/f", replace=False),
        lambda: judged.rename("/in/file", "/in/dir-link/f", replace=False),
        lambda: judged.link("/in/dir-link/file", "/in/f"),
        lambda: judged.symlink("x", "/in/dir-link/f"),
    ):
        denied(act)
    # The links themselves are names of /in.
    assert judged.readlink("/in/dir-link") == "../other"
    judged.rename("/in/dir-link", "/in/other-name", replace=False)
    judged.remove("/in/other-name")
    assert get(linking, "/other/file") == b"/other"


class Swapping(LocalFilesystem):
    """Runs ``swap`` when a path was resolved, and so judged, but not used yet."""

    swap: Callable[[], None] | None = None

    def realpath(self, path: str) -> str:
        found = super().realpath(path)
        if self.swap is not None:
            swap, self.swap = self.swap, None
            swap()
        return found


SWAPPED: list[tuple[str, Act]] = [
    ("open", lambda fs: fs.opened("/in/sub/below", READ)),
    ("create", lambda fs: fs.opened("/in/sub/new", WRITE | CREAT)),
    ("change", lambda fs: fs.opened("/in/sub/below", WRITE)),
    ("scandir", lambda fs: fs.names("/in/sub")),
    ("stat", lambda fs: fs.stat("/in/sub/below")),
    ("lstat", lambda fs: fs.lstat("/in/sub/below")),
    ("set", lambda fs: fs.set_attributes("/in/sub/below", MODE)),
    ("remove", lambda fs: fs.remove("/in/sub/below")),
    ("mkdir", lambda fs: fs.mkdir("/in/sub/d", NONE)),
    ("rmdir", lambda fs: fs.rmdir("/in/sub/d")),
    ("rename", lambda fs: fs.rename("/in/sub/below", "/in/f", replace=False)),
    ("rename to", lambda fs: fs.rename("/in/file", "/in/sub/f", replace=True)),
    ("link", lambda fs: fs.link("/in/sub/below", "/in/f")),
    ("symlink", lambda fs: fs.symlink("x", "/in/sub/f")),
    ("statvfs", lambda fs: fs.statvfs("/in/sub/below")),
]


def tree(path: Path) -> list[tuple[str, int]]:
    return sorted((str(one), one.lstat().st_mode) for one in path.rglob("*"))


@pytest.mark.parametrize(("what", "act"), SWAPPED, ids=[row[0] for row in SWAPPED])
def test_a_link_that_comes_between_check_and_use_leads_nowhere(
    what: str, act: Act, tmp_path: Path
) -> None:
    made("local", tmp_path).close()
    files = Swapping(tmp_path)
    (tmp_path / "other" / "sub" / "d").mkdir()
    before = tree(tmp_path / "other")

    def swap() -> None:
        (tmp_path / "in" / "sub").rename(tmp_path / "in" / "old")
        (tmp_path / "in" / "sub").symlink_to("../other/sub")

    judged = Judged(files, "/in:*", "/other:none")
    files.swap = swap
    with pytest.raises(OSError) as caught:  # noqa: PT011
        act(judged)
    assert caught.value.errno in (errno.ELOOP, errno.EACCES, errno.ENOTDIR)
    assert files.swap is None, "the link was swapped"
    assert tree(tmp_path / "other") == before
    files.close()


@pytest.mark.parametrize("flags", [READ, WRITE, WRITE | CREAT, WRITE | CREAT | TRUNC])
def test_a_file_that_becomes_a_link_is_not_opened(flags: OpenFlag, tmp_path: Path) -> None:
    made("local", tmp_path).close()
    files = Swapping(tmp_path)

    def swap() -> None:
        (tmp_path / "in" / "file").unlink()
        (tmp_path / "in" / "file").symlink_to("../other/file")

    judged = Judged(files, "/in:*", "/other:none")
    files.swap = swap
    with pytest.raises(OSError) as caught:  # noqa: PT011
        judged.opened("/in/file", flags)
    assert caught.value.errno == errno.ELOOP
    assert (tmp_path / "other" / "file").read_bytes() == b"/other"
    files.close()


def test_no_method_but_realpath_follows_a_link_any_more(tmp_path: Path) -> None:
    files = made("local", tmp_path)
    files.symlink("sub", "/in/link")
    assert files.stat("/in/link/below").size == 5
    files.keep_to_real_paths()
    assert files.realpath("/in/link/below") == "/in/sub/below"
    for call in (files.stat, files.lstat, files.scandir, files.remove):
        with pytest.raises(OSError) as caught:  # noqa: PT011
            call("/in/link/below")
        assert caught.value.errno == errno.ELOOP
    files.start_at("/in/link")
    assert files.start == "/in/sub"
    with pytest.raises(OSError) as caught:  # noqa: PT011
        files.stat("../link/below")
    assert caught.value.errno == errno.ELOOP
    files.close()


def test_upload_alone_overwrites_nothing(kind: str, tmp_path: Path) -> None:
    files = made(kind, tmp_path)
    judged = Judged(files, "/in:upload,rename")
    judged.opened("/in/new", WRITE | CREAT | TRUNC)
    for flags in (WRITE, WRITE | CREAT, WRITE | CREAT | TRUNC, WRITE | TRUNC):
        denied(lambda flags=flags: judged.opened("/in/file", flags), "overwrite")  # type: ignore[misc]
    with pytest.raises(FileExistsError):
        judged.opened("/in/file", WRITE | CREAT | EXCL)
    denied(lambda: judged.rename("/in/new", "/in/file", replace=True), "overwrite")
    with pytest.raises(FileExistsError):
        judged.rename("/in/new", "/in/file", replace=False)
    assert get(files, "/in/file") == b"/in"


def test_overwrite_alone_makes_nothing(kind: str, tmp_path: Path) -> None:
    judged = Judged(made(kind, tmp_path), "/in:overwrite,rename")
    for flags in (WRITE | CREAT, WRITE | CREAT | TRUNC, WRITE | CREAT | EXCL):
        denied(lambda flags=flags: judged.opened("/in/new", flags), "upload")  # type: ignore[misc]
    with pytest.raises(FileNotFoundError):
        judged.opened("/in/new", WRITE)
    denied(lambda: judged.rename("/in/file", "/in/new", replace=True), "upload")
    denied(lambda: judged.rename("/in/file", "/in/new", replace=False), "upload")


def test_a_handle_does_what_it_was_opened_for(kind: str, tmp_path: Path) -> None:
    judged = Judged(made(kind, tmp_path), "/in:download,upload,overwrite")
    reading = judged.open("/in/file", READ, NONE)
    assert bytes(carried_out(settled(reading.pread(10, 0)))) == b"/in"
    for call in (
        lambda: reading.pwrite(b"x", 0),
        lambda: reading.set_attributes(Attributes(size=0)),
    ):
        with pytest.raises(OSError) as caught:  # noqa: PT011
            call()
        assert caught.value.errno == errno.EBADF
    for changed in (MODE, TIMES, Attributes(uid=1, gid=1)):
        denied(lambda changed=changed: reading.set_attributes(changed), "chmod")  # type: ignore[misc]
    writing = judged.open("/in/file", WRITE, NONE)
    for call in (
        lambda: writing.pread(10, 0),
        lambda: reading.copy_from(reading, 0, 1, 0),
        lambda: writing.copy_from(writing, 0, 1, 0),
    ):
        with pytest.raises(OSError) as caught:  # noqa: PT011
            call()
        assert caught.value.errno == errno.EBADF
    denied(lambda: writing.set_attributes(MODE), "chmod")
    writing.set_attributes(TIMES._replace(size=2))
    new = judged.open("/in/new", WRITE | CREAT, NONE)
    new.set_attributes(MODE._replace(atime=1, mtime=2))
    denied(lambda: new.set_attributes(Attributes(uid=1, gid=1)), "chmod")
    for file in (reading, writing, new):
        file.close()
    judged = Judged(made(kind, tmp_path / "in"), "/in:download,chmod")
    reading = judged.open("/in/file", READ, NONE)
    if kind != "fsspec":
        reading.set_attributes(MODE)
    reading.close()


def test_a_file_is_copied_by_the_filesystem_behind(tmp_path: Path) -> None:
    judged = Judged(made("local", tmp_path), "/in:*")
    source = judged.open("/in/file", READ, NONE)
    target = judged.open("/in/new", WRITE | CREAT, NONE)
    assert target.copy_from(source, 0, 10, 0) == 3
    source.close()
    target.close()
    assert (tmp_path / "in" / "new").read_bytes() == b"/in"


def test_a_file_goes_to_another_rule_for_who_could_copy_and_delete_it(linking: Any) -> None:
    enough = "rename,download,delete"
    for missing in enough.split(","):
        rights = ",".join(sorted(set(RIGHTS) - {missing}))
        judged = Judged(linking, f"/in:{rights}", "/other:*")
        for replace in (True, False):
            denied(
                lambda j=judged, r=replace: j.rename("/in/file", "/other/new", replace=r),  # type: ignore[misc]
                missing,
            )
    judged = Judged(linking, f"/in:{enough}", "/other:upload")
    judged.rename("/in/file", "/other/new", replace=True)
    assert get(linking, "/other/new") == b"/in"
    put(linking, "/in/file", b"again")
    denied(lambda: judged.rename("/in/file", "/other/new", replace=True), "overwrite")
    with pytest.raises(FileExistsError):
        judged.rename("/in/file", "/other/new", replace=False)
    judged = Judged(linking, f"/in:{enough}", "/other:overwrite")
    judged.rename("/in/file", "/other/new", replace=True)
    assert get(linking, "/other/new") == b"again"
    with pytest.raises(FileNotFoundError):
        linking.lstat("/in/file")
    assert sorted(e.name for e in linking.scandir("/other") if e.name[0] != ".") == [
        *("file", "new", "sub")
    ]


def test_a_file_that_is_moved_over_another_name_of_itself_leaves_one(tmp_path: Path) -> None:
    files = made("local", tmp_path)
    files.link("/in/file", "/other/same")
    judged = Judged(files, "/in:*", "/other:*,deny=x")
    judged.rename("/in/file", "/other/same", replace=True)
    assert sorted(os.listdir(tmp_path / "in")) == ["sub"]
    assert sorted(os.listdir(tmp_path / "other")) == ["file", "same", "sub"]
    files.close()


def test_a_storage_moves_nothing_to_another_rule(tmp_path: Path) -> None:
    judged = Judged(made("fsspec", tmp_path), "/in:*", "/other:*,deny=x")
    with pytest.raises(OSError, match="copy it") as caught:
        judged.rename("/in/file", "/other/new", replace=False)
    assert caught.value.errno == errno.EXDEV
    judged.rename("/in/file", "/in/new", replace=False)


def test_a_directory_keeps_its_rights(linking: Any) -> None:
    linking.mkdir("/in/sub/ruled", NONE)
    judged = Judged(linking, "/:*", "/in:*,deny=x", "/in/sub/ruled:none", "/free:list")
    for old, new, reason in (
        ("/in/sub", "/other/d", "/in/sub/ruled has a rule"),
        ("/in/sub", "/in/d", "/in/sub/ruled has a rule"),
        ("/in", "/d", "/in has a rule of its own"),
        ("/other/sub", "/in/d", "would get the rights of /in"),
        ("/other/sub", "/free", "/free has a rule"),
        ("/other/file", "/free", "/free has a rule"),
        ("/other/sub", "/in/sub/ruled", "/in/sub/ruled has a rule"),
    ):
        for replace in (True, False):
            denied(
                lambda old=old, new=new, r=replace: judged.rename(old, new, replace=r),  # type: ignore[misc]
                reason,
            )
    judged.rename("/other/sub", "/other/moved", replace=False)
    judged.rename("/other/moved", "/moved", replace=False)


def test_a_directory_that_takes_a_files_place_is_not_moved(tmp_path: Path) -> None:
    class Late(LocalFilesystem):
        def lstat(self, path: str) -> Attributes:
            found = super().lstat(path)
            if path == "/in/file" and not found.is_directory:
                (tmp_path / "in" / "file").unlink()
                (tmp_path / "in" / "sub").rename(tmp_path / "in" / "file")
            return found

    made("local", tmp_path).close()
    files = Late(tmp_path)
    judged = Judged(files, "/in:*", "/other:*,deny=x")
    for replace in (True, False):
        with pytest.raises(OSError) as caught:  # noqa: PT011
            judged.rename("/in/file", "/other/new", replace=replace)
        assert caught.value.errno in (errno.EPERM, errno.EACCES)
        assert sorted(os.listdir(tmp_path / "other")) == ["file", "sub"]
    files.close()


def test_no_hard_link_has_other_rights(linking: Any) -> None:
    judged = Judged(linking, "/in:*", "/other:*,deny=x")
    denied(lambda: judged.link("/in/file", "/other/new"), "other rights")
    judged.link("/in/file", "/in/sub/new")


def test_patterns_hold_for_every_method(linking: Any) -> None:
    for name in ("a.exe", "b.txt", ".git"):
        put(linking, f"/in/{name}", b"x")
    linking.mkdir("/in/dir.exe", NONE)
    put(linking, "/in/dir.exe/c.txt", b"x")
    judged = Judged(linking, "/in:*,deny=*.exe,allow=*.txt,allow=file")
    assert judged.names("/in") == ["b.txt", "file", "sub"]
    for act in (
        lambda: judged.opened("/in/a.exe", READ),
        lambda: judged.opened("/in/new.exe", WRITE | CREAT),
        lambda: judged.opened("/in/new", WRITE | CREAT),
        lambda: judged.opened("/in/dir.exe/c.txt", READ),
        lambda: judged.stat("/in/a.exe"),
        lambda: judged.stat("/in/dir.exe"),
        lambda: judged.names("/in/dir.exe"),
        lambda: judged.remove("/in/a.exe"),
        lambda: judged.rename("/in/b.txt", "/in/b.exe", replace=False),
        lambda: judged.rename("/in/a.exe", "/in/a.txt", replace=False),
        lambda: judged.link("/in/a.exe", "/in/a.txt"),
        lambda: judged.symlink("b.txt", "/in/l"),
        lambda: judged.mkdir("/in/new.exe", NONE),
        lambda: judged.set_attributes("/in/a.exe", MODE),
    ):
        denied(act, "a pattern of /in denies the name")
    judged.mkdir("/in/plain", NONE)
    assert judged.stat("/in/plain").is_directory
    assert judged.names("/in/plain") == []
    judged.rmdir("/in/plain")
    judged.opened("/in/new.txt", WRITE | CREAT)
    judged.symlink("a.exe", "/in/l.txt")
    denied(lambda: judged.opened("/in/l.txt", READ))


def test_what_the_filesystem_behind_says_is_kept(tmp_path: Path) -> None:
    files = LocalFilesystem(tmp_path, user="alice", read_only=True)
    (tmp_path / "d").mkdir()
    judged = Judged(files, "/:*")
    assert judged.files.read_only
    assert judged.files.blocking
    assert judged.files.prompt == files.prompt
    judged.start_at("/d")
    assert judged.files.start == files.start == "/d"
    assert judged.realpath(".") == "/d"
    assert judged.realpath("") == "/d"
    assert judged.home("alice") == "/"
    assert judged.files.names((os.geteuid(),), ()) == (("alice",), ())
    assert judged.files.numbers(("alice",), ()) == ((os.geteuid(),), ())
    judged.close()


def test_a_filesystem_that_may_follow_links_is_refused() -> None:
    with pytest.raises(OSError, match="not supported"):
        RightsFilesystem(Filesystem(), parse_rules(["/:*"]))


class Waiting(Filesystem):
    """A filesystem with coroutines."""

    blocking = False

    def keep_to_real_paths(self) -> None:
        pass

    async def realpath(self, path: str) -> str:
        return super().realpath(path)  # type: ignore[return-value]

    async def lstat(self, path: str) -> Attributes:
        return Attributes(permissions=stat.S_IFDIR | 0o755)

    async def scandir(self, path: str) -> AsyncIterator[Entry]:
        async def entries() -> AsyncIterator[Entry]:
            for name in (".", "..", "a", "b"):
                yield Entry(name, "", NONE)

        return entries()

    async def open(self, path: str, flags: OpenFlag, attributes: Attributes) -> File:
        return File()


async def test_over_coroutines() -> None:
    files = RightsFilesystem(Waiting(), parse_rules(["/:list,deny=b"]))
    assert not files.blocking
    listing: Any = await files.scandir("/")
    assert [entry.name async for entry in listing] == [".", "..", "a"]
    await listing.aclose()
    with pytest.raises(NotPermitted):
        await files.open("/a", READ, NONE)
    assert (await files.lstat("/a")).is_directory


WORDS = ["in", "secret", "sub", "file", "a", "b", "..", ".", "pub", "new"]
LINKED = ["../secret", "/secret/file", "/secret", "..", "/", "../in/a", "a", "/pub", "sub/../../b"]


def contents(path: Path) -> list[tuple[str, int, int, bytes]]:
    """Return names, modes, links and contents below a directory."""
    return sorted(
        (
            str(one.relative_to(path)),
            one.lstat().st_mode,
            one.lstat().st_nlink,
            one.read_bytes() if one.is_file() else b"",
        )
        for one in path.rglob("*")
    )


@pytest.mark.parametrize("seed", range(10))
def test_no_sequence_of_requests_reaches_where_nothing_is_allowed(
    seed: int, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    for name in ("in", "pub", "secret"):
        (tmp_path / name / "sub" / "deep").mkdir(parents=True)
        (tmp_path / name / "file").write_text(f"{name} file")
        (tmp_path / name / "sub" / "file").write_text(f"{name} sub file")
    before = contents(tmp_path / "secret")
    files = LocalFilesystem(tmp_path)
    judged = Judged(files, "/:*", "/in:*", "/pub:list,download,upload,rename", "/secret:none")

    def path() -> str:
        return "/" + "/".join(chance.choices(WORDS, k=chance.randrange(5)))

    def read() -> None:
        file = judged.open(path(), READ, NONE)
        try:
            assert b"secret" not in file.pread(100, 0)
        finally:
            file.close()

    def write() -> None:
        flags = [WRITE, WRITE | CREAT, WRITE | CREAT | TRUNC, WRITE | CREAT | EXCL, APPEND | WRITE]
        file = judged.open(path(), chance.choice(flags), NONE)
        try:
            file.pwrite(b"written", 0)
        finally:
            file.close()

    acts: list[Callable[[], object]] = [
        read,
        write,
        lambda: judged.names(path()),
        lambda: judged.stat(path()),
        lambda: judged.realpath(path()),
        lambda: judged.remove(path()),
        lambda: judged.mkdir(path(), NONE),
        lambda: judged.rmdir(path()),
        lambda: judged.rename(path(), path(), replace=chance.random() < 0.5),
        lambda: judged.link(path(), path()),
        lambda: judged.symlink(chance.choice(LINKED), path()),
        lambda: judged.symlink(chance.choice(LINKED), "/in/" + chance.choice("ab")),
        lambda: judged.set_attributes(path(), chance.choice([MODE, Attributes(size=0)])),
    ]
    done = 0
    for _ in range(500):
        with suppress(OSError):
            chance.choice(acts)()
            done += 1
    assert done > 50
    assert contents(tmp_path / "secret") == before
    assert {"in", "pub", "secret"} <= set(os.listdir(tmp_path))
    files.close()
