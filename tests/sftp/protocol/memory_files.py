"""A filesystem of a few dicts, which answers the calls of a server, for tests."""

from __future__ import annotations

import errno
import hashlib
import stat
from collections.abc import Iterator

from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes, Entry, longname
from nacre.sftp.protocol.client import Result, SFTPClientProtocol
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.paths import normalise
from nacre.sftp.protocol.server import Call, SFTPServerProtocol


class OpenFile:
    def __init__(self, path: str) -> None:
        self.path = path


class OpenDirectory:
    def __init__(self, entries: Iterator[Entry]) -> None:
        self.entries = list(entries)


class MemoryFiles:
    """Files by absolute path; directories are in a set; links point at paths."""

    def __init__(self) -> None:
        self.files: dict[str, bytearray] = {}
        self.directories = {"/"}
        self.links: dict[str, str] = {}
        self.set: list[tuple[str, Attributes]] = []
        self.synced: list[str] = []
        self.closed: list[object] = []
        self.short = 0
        self.room = 1 << 40

    def serve(self, server: SFTPServerProtocol) -> None:
        """Answer every call that is there."""
        while (call := server.next_call()) is not None:
            try:
                self.answer(server, call)
            except OSError as error:
                server.send_error(call.id, error)
            except KeyError:
                server.send_error(call.id, OSError(errno.ENOENT, ""))

    def attributes(self, path: str) -> Attributes:
        path = normalise(path)
        if path in self.directories:
            return Attributes(0, 1, 2, stat.S_IFDIR | 0o755, 5, 6)
        if path in self.links:
            return Attributes(0, 1, 2, stat.S_IFLNK | 0o777, 5, 6)
        if path in self.files:
            return Attributes(len(self.files[path]), 1, 2, stat.S_IFREG | 0o644, 5, 6)
        raise OSError(errno.ENOENT, "")

    def follow(self, path: str) -> str:
        path = normalise(path)
        return self.links.get(path, path)

    def children(self, directory: str) -> Iterator[Entry]:
        directory = directory.rstrip("/") + "/"
        for path in sorted([*self.files, *self.directories, *self.links]):
            name = path.removeprefix(directory)
            if path.startswith(directory) and name and "/" not in name:
                found = self.attributes(path)
                yield Entry(name, longname(name, found, now=10.0), found)

    def answer(self, server: SFTPServerProtocol, call: Call) -> None:
        match call.request:
            case msg.Open(path, flags, _):
                server.send_handle(call.id, self.open(self.follow(path), flags))
            case msg.Close():
                self.closed.append(call.files[0])
                server.send_ok(call.id)
            case msg.Read(_, offset, length):
                length = min(length, self.short or length)
                server.send_data(call.id, bytes(self.data(call)[offset : offset + length]))
            case msg.Write(_, offset, data):
                self.write(self.data(call), offset, bytes(data))
                server.send_ok(call.id)
            case msg.Stat(path):
                server.send_attributes(call.id, self.attributes(self.follow(path)))
            case msg.LStat(path):
                server.send_attributes(call.id, self.attributes(path))
            case msg.FStat():
                server.send_attributes(call.id, self.attributes(self.path(call)))
            case msg.SetStat(path, attributes) | ext.LSetStat(path, attributes):
                self.set.append((path, attributes))
                server.send_ok(call.id)
            case msg.FSetStat(_, attributes):
                self.set.append((self.path(call), attributes))
                server.send_ok(call.id)
            case msg.OpenDir(path):
                if not self.attributes(path).is_directory:
                    raise OSError(errno.ENOTDIR, "")
                server.send_handle(call.id, OpenDirectory(self.children(normalise(path))))
            case msg.ReadDir():
                directory = call.files[0]
                assert isinstance(directory, OpenDirectory)
                sent = server.send_names(call.id, directory.entries)
                del directory.entries[:sent]
            case msg.ReadLink(path):
                server.send_path(call.id, self.links[normalise(path)])
            case msg.RealPath(path) | ext.ExpandPath(path):
                server.send_path(call.id, normalise(path))
            case ext.HomeDirectory(user):
                server.send_path(call.id, f"/home/{user}")
            case ext.FSync():
                self.synced.append(self.path(call))
                server.send_ok(call.id)
            case ext.CopyData(_, start, length, _, target):
                source = self.data(call, 0)
                end = start + length if length else len(source)
                self.write(self.data(call, 1), target, source[start:end])
                server.send_ok(call.id)
            case ext.StatVFS() | ext.FStatVFS():
                server.send_reply(call.id, ext.FileSystemStatus(*range(11)))
            case ext.UsersGroupsById(uids=uids, gids=gids):
                users = tuple("root" if uid == 0 else "" for uid in uids)
                groups = tuple(f"g{gid}" for gid in gids)
                server.send_reply(call.id, ext.UsersGroupsAnswer.of(users, groups))
            case ext.CheckFileHandle() | ext.CheckFile() | ext.CheckFileName():
                if isinstance(call.request, ext.CheckFileName):
                    data = self.files[call.request.path]
                else:
                    data = self.data(call)
                digest = hashlib.sha256(bytes(data)).digest()
                server.send_reply(call.id, ext.FileHashes("sha256", digest))
            case _:
                self.change(call)
                server.send_ok(call.id)

    def change(self, call: Call) -> None:
        match call.request:
            case msg.Remove(path):
                self.attributes(path)
                del self.files[normalise(path)]
            case msg.MkDir(path, _):
                if normalise(path) in self.directories:
                    raise OSError(errno.EEXIST, "")
                self.directories.add(normalise(path))
            case msg.RmDir(path):
                if any(self.children(normalise(path))):
                    raise OSError(errno.ENOTEMPTY, "")
                self.directories.remove(normalise(path))
            case msg.Rename(old, new) | ext.PosixRename(old, new):
                self.files[normalise(new)] = self.files.pop(normalise(old))
            case ext.HardLink(old, new):
                self.files[normalise(new)] = self.files[normalise(old)]
            case msg.SymLink(target, link):
                self.links[normalise(link)] = target
            case _:
                raise OSError(errno.EOPNOTSUPP, "")

    def open(self, path: str, flags: int) -> OpenFile:
        if path in self.directories:
            raise OSError(errno.EISDIR, "")
        if path not in self.files:
            if not flags & OpenFlag.CREAT:
                raise OSError(errno.ENOENT, "")
            self.files[path] = bytearray()
        elif flags & OpenFlag.TRUNC:
            self.files[path].clear()
        return OpenFile(path)

    def path(self, call: Call, which: int = 0) -> str:
        opened = call.files[which]
        assert isinstance(opened, OpenFile)
        return opened.path

    def data(self, call: Call, which: int = 0) -> bytearray:
        return self.files[self.path(call, which)]

    def write(self, file: bytearray, offset: int, data: bytes | bytearray | memoryview) -> None:
        if offset + len(data) > self.room:
            raise OSError(errno.ENOSPC, "")
        file.extend(bytes(max(0, offset - len(file))))
        file[offset : offset + len(data)] = data


class Both:
    """A client and a server back to back, with files behind the server."""

    def __init__(
        self, client: SFTPClientProtocol | None = None, server: SFTPServerProtocol | None = None
    ) -> None:
        self.files = MemoryFiles()
        self.client = client or SFTPClientProtocol()
        self.server = server or SFTPServerProtocol()
        self.results: dict[int, Result] = {}
        self.run()

    def run(self) -> None:
        """Let everything that was sent arrive and be answered."""
        while pieces := self.client.data_to_send():
            self.server.receive(b"".join(pieces))
            self.files.serve(self.server)
            self.results.update(self.client.receive(b"".join(self.server.data_to_send())))

    def call(self, request: msg.SFTPRequest[object]) -> Result:
        """Return the result of one request; raise it when it is a failure."""
        return self.result(self.client.send(request))

    def result(self, number: int) -> Result:
        self.run()
        result = self.results.pop(number)
        if isinstance(result, OSError):
            raise result
        return b"".join(result) if isinstance(result, list) else result
