"""A master that answers each message of one client as it is told to, in a thread."""

from __future__ import annotations

import array
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from nacre.client.sharing import messages as m
from nacre.wire.message import Record

HELLO = m.Hello(m.VERSION, b"")


class ScriptedMaster:
    """A master at a socket in a directory of its own.

    :param answers: what to answer to each kind of message; after an empty list, the connection is
        closed. What is not named is not answered.
    :ivar taken: the messages of the client.
    :ivar descriptors: how many it passed.
    """

    def __init__(
        self, answers: Mapping[type[Record], Sequence[Record]], hello: Record = HELLO
    ) -> None:
        self._answers = answers
        self._hello = hello
        self.taken: list[Record] = []
        self.descriptors = 0
        self._directory = tempfile.mkdtemp(dir="/tmp")
        self.path = str(Path(self._directory) / "m")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(30)
        shutil.rmtree(self._directory)

    def _serve(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        with sock:
            sock.settimeout(20)
            payloads = m.Payloads()
            with suppress(OSError):  # the client may be gone
                sock.sendall(m.encode(self._hello))
                while self._take(sock, payloads):
                    pass

    def _take(self, sock: socket.socket, payloads: m.Payloads) -> bool:
        # A message is read to its end and no further: descriptors come with the byte behind it.
        data = sock.recv(4)
        size = int.from_bytes(data, "big")
        data += sock.recv(size, socket.MSG_WAITALL) if data else b""
        payloads.receive(data)
        payload = payloads.next()
        if payload is None:
            return False
        message = m.decode(payload)
        self.taken.append(message)
        for _ in range({m.NewSession: 3, m.NewStdioForward: 2}.get(type(message), 0)):
            self._descriptor(sock)
        answers = self._answers.get(type(message))
        if answers:
            sock.sendall(b"".join(map(m.encode, answers)))
        return answers is None or bool(answers and not isinstance(answers[-1], m.Exited))

    def _descriptor(self, sock: socket.socket) -> None:
        _, ancillary, _, _ = sock.recvmsg(1, socket.CMSG_SPACE(4))
        for _level, _kind, data in ancillary:
            for number in array.array("i", data):
                self.descriptors += 1
                os.close(number)
