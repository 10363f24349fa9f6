"""Calls for tests: made by hand, or by a client and a server's protocol without I/O."""

from __future__ import annotations

import itertools
import socket
import tempfile
from collections.abc import Sequence
from typing import Any

from nacre.sftp.filesystems.base import File, Filesystem
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.client import SFTPClientProtocol
from nacre.sftp.protocol.extensions import take_pairs
from nacre.sftp.protocol.messages import FXP
from nacre.sftp.protocol.server import Call, SFTPServerProtocol
from nacre.sftp.protocol.status import FX
from nacre.sftp.server.journal import Journal
from nacre.sftp.server.opened import OpenedFile
from nacre.sftp.server.piped import serve
from nacre.wire.codec import WireReader, string, text, u32, u64

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


def serve_piped(
    filesystem: Filesystem, journal: Journal, *portions: Sequence[msg.SFTPRequest[Any]], **more: Any
) -> tuple[dict[str, str], list[FX | bytes]]:
    """Serve requests; those of a portion arrive together, before the first of them is answered.

    The handles are :func:`handle` of 1, 2, … in the order in which they are opened. The result has
    the extensions of VERSION, and for each request the code of a STATUS or another packet's body.
    """
    # One read takes one message.
    source, typed = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    numbers = itertools.count()
    with source, typed, tempfile.TemporaryFile() as down:
        typed.send(string(bytes([FXP.INIT]) + u32(3)))
        for portion in portions:
            typed.send(b"".join(_packet(next(numbers), request) for request in portion))
        typed.close()
        assert serve(journal, filesystem, source.fileno(), down.fileno(), **more) == 0
        down.seek(0)
        output = WireReader(down.read())
    version = WireReader(output.string())
    assert (version.u8(), version.u32()) == (FXP.VERSION, 3)
    answers: dict[int, FX | bytes] = {}
    while output.remaining:
        packet = WireReader(output.string())
        kind, number = packet.u8(), packet.u32()
        answers[number] = FX(packet.u32()) if kind == FXP.STATUS else bytes(packet.rest())
    return take_pairs(version), [answers[number] for number in range(next(numbers))]


def _packet(number: int, request: msg.SFTPRequest[Any]) -> bytes:
    name = text(request.EXTENSION) if request.EXTENSION else b""
    return string(bytes([request.NUMBER]) + u32(number) + name + request.encode())


def handle(number: int) -> bytes:
    """Return the handle that a server's protocol gives out as the ``number``-th."""
    return u64(number)
