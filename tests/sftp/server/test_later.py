from __future__ import annotations

import errno
import grp
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nacre.config.values import LogLevel
from nacre.errors import SFTPError
from nacre.sftp.filesystems.base import File, Filesystem
from nacre.sftp.filesystems.local import LocalFilesystem, SystemFilesystem
from nacre.sftp.filesystems.memory import MemoryFilesystem
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes, Entry, FileDetails
from nacre.sftp.protocol.chosen import version
from nacre.sftp.protocol.later import CHECK_ALWAYS, CHECK_IF_THERE, NO_CHECK, TEXT
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.server.agreed import Agreed
from nacre.sftp.server.calls import outcome_now
from nacre.sftp.server.journal import Journal
from nacre.sftp.server.later import LATER
from nacre.sftp.server.opened import OpenedFile
from nacre.sftp.server.transfer_log import TransferLog
from sftp.server.requests import call
from sftp.server.talk import Talk

TIMES = ("st_atime_ns", "st_mtime_ns", "st_ctime_ns")
ME, GROUP = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name


def done(filesystem: Filesystem, request: msg.SFTPRequest[Any], *files: object) -> Any:
    value, error = outcome_now(filesystem, call(request, *files), LATER)
    if error is not None:
        raise error
    return value


def failure(filesystem: Filesystem, request: msg.SFTPRequest[Any], *files: object) -> int | None:
    """Return the ``errno`` of a request that fails."""
    _, error = outcome_now(filesystem, call(request, *files), LATER)
    assert error is not None
    return error.errno


@pytest.fixture
def files(tmp_path: Path) -> Iterator[LocalFilesystem]:
    (tmp_path / "f").write_bytes(b"one\ntwo\nthree")
    system = SystemFilesystem(str(tmp_path), user="alice")
    Agreed(system).on(version(6))
    yield system
    system.close()


def test_attributes_have_names_and_parts_of_seconds(files: LocalFilesystem, tmp_path: Path) -> None:
    os.utime(tmp_path / "f", ns=(1_500_000_000, -2_250_000_000))
    opened = done(files, msg.Open("f", OpenFlag.READ))
    for found in (
        done(files, msg.Stat("f")),
        done(files, msg.LStat("f")),
        done(files, msg.FStat(b""), opened),
    ):
        assert (found.details.owner, found.details.group) == (ME, GROUP)
        assert (found.atime, found.details.atime_ns) == (1, 500_000_000)
        assert (found.mtime, found.details.mtime_ns) == (-3, 750_000_000)
        assert found.details.links == 1
    directory = done(files, msg.OpenDir("."))
    listed = done(files, msg.ReadDir(b""), directory)
    assert {entry.attributes.details.owner for entry in listed} == {ME}
    for one in (opened, directory):
        done(files, msg.Close(b""), one)


def test_a_number_stands_for_an_owner_without_a_name() -> None:
    files = MemoryFilesystem()
    files["/f"] = b""
    files.set_attributes("/f", Attributes(uid=1001, gid=1002))
    found = done(files, msg.Stat("/f"))
    assert (found.details.owner, found.details.group) == ("1001", "1002")

    class Named(MemoryFilesystem):
        def names(
            self, uids: tuple[int, ...], gids: tuple[int, ...]
        ) -> tuple[tuple[str, ...], tuple[str, ...]]:
            return ("alice",) * len(uids), ("",) * len(gids)

    named = Named()
    named["/f"] = b""
    entries = done(named, msg.ReadDir(b""), done(named, msg.OpenDir("/")))
    assert {entry.attributes.details[:2] for entry in entries} == {("alice", "0")}


def owned(owner: str, group: str) -> Attributes:
    return Attributes(details=FileDetails(owner=owner, group=group))


def test_owners_are_set_by_name_and_an_empty_name_is_kept(files: LocalFilesystem) -> None:
    seen: list[Attributes] = []

    class Watched(SystemFilesystem):
        def set_attributes(
            self, path: str, attributes: Attributes, *, follow_symlinks: bool = True
        ) -> None:
            seen.append(attributes)

    watched = Watched("/")
    uid, gid = os.geteuid(), os.getegid()
    for owner, group, wanted in (
        (ME, GROUP, (uid, gid)),
        (ME, "7", (uid, 7)),
        ("8", GROUP, (8, gid)),
        ("", "7", (0, 7)),
        ("8", "", (8, 0)),
    ):
        done(watched, msg.SetStat("/", owned(owner, group)))
        assert (seen[-1].uid, seen[-1].gid) == wanted
    for owner, group in (("no such user", GROUP), (ME, "no such group"), ("a\0b", GROUP)):
        assert failure(watched, msg.SetStat("/", owned(owner, group))) == errno.EINVAL
    watched.close()


