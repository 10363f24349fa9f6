"""Both ends back to back, over files in memory."""

from __future__ import annotations

import errno
import hashlib

import pytest

from nacre.errors import NoSuchFile, SFTPError
from nacre.limits import SFTPLimits
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.client import SFTPClientProtocol
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.server import SFTPServerProtocol
from sftp.protocol.memory_files import Both

NEW = OpenFlag.WRITE | OpenFlag.CREAT | OpenFlag.TRUNC
ODD_NAMES = [
    "a b",
    "new\nline",
    "ümlaut",
    b"\xff\xfe".decode("utf-8", "surrogateescape"),
    "x" * 255,
]


def put(both: Both, path: str, data: bytes) -> None:
    handle = both.call(msg.Open(path, NEW))
    assert isinstance(handle, bytes)
    both.result(both.client.send_write(handle, 0, data))
    both.call(msg.Close(handle))


def test_version_and_extensions() -> None:
    both = Both()
    assert both.client.ready
    assert both.client.extensions["statvfs@openssh.com"] == "2"
    assert both.client.offers("check-file-handle")
    assert not both.client.offers("flock@openssh.com")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_write_list_read_remove(name: str) -> None:
    both = Both()
    put(both, f"/{name}", b"content")
    directory = both.call(msg.OpenDir("/"))
    assert isinstance(directory, bytes)
    entries = both.call(msg.ReadDir(directory))
    assert isinstance(entries, tuple)
    assert [entry.name for entry in entries] == [name]
    assert entries[0].attributes.size == 7
    assert both.call(msg.ReadDir(directory)) is None
    handle = both.call(msg.Open(f"/{name}", OpenFlag.READ))
    assert isinstance(handle, bytes)
    assert both.result(both.client.send_read(handle, 3, 100)) == b"tent"
    assert both.result(both.client.send_read(handle, 7, 100)) is None
    assert both.call(msg.Read(handle, 0, 2)) == b"co"
    both.call(msg.Close(handle))
    both.call(msg.Remove(f"/{name}"))
    assert not both.files.files


def test_every_other_request() -> None:
    both = Both()
    put(both, "/f", b"12345")
    both.call(msg.MkDir("/d"))
    with pytest.raises(FileExistsError):
        both.call(msg.MkDir("/d"))
    both.call(msg.SymLink("/f", "/l"))
    assert both.call(msg.ReadLink("/l")) == "/f"
    found = [both.call(msg.Stat("/l")), both.call(msg.LStat("/l"))]
    assert [isinstance(a, Attributes) and a.is_symlink for a in found] == [False, True]
    both.call(msg.SetStat("/f", Attributes(permissions=0o600)))
    both.call(ext.LSetStat("/l", Attributes(atime=1, mtime=2)))
    both.call(msg.Rename("/f", "/g"))
    both.call(ext.PosixRename("/g", "/h"))
    both.call(ext.HardLink("/h", "/i"))
    assert both.call(msg.RealPath("d/../h")) == "/h"
    assert both.call(ext.ExpandPath("/x/..")) == "/"
    assert both.call(ext.HomeDirectory("me")) == "/home/me"
    both.call(msg.RmDir("/d"))
    assert both.call(ext.StatVFS("/")) == ext.FileSystemStatus(*range(11))
    names = both.call(ext.UsersGroupsById.of((0, 1), (5,)))
    assert names == (("root", ""), ("g5",))
    handle = both.call(msg.Open("/h", OpenFlag.READ | OpenFlag.WRITE))
    target = both.call(msg.Open("/copy", NEW))
    assert isinstance(handle, bytes)
    assert isinstance(target, bytes)
    both.call(msg.FSetStat(handle, Attributes(size=3)))
    both.call(ext.FSync(handle))
    both.call(ext.CopyData(handle, 1, 2, target, 0))
    assert both.files.files["/copy"] == b"23"
    assert both.files.synced == ["/h"]
    assert [path for path, _ in both.files.set] == ["/f", "/l", "/h"]
    digest = hashlib.sha256(b"12345").digest()
    for request in (
        ext.CheckFileHandle(handle, "sha256", 0, 0, 0),
        ext.CheckFile(handle, "sha256", 0, 0, 0),
        ext.CheckFileName("/h", "sha256", 0, 0, 0),
    ):
        assert both.call(request) == ext.FileHashes("sha256", digest)


