"""Serves files in memory over standard input and output: what ``sftp -D`` starts in a test."""

from __future__ import annotations

import os

from nacre.sftp.protocol.server import SFTPServerProtocol
from sftp.protocol.memory_files import MemoryFiles


def main() -> None:
    server, files = SFTPServerProtocol(), MemoryFiles()
    files.directories.add("/dir")
    files.files["/dir/hello world"] = bytearray(b"hello\n" * 100_000)
    while portion := os.read(0, 1 << 16):
        server.receive(portion)
        files.serve(server)
        for piece in server.data_to_send():
            view = memoryview(piece)
            while len(view):
                view = view[os.write(1, view) :]
    server.receive_eof()


if __name__ == "__main__":
    main()
