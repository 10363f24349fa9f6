"""Lines as datagrams, and a reader that comes and goes."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

from nacre.config.values import LogLevel
from nacre.daemon.log.datagrams import Datagrams


class Plain(Datagrams):
    def line(self, level: LogLevel, record: Mapping[str, object]) -> str:
        return str(record["event"])

    def datagram(self, text: bytes) -> bytes:
        return text


def listen(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(path))
    sock.settimeout(30)
    return sock


def test_lines_are_datagrams_and_a_reader_that_restarts_gets_the_next(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    place = Plain(str(path))
    place.write(b"lost\n")
    assert place.ready()
    with listen(path) as reader:
        place.write(b"one\ntwo\n")
        assert [reader.recv(100) for _ in range(2)] == [b"one", b"two"]
        assert place.ready()
    path.unlink()
    with listen(path) as reader:
        place.write(b"three\n")
        assert reader.recv(100) == b"three"
    place.close()


def test_a_reader_that_has_stalled_is_told(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with listen(path):
        place = Plain(str(path))
        sent = 0
        while sent < 10_000:
            place.write(b"x" * 1000)
            sent += 1
            if not place.ready():
                break
        assert sent < 10_000
        place.close()


def test_a_traceback_is_a_record() -> None:
    assert Plain("/none").part_of_traceback("  File ...") == "traceback"
