"""What ``nacre trace`` writes for Wireshark: the bytes of the connection, and its keys."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, BinaryIO

from nacre.aio.carrier import ByteReader, ByteWriter, Streams
from nacre.aio.maybe import Maybe
from nacre.cli.trace.pcap import PacketFile, Place
from nacre.protocol.events import Event, SecretAgreed

if TYPE_CHECKING:
    from nacre.client.route import Carrier

_UNKNOWN = "192.0.2.1", "192.0.2.2"
"""Addresses for examples (RFC 5737), where there is no socket that has any."""

_UNKNOWN_PORT = 50000


def open_secret(path: str) -> BinaryIO:
    """Open a file to write, which this account alone can read; a former one is emptied.

    :raises OSError: it can't be opened.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        return os.fdopen(descriptor, "wb")
    except BaseException:
        os.close(descriptor)
        raise


class Capture:
    """The two files, of which either may be left out.

    :ivar key_log: whether the secrets of key exchanges are wanted.
    :param packets: the path of the capture file, or None.
    :param keys: the path of the key log, or None.
    :param port: the server's port, where there is no socket that has one.
    :raises OSError: a file can't be opened.
    """

    def __init__(self, packets: str | None, keys: str | None, port: int) -> None:
        self.key_log = keys is not None
        self._port = port
        self._written: PacketFile | None = None
        self._keys = None if keys is None else open_secret(keys)
        try:
            self._packets = None if packets is None else open_secret(packets)
        except OSError:
            if self._keys is not None:
                self._keys.close()
            raise

    async def carry(self, carrier: Carrier) -> Carrier:
        """Return streams that carry what ``carrier`` does, and write it to the capture file."""
        if self._packets is None:
            return carrier
        client, server = _places(carrier, self._port)
        self._written = written = PacketFile(self._packets, client, server, time.time)
        if isinstance(carrier, socket.socket):
            from nacre.client.route import carried

            streams = await carried(await asyncio.open_connection(sock=carrier))
            assert isinstance(streams, Streams)
            carrier = streams
        return Streams(
            SeenReader(carrier.reader, lambda data: written.data("in", data)),
            SeenWriter(carrier.writer, lambda data: written.data("out", data)),
            close=carrier.close,
            abort=carrier.abort,
            via=carrier.via,
        )

    def note(self, event: Event) -> None:
        """Write the secret of a key exchange to the key log, as Wireshark reads it."""
        if isinstance(event, SecretAgreed) and self._keys is not None:
            line = f"{event.cookie.hex()} SHARED_SECRET {event.secret.hex()}\n"
            self._keys.write(line.encode())
            self._keys.flush()

    def close(self) -> None:
        """Write the end of the connection, and close the files."""
        if self._written is not None:
            self._written.end()
        for file in (self._packets, self._keys):
            if file is not None:
                file.close()


class SeenReader:
    """A stream to read, whose bytes are seen.

    :param see: gets them.
    """

    def __init__(self, reader: ByteReader, see: Callable[[bytes], None]) -> None:
        self._reader = reader
        self._see = see

    async def read(self, n: int, /) -> bytes:
        """Return at least one and at most ``n`` bytes; b"" at the end."""
        data = await self._reader.read(n)
        self._see(data)
        return data


class SeenWriter:
    """A stream to write, whose bytes are seen.

    :param see: gets them.
    """

    def __init__(self, writer: ByteWriter, see: Callable[[bytes], None]) -> None:
        self._writer = writer
        self._see = see

    def write(self, data: Any, /) -> Maybe[None]:
        """Write all of ``data``."""
        self._see(data)
        return self._writer.write(data)

    async def drain(self) -> None:
        """Wait until more can be written."""
        await self._writer.drain()

    def write_eof(self) -> None:
        """End the stream."""
        self._writer.write_eof()


def _places(carrier: Carrier, port: int) -> tuple[Place, Place]:
    """Return the addresses and ports of both ends of a connection."""
    if isinstance(carrier, socket.socket) and carrier.family in (socket.AF_INET, socket.AF_INET6):
        client, server = carrier.getsockname(), carrier.getpeername()
        return (_address(client[0]), client[1]), (_address(server[0]), server[1])
    return (_UNKNOWN[0], _UNKNOWN_PORT), (_UNKNOWN[1], port)


def _address(name: str) -> str:
    return str(ip_address(name.partition("%")[0]))  # a link-local address may have a zone
