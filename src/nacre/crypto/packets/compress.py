"""Compression of payloads (RFC 4253 section 6.2): one zlib stream per direction."""

from __future__ import annotations

import zlib

from nacre.errors import DisconnectCode, RemoteProtocolError
from nacre.wire.codec import Buffer


class Compressor:
    """Compresses the payloads of one direction."""

    __slots__ = ("_stream",)

    def __init__(self) -> None:
        self._stream = zlib.compressobj()

    def compress(self, payload: Buffer) -> bytes:
        """Return ``payload`` compressed and flushed, so that the peer can decompress all of it."""
        return self._stream.compress(payload) + self._stream.flush(zlib.Z_PARTIAL_FLUSH)


class Decompressor:
    """Decompresses the payloads of one direction.

    :param limit: bytes that one payload may have after decompression; no more are allocated.
    """

    __slots__ = ("_limit", "_stream")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._stream = zlib.decompressobj()

    def decompress(self, payload: Buffer) -> bytes:
        """Return ``payload`` decompressed.

        :raises RemoteProtocolError: with code COMPRESSION_ERROR: it is not zlib data, ends the
            stream, is empty, or exceeds the limit. The stream can't be used afterwards.
        """
        try:
            data = self._stream.decompress(payload, self._limit + 1)
        except zlib.error:
            raise _error("the payload is not zlib data") from None
        if len(data) > self._limit:
            raise _error(f"a payload has more than {self._limit} bytes after decompression")
        if self._stream.eof:
            raise _error("the compressed stream ends before the connection does")
        if not data:
            raise _error("a payload is empty")
        return data


def _error(reason: str) -> RemoteProtocolError:
    return RemoteProtocolError(f"compression: {reason}", DisconnectCode.COMPRESSION_ERROR)