def test_failures_name_the_path() -> None:
    both = Both()
    with pytest.raises(FileNotFoundError) as caught:
        both.call(msg.Stat("/missing"))
    assert caught.value.filename == "/missing"
    with pytest.raises(NoSuchFile):
        both.call(msg.Open("/missing", OpenFlag.READ))
    both.files.files["/f"] = bytearray()
    with pytest.raises(NotADirectoryError):
        both.call(msg.OpenDir("/f"))
    with pytest.raises(IsADirectoryError):
        both.call(msg.Open("/", OpenFlag.READ))


def test_a_full_disk_is_enospc() -> None:
    both = Both()
    handle = both.call(msg.Open("/f", NEW))
    assert isinstance(handle, bytes)
    both.files.room = 10
    with pytest.raises(SFTPError) as caught:
        both.result(both.client.send_write(handle, 8, b"abc"))
    assert caught.value.errno == errno.ENOSPC


def test_a_long_listing_comes_in_bounded_packets() -> None:
    both = Both()
    both.files.files = {f"/{i:060}": bytearray() for i in range(5000)}
    handle = both.call(msg.OpenDir("/"))
    assert isinstance(handle, bytes)
    names = []
    packets = 0
    while (entries := both.call(msg.ReadDir(handle))) is not None:
        assert isinstance(entries, tuple)
        names += [entry.name for entry in entries]
        packets += 1
    assert len(set(names)) == 5000
    assert packets >= 3


def test_limits_are_answered_without_the_filesystem() -> None:
    both = Both(server=SFTPServerProtocol(limits=SFTPLimits(handles=7)))
    found = both.call(ext.LimitsRequest())
    assert found == ext.ServerLimits(257 * 1024, 255 * 1024, 255 * 1024, 7)


def test_open_handles_are_bounded_and_come_back() -> None:
    both = Both(server=SFTPServerProtocol(limits=SFTPLimits(handles=3)))
    handles = [both.call(msg.OpenDir("/")) for _ in range(3)]
    with pytest.raises(SFTPError) as caught:
        both.call(msg.OpenDir("/"))
    assert caught.value.errno == errno.EMFILE
    assert isinstance(handles[0], bytes)
    both.call(msg.Close(handles[0]))
    new = both.call(msg.OpenDir("/"))
    assert new not in handles
    assert len(both.server.files) == 3


def test_handles_of_the_wrong_kind_and_stale_ones() -> None:
    both = Both()
    put(both, "/f", b"x")
    file = both.call(msg.Open("/f", OpenFlag.READ))
    directory = both.call(msg.OpenDir("/"))
    assert isinstance(file, bytes)
    assert isinstance(directory, bytes)
    for request in (
        msg.ReadDir(file),
        msg.Read(directory, 0, 1),
        msg.Read(b"no such", 0, 1),
        msg.Close(b""),
        ext.CopyData(file, 0, 0, directory, 0),
    ):
        with pytest.raises(SFTPError, match="Invalid handle"):
            both.call(request)
    both.call(msg.Close(file))
    for late in (msg.Read(file, 0, 1), msg.Close(file), msg.FStat(file)):
        with pytest.raises(SFTPError, match="Invalid handle"):
            both.call(late)


def test_what_is_not_offered_is_unsupported() -> None:
    both = Both(server=SFTPServerProtocol(extensions={"home-directory": "1"}))
    assert not both.client.offers("statvfs@openssh.com")
    both.client.extensions = ext.OFFERED  # A client that does not heed the announcement.
    with pytest.raises(SFTPError) as caught:
        both.call(ext.StatVFS("/"))
    assert caught.value.errno == errno.EOPNOTSUPP


def test_byte_by_byte() -> None:
    client, server = SFTPClientProtocol(), SFTPServerProtocol()
    both = Both(client, server)
    both.files.files["/f"] = bytearray(range(256))
    numbers = [client.send(msg.Stat("/f")), client.send(msg.Open("/f", 1))]
    for byte in b"".join(client.data_to_send()):
        server.receive(bytes((byte,)))
        both.files.serve(server)
    for byte in b"".join(server.data_to_send()):
        both.results.update(client.receive(bytes((byte,))))
    assert isinstance(both.results[numbers[0]], Attributes)
    assert isinstance(both.results[numbers[1]], bytes)
