"""Files of recordings, plain or sealed: written in pieces, and read up to the first damage.

A plain file has the lines of :mod:`nacre.daemon.recording.cast`. A sealed one is:

- :data:`MAGIC`
- the length (4 bytes) and the bytes of the context: a JSON object that everyone can read
- the ephemeral public key (32 bytes)
- chunks: a length (4 bytes), whose highest bit marks the last one, and the sealed bytes, which are
  lines of a plain file: see :mod:`nacre.crypto.sealing`
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import IO, Any

from nacre.crypto.sealing import HEAD, TAG, ChunkOpener, ChunkSealer, SealKey
from nacre.daemon.recording.cast import OWN, read_header
from nacre.daemon.recording.frames import packed_json, unpacked_json
from nacre.errors import MalformedMessage, StateError
from nacre.limits import KIB, MIB

MAGIC = b"nacre sealed recording 1\n"

AT_ONCE = 64 * KIB
"""Bytes from which on what waits is written. After a crash no more is missing."""

_MOST_CHUNK = 2 * MIB
_MOST_CONTEXT = 64 * KIB
_MOST_LINE = 2 * MIB
"""Bytes of a line: a frame of 64 KiB with each byte escaped, and in base64, is less."""

_LAST = 1 << 31
_SIZE = 4


def key_name(public: bytes) -> str:
    """Return the short name of a public key, by which a sealed file tells whom it is for."""
    return hashlib.sha256(public).hexdigest()[:16]


class RecordingFile:
    """A file that is being written.

    :param descriptor: the new file, which :meth:`close` closes.
    :param context: what everyone can read of a sealed file.
    :param recipient: the public key that it is sealed for; None for a plain file.
    :raises OSError: it can't be written.
    """

    def __init__(
        self, descriptor: int, context: Mapping[str, object], recipient: bytes | None
    ) -> None:
        self._descriptor = descriptor
        self._unwritten = bytearray()
        self._written = 0
        self._sealer: ChunkSealer | None = None
        if recipient is not None:
            told = packed_json({**context, "key": key_name(recipient)})
            self._sealer = ChunkSealer(recipient, told)
            head = MAGIC + len(told).to_bytes(_SIZE) + told + self._sealer.head
            self._write(head)

    @property
    def waits(self) -> bool:
        """Whether bytes wait for :meth:`flush`."""
        return bool(self._unwritten)

    def add(self, data: bytes) -> None:
        """Add bytes; they are written when there are :data:`AT_ONCE` of them.

        :raises OSError: they can't be written; the file ends with what was written before.
        """
        self._unwritten += data
        if len(self._unwritten) >= AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write what waits.

        :raises OSError: see :meth:`add`.
        """
        data, self._unwritten = bytes(self._unwritten), bytearray()
        self._write(data if self._sealer is None else self._chunk(data, last=False))

    def finish(self) -> None:
        """Write what waits, and the end.

        :raises OSError: see :meth:`add`.
        """
        data, self._unwritten = bytes(self._unwritten), bytearray()
        self._write(data if self._sealer is None else self._chunk(data, last=True))

    def close(self) -> None:
        """Close the file; what waits is lost."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _chunk(self, data: bytes, *, last: bool) -> bytes:
        assert self._sealer is not None
        found = b""
        while len(data) > MIB:
            found += self._framed(self._sealer.seal(data[:MIB]), 0)
            data = data[MIB:]
        return found + self._framed(self._sealer.seal(data, last=last), _LAST * last)

    @staticmethod
    def _framed(chunk: bytes, flag: int) -> bytes:
        return (len(chunk) | flag).to_bytes(_SIZE) + chunk

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            # No piece of a chunk, or of a line, is left of what did not fit.
            os.ftruncate(self._descriptor, self._written)
            raise
        self._written += len(data)


def read_context(file: IO[bytes]) -> dict[str, Any] | None:
    """Return what everyone can read of a sealed file; None for a plain one.

    The file is read from its beginning, and left behind the context or at the beginning.

    :raises StateError: the file is damaged.
    """
    if file.read(len(MAGIC)) != MAGIC:
        file.seek(0)
        return None
    context = _context(file)
    try:
        found: dict[str, Any] = unpacked_json(context, dict)
    except MalformedMessage:
        raise StateError("the file is damaged at its beginning") from None
    return found


_MOST_HEADER = 256 * KIB
"""Bytes of the first line of a plain recording."""


def read_facts(file: IO[bytes]) -> dict[str, Any]:
    """Return what can be read of a recording without a key: whose it is, and when it began.

    :raises StateError: it is none, or damaged at its beginning.
    """
    found = read_context(file)
    if found is None:
        own = read_header(file.readline(_MOST_HEADER)).get(OWN)
        found = own if isinstance(own, dict) else {}
    if not isinstance(found.get("started"), int | float):
        raise StateError("it does not tell when it began")
    return found


def _context(file: IO[bytes]) -> bytes:
    size = int.from_bytes(file.read(_SIZE))
    context = file.read(size) if size <= _MOST_CONTEXT else b""
    if len(context) != size:
        raise StateError("the file is damaged at its beginning")
    return context


def read_lines(file: IO[bytes], key: SealKey | None) -> Iterator[bytes]:
    """Return the lines of a file, opened at its beginning.

    :param key: opens a sealed file.
    :raises StateError: at the first damage; or there is no key, or another one.
    """
    pieces = _sealed_pieces(file, key) if read_context(file) is not None else _pieces(file)
    begun = b""
    for piece in pieces:
        *lines, begun = (begun + piece).split(b"\n")
        yield from lines
        if len(begun) > _MOST_LINE:
            raise StateError("a line is too long")
    if begun:
        raise StateError("the file ends in the middle of a line")


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while data := file.read(AT_ONCE):
        yield data


def _sealed_pieces(file: IO[bytes], key: SealKey | None) -> Iterator[bytes]:
    file.seek(len(MAGIC))
    context = _context(file)
    told = unpacked_json(context, dict)
    if key is None:
        raise StateError(f"the recording is sealed: --key names the key {told.get('key')}")
    if told.get("key") != key_name(key.public):
        raise StateError(f"the recording is sealed for another key, {told.get('key')}")
    head = file.read(HEAD)
    if len(head) != HEAD:
        raise StateError("the file ends before the first chunk")
    opener = ChunkOpener(key, head, context)
    last = False
    while not last:
        number = int.from_bytes(_exactly(file, _SIZE))
        size, last = number & ~_LAST, bool(number & _LAST)
        if not TAG <= size <= _MOST_CHUNK:
            raise StateError("the length of a chunk was changed")
        yield opener.open(_exactly(file, size), last=last)
    if file.read(1):
        raise StateError("something was added behind the end")


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise StateError("the file was cut off: the last chunk is missing")
    return data
