"""Calls for tests: made by hand, or by a client and a server's protocol without I/O."""

from __future__ import annotations

import itertools
from typing import Any

from nacre.sftp.filesystems.base import File, Filesystem
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.client import SFTPClientProtocol
from nacre.sftp.protocol.server import Call, SFTPServerProtocol
from nacre.sftp.server.opened import OpenedFile

_numbers = itertools.count(1)


class VectorFile(File):
    vectors = True


def opened(path: str, file: File | None = None) -> OpenedFile:
    return OpenedFile(Filesystem(), path, file or VectorFile(), writable=True)


def call(request: msg.SFTPRequest[Any], *files: object) -> Call:
    return Call(next(_numbers), request, files)


def read(file: object, offset: int = 0, length: int = 10) -> Call:
    return call(msg.Read(b"", offset, length), file)


def write(file: object, offset: int = 0, size: int = 10) -> Call:
    return call(msg.Write(b"", offset, bytes(size)), file)


class BackToBack:
    """A client and a server's protocol, whose calls a test answers."""

    def __init__(self) -> None:
        self.client = SFTPClientProtocol()
        self.server = SFTPServerProtocol()
        self.up()
        self.client.receive(self.down())

    def up(self) -> list[Call]:
        """Take what the client sent to the server; return its calls."""
        calls = []
        for piece in self.client.data_to_send():
            self.server.receive(bytes(piece))
            while (one := self.server.next_call()) is not None:
                calls.append(one)
        return calls

    def down(self) -> bytes:
        return b"".join(self.server.data_to_send())

    def ask(self, request: msg.SFTPRequest[Any]) -> Call:
        self.client.send(request)
        (one,) = self.up()
        return one

    def open(self, file: object) -> bytes:
        """Have the server give out a handle of ``file``."""
        asked = self.ask(msg.Open("file", 1))
        self.server.send_handle(asked.id, file)
        ((_, handle),) = self.client.receive(self.down())
        assert isinstance(handle, bytes)
        return handle

    def reads(self, handle: bytes, *lengths: int) -> list[Call]:
        """Ask for bytes that follow one another."""
        offset = 0
        for length in lengths:
            self.client.send_read(handle, offset, length)
            offset += length
        return self.up()
