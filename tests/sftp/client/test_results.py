"""A server's answers as the objects of os."""

from __future__ import annotations

import os
import stat

import pytest

from nacre.sftp.client.results import DirEntry, stat_result, statvfs_result
from nacre.sftp.protocol.attributes import Attributes, FileDetails
from nacre.sftp.protocol.extensions import FileSystemStatus


def test_attributes_have_their_places_in_a_stat_result() -> None:
    found = stat_result(Attributes(1, 2, 3, stat.S_IFREG | 0o640, 5, 6))
    assert (found.st_size, found.st_uid, found.st_gid) == (1, 2, 3)
    assert stat.filemode(found.st_mode) == "-rw-r-----"
    assert (found.st_atime, found.st_mtime) == (5, 6)


def test_what_a_server_does_not_send_is_0() -> None:
    found = stat_result(Attributes())
    assert list(found) == [0] * 10


def test_a_stat_result_has_what_later_versions_tell() -> None:
    details = FileDetails(atime_ns=250_000_000, mtime_ns=1, ctime=7, ctime_ns=3, links=2)
    found = stat_result(Attributes(1, 2, 3, stat.S_IFREG, 5, -6, (), details))
    assert (found.st_atime, found.st_nlink, found.st_ctime_ns) == (5.25, 2, 7_000_000_003)
    assert (found.st_atime_ns, found.st_mtime_ns) == (5_250_000_000, -5_999_999_999)
    assert list(found) == [stat.S_IFREG, 0, 0, 2, 2, 3, 1, 5, -6, 7]


def test_a_file_systems_state_has_its_places_in_a_statvfs_result() -> None:
    names = ("bsize", "frsize", "blocks", "bfree", "bavail", "files", "ffree", "favail")
    numbers = range(1, 12)
    found = statvfs_result(FileSystemStatus(*numbers))
    assert [getattr(found, f"f_{name}") for name in names] == list(range(1, 9))
    # The protocol has the id of the file system here, which os.statvfs_result has at its end.
    assert (found.f_flag, found.f_namemax) == (10, 11)


@pytest.mark.parametrize(
    ("mode", "kinds"),
    [
        (stat.S_IFDIR, (True, False, False)),
        (stat.S_IFREG, (False, True, False)),
        (stat.S_IFLNK, (False, False, True)),
        (stat.S_IFIFO, (False, False, False)),
    ],
)
def test_an_entry_is_of_one_kind(mode: int, kinds: tuple[bool, bool, bool]) -> None:
    entry = DirEntry("name", "/d/name", "", Attributes(permissions=mode | 0o600))
    assert (entry.is_dir(), entry.is_file(), entry.is_symlink()) == kinds
    assert entry.stat().st_mode == mode | 0o600


def test_an_entry_is_a_path() -> None:
    entry = DirEntry("name", "/d/name", "", Attributes(permissions=0o100644))
    assert os.fspath(entry) == "/d/name"
    assert os.path.basename(DirEntry(b"x", b"/d/x", "", Attributes())) == b"x"
    assert str(entry) == "<DirEntry 'name' -rw-r--r-->"