def test_a_virtual_user_is_the_only_name_of_a_directory(tmp_path: Path) -> None:
    files = LocalFilesystem(tmp_path, user="alice")
    assert files.numbers(("alice",), ("alice",)) == ((os.geteuid(),), (os.getegid(),))
    with pytest.raises(OSError, match="Invalid argument"):
        files.numbers(("root",), ())
    files.close()
    with pytest.raises(OSError, match="Invalid argument"):
        Filesystem().numbers(("",), ())


def test_one_time_is_set_and_the_other_kept(files: LocalFilesystem, tmp_path: Path) -> None:
    path = tmp_path / "f"
    os.utime(path, ns=(1_500_000_000, 2_250_000_000))
    opened = done(files, msg.Open("f", OpenFlag.WRITE))
    mtime = Attributes()._replace(mtime=7, details=FileDetails(mtime_ns=5))
    done(files, msg.SetStat("f", mtime))
    assert (path.stat().st_atime_ns, path.stat().st_mtime_ns) == (1_500_000_000, 7_000_000_005)
    done(files, msg.FSetStat(b"", Attributes()._replace(atime=9)), opened)
    assert (path.stat().st_atime_ns, path.stat().st_mtime_ns) == (9_000_000_000, 7_000_000_005)
    done(files, ext.LSetStat("f", Attributes(atime=1, mtime=2)))
    assert (path.stat().st_atime_ns, path.stat().st_mtime_ns) == (1_000_000_000, 2_000_000_000)
    done(files, msg.Close(b""), opened)


def test_access_control_lists_are_refused(files: LocalFilesystem) -> None:
    wanted = Attributes(permissions=0o777, details=FileDetails(acl=b""))
    assert failure(files, msg.SetStat("f", wanted)) == errno.EOPNOTSUPP
    assert done(files, msg.Stat("f")).permissions & 0o777 != 0o777


def test_what_open_can_not_promise_is_refused(files: LocalFilesystem, tmp_path: Path) -> None:
    for options in (0x40, 0x800, TEXT | 0x400):
        assert (
            failure(files, msg.Open("new", OpenFlag.WRITE | OpenFlag.CREAT, Attributes(), options))
            == errno.EOPNOTSUPP
        )
    assert not (tmp_path / "new").exists()


def test_a_text_file_is_read_and_written_in_order(files: LocalFilesystem, tmp_path: Path) -> None:
    opened = done(files, msg.Open("f", OpenFlag.READ, Attributes(), TEXT))
    assert isinstance(opened, OpenedFile)
    assert not opened.file.vectors
    parts = [done(files, msg.Read(b"", 1 << 40, 5), opened) for _ in range(4)]
    assert b"".join(map(bytes, parts)) == b"one\ntwo\nthree"
    for line, rest in ((1, b"two\nthree"), (0, b"one\ntwo\nthree"), (2, b"three")):
        done(files, ext.TextSeek(b"", line), opened)
        assert bytes(done(files, msg.Read(b"", 0, 99), opened)) == rest
    assert failure(files, ext.TextSeek(b"", 3), opened) == errno.ENODATA
    assert done(files, msg.FStat(b""), opened).size == 13
    done(files, msg.Close(b""), opened)
    flags = OpenFlag.WRITE | OpenFlag.CREAT
    opened = done(files, msg.Open("new", flags, Attributes(), TEXT))
    for word in (b"a\n", b"b\n"):
        done(files, msg.Write(b"", 0, word), opened)
    done(files, ext.FSync(b""), opened)
    done(files, msg.FSetStat(b"", Attributes(permissions=0o600)), opened)
    assert done(files, ext.FStatVFS(b""), opened).namemax
    done(files, msg.Close(b""), opened)
    assert (tmp_path / "new").read_bytes() == b"a\nb\n"
    plain = done(files, msg.Open("f", OpenFlag.READ))
    with pytest.raises(OSError, match="not opened as text"):
        done(files, ext.TextSeek(b"", 0), plain)
    done(files, msg.Close(b""), plain)


def test_a_search_for_a_line_ends_with_the_session() -> None:
    class Endless(File):
        reads = 0

        def pread(self, size: int, offset: int) -> bytes:
            self.reads += 1
            opened.abandoned = self.reads == 3
            return b"x" * 10

    class Files(Filesystem):
        def open(self, path: str, flags: OpenFlag, attributes: Attributes) -> File:
            return Endless()

    opened = done(Files(), msg.Open("f", OpenFlag.READ, Attributes(), TEXT))
    done(Files(), ext.TextSeek(b"", 1), opened)
    assert opened.abandoned


