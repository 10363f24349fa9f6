"""Files of recordings: plain and sealed, whole and damaged."""

from __future__ import annotations

import io
import os
import resource
from pathlib import Path

import pytest

from nacre.crypto.sealing import SealKey
from nacre.daemon.recording.container import (
    AT_ONCE,
    MAGIC,
    RecordingFile,
    key_name,
    read_context,
    read_lines,
)
from nacre.errors import StateError

KEY = SealKey.generate()
LINES = [b"one", b"two" * 50_000, b"three"]
SEALED = pytest.mark.parametrize("recipient", [None, KEY.public], ids=["plain", "sealed"])


def new(path: Path, recipient: bytes | None) -> RecordingFile:
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_TRUNC, 0o600)
    return RecordingFile(descriptor, {"user": "alice"}, recipient)


def written(path: Path, recipient: bytes | None) -> bytes:
    file = new(path, recipient)
    for line in LINES:
        file.add(line + b"\n")
    file.finish()
    file.close()
    return path.read_bytes()


def read(data: bytes, key: SealKey | None = KEY) -> list[bytes]:
    return list(read_lines(io.BytesIO(data), key))


def up_to_damage(data: bytes) -> list[bytes]:
    found = []
    lines = read_lines(io.BytesIO(data), KEY)
    try:
        for line in lines:
            found.append(line)  # noqa: PERF402
    except StateError:
        return found
    raise AssertionError("it is whole")


@SEALED
def test_what_was_written_is_read(tmp_path: Path, recipient: bytes | None) -> None:
    data = written(tmp_path / "file", recipient)
    assert read(data) == LINES
    assert data.startswith(MAGIC) is (recipient is not None)


@SEALED
def test_what_waits_is_written_when_it_is_much_or_at_a_flush(
    tmp_path: Path, recipient: bytes | None
) -> None:
    file = new(tmp_path / "file", recipient)
    begun = (tmp_path / "file").stat().st_size
    file.add(b"x" * (AT_ONCE - 1))
    assert file.waits
    assert (tmp_path / "file").stat().st_size == begun
    file.add(b"\n")
    assert not file.waits
    file.add(b"more\n")
    file.flush()
    # As after a crash: nothing was closed.
    data = (tmp_path / "file").read_bytes()
    file.close()
    if recipient is None:
        assert read(data) == [b"x" * (AT_ONCE - 1), b"more"]
    else:
        assert up_to_damage(data) == [b"x" * (AT_ONCE - 1), b"more"]


def test_a_sealed_file_shows_its_context_alone(tmp_path: Path) -> None:
    data = written(tmp_path / "file", KEY.public)
    file = io.BytesIO(data)
    assert read_context(file) == {"user": "alice", "key": key_name(KEY.public)}
    assert b"three" not in data
    with pytest.raises(StateError, match="sealed: --key names the key"):
        read(data, None)
    with pytest.raises(StateError, match="another key"):
        read(data, SealKey.generate())


def test_a_plain_file_has_no_context(tmp_path: Path) -> None:
    file = io.BytesIO(written(tmp_path / "file", None))
    assert read_context(file) is None
    assert file.tell() == 0


def test_a_sealed_file_is_read_up_to_the_damage(tmp_path: Path) -> None:
    data = written(tmp_path / "file", KEY.public)
    assert up_to_damage(data[:-1]) == LINES[:2]
    assert up_to_damage(data + b"x") == LINES
    assert up_to_damage(data[:-1] + bytes([data[-1] ^ 1])) == LINES[:2]
    assert up_to_damage(data.replace(b"alice", b"malic")) == []
    head = len(MAGIC)
    for cut in (head + 2, head + 20, data.index(b"}") + 10, data.index(b"}") + 34):
        assert up_to_damage(data[:cut]) == []


def test_no_bit_of_a_sealed_file_can_be_changed(tmp_path: Path) -> None:
    file = new(tmp_path / "file", KEY.public)
    file.add(b"line\n")
    file.flush()
    file.add(b"more\n")
    file.finish()
    file.close()
    data = (tmp_path / "file").read_bytes()
    for place in range(len(MAGIC), len(data)):
        changed = data[:place] + bytes([data[place] ^ 0x81]) + data[place + 1 :]
        assert up_to_damage(changed) in ([], [b"line"], [b"line", b"more"]), place


def test_a_plain_file_that_ends_within_a_line_is_damaged(tmp_path: Path) -> None:
    data = written(tmp_path / "file", None)
    assert up_to_damage(data[:-2]) == LINES[:2]


@SEALED
def test_nothing_remains_of_what_did_not_fit(tmp_path: Path, recipient: bytes | None) -> None:
    file = new(tmp_path / "file", recipient)
    file.add(b"fits\n")
    file.flush()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            file.add(b"x" * AT_ONCE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    file.close()
    data = (tmp_path / "file").read_bytes()
    assert (read(data) if recipient is None else up_to_damage(data)) == [b"fits"]


def test_a_line_has_a_bound() -> None:
    with pytest.raises(StateError, match="too long"):
        read(b"x" * (3 << 20))


def test_more_than_a_chunk_may_be_written_at_once(tmp_path: Path) -> None:
    file = new(tmp_path / "file", KEY.public)
    file.add(b"x" * (3 << 19) + b"\n")
    file.finish()
    file.close()
    assert read((tmp_path / "file").read_bytes()) == [b"x" * (3 << 19)]