def test_realpath_checks_as_it_is_told(files: LocalFilesystem, tmp_path: Path) -> None:
    (tmp_path / "l").symlink_to("f")
    top = str(tmp_path)
    for check in (0, NO_CHECK):
        assert done(files, msg.RealPath("l", check)) == Entry(f"{top}/f")
        assert done(files, msg.RealPath("no/such/../file", check)) == Entry(f"{top}/no/file")
    for check in (CHECK_IF_THERE, CHECK_ALWAYS):
        found = done(files, msg.RealPath("l", check))
        assert (found.name, found.attributes.size) == (f"{top}/f", 13)
        assert found.attributes.details.owner == ME
    assert done(files, msg.RealPath("none", CHECK_IF_THERE)) == Entry(f"{top}/none")
    for path in ("none", "no/such/file"):
        with pytest.raises(FileNotFoundError):
            done(files, msg.RealPath(path, CHECK_ALWAYS))


def test_a_read_only_filesystem_can_be_read_and_not_changed(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\n")
    files = LocalFilesystem(tmp_path, read_only=True)
    opened = done(files, msg.Open("f", OpenFlag.READ, Attributes(), TEXT))
    done(files, ext.TextSeek(b"", 1), opened)
    done(files, ext.FilenameTranslationControl(False))
    assert done(files, msg.RealPath("f", CHECK_ALWAYS)).attributes.size == 1
    for request in (
        msg.SetStat("f", Attributes(permissions=0)),
        ext.PosixRename("f", "g"),
        msg.Open("g", OpenFlag.CREAT, Attributes(), TEXT),
    ):
        assert failure(files, request) == errno.EROFS
    done(files, msg.Close(b""), opened)
    files.close()


def test_a_time_that_no_date_can_be_made_of_is_listed(tmp_path: Path) -> None:
    files = LocalFilesystem(tmp_path)
    Agreed(files).on(version(6))
    found = files.found(os.stat_result((0o100600, *[0] * 9), dict.fromkeys(TIMES, 10**27)))
    assert 10**9 < (found.mtime or 0) < 10**12
    files.close()


def test_times_of_a_later_version_are_told_to_clients_of_version_3() -> None:
    files = MemoryFilesystem()
    files["/f"] = b""
    for time, told in ((-5, 0), (1 << 40, (1 << 32) - 1)):
        done(files, msg.SetStat("/f", Attributes(mtime=time)))
        found = files.stat("/f")
        assert (found.atime, found.mtime) == (told, told)
        assert found.encode()


def test_what_is_set_is_logged() -> None:
    lines: list[str] = []
    fields: list[dict[str, object]] = []
    log = TransferLog(lambda level, text: lines.append(text), LogLevel.VERBOSE)
    journal = Journal(lambda event, **record: fields.append(record), detailed=True)
    named = owned("a\n", "b")._replace(atime=7)
    for one in (log, journal):
        one.done(call(msg.SetStat("f", named)), None, None)
    assert fields[0]["set"] == 'owner:"a\\x0a":"b",times:7:None'
    assert lines == ['set "f" owner "a\\x0a" group "b"']
    log.codes = version(6).codes
    log.done(call(msg.RmDir("f")), None, OSError(errno.ENOTEMPTY, ""))
    assert lines[-1] == "sent status Dir not empty"


@pytest.mark.parametrize("number", [4, 5, 6])
async def test_a_session_from_end_to_end(number: int, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"content")
    files = LocalFilesystem(tmp_path, user="alice")
    talk = Talk(files)
    talk.client.propose(number)
    async with talk:
        assert talk.client.version is version(number)
        found = await talk.call(msg.Stat("f"))
        assert (found.size, found.details.owner) == (7, "alice")
        await talk.call(msg.SetStat("f", Attributes(mtime=5, details=FileDetails(mtime_ns=6))))
        assert (tmp_path / "f").stat().st_mtime_ns == 5_000_000_006
        assert await talk.call(msg.RealPath("f")) == "/f"
        with pytest.raises(SFTPError) as caught:
            await talk.call(msg.MkDir("f"))
        assert caught.value.code == 11
        handle = await talk.call(msg.OpenDir("/"))
        entries = await talk.call(msg.ReadDir(handle))
        assert {entry.name for entry in entries} == {".", "..", "f"}


async def test_a_capped_session_speaks_version_3(tmp_path: Path) -> None:
    talk = Talk(LocalFilesystem(tmp_path), highest=3)
    talk.client.propose(6)
    async with talk:
        assert talk.client.version is version(3)
