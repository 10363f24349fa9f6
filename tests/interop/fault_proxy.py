"""A proxy for TCP that does one thing wrong, at a chosen byte of a chosen direction."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from struct import pack
from typing import Any, Self

KINDS = ("delay", "drip", "stall", "cut", "reset", "flip", "swallow")
HARMLESS = ("delay", "drip")
"""Faults that change no byte and lose none: what goes through them must be whole."""

_DELAY = 0.03  # seconds
_DRIP = 400  # bytes, each in a segment of its own
_RESET = pack("ii", 1, 0)


@dataclass(frozen=True)
class Fault:
    """What goes wrong, in which direction, before or at which byte of it."""

    kind: str
    to_server: bool
    offset: int
    bit: int

    @classmethod
    def drawn(cls, draw: random.Random, totals: tuple[int, int]) -> Fault:
        """Draw one for a conversation of so many bytes (to the server, to the client).

        A third each lies anywhere, near the beginning (the login), and near the end.
        """
        to_server = draw.random() < 0.5
        total = totals[0] if to_server else totals[1]
        near = int(total ** draw.random())
        offset = draw.choice([draw.randrange(total), near, max(0, total - near)])
        return cls(draw.choice(KINDS), to_server, offset, draw.randrange(8))

    def __str__(self) -> str:
        where = "to the server" if self.to_server else "to the client"
        return f"{self.kind} at byte {self.offset} {where} (bit {self.bit})"


class _OverError(Exception):
    """The connection ends here."""


class FaultProxy:
    """Carries connections to a port; the first one meets the fault.

    :ivar port: where it listens.
    :ivar totals: bytes carried so far, to the server and to the client.
    :ivar hit: whether the fault has happened.
    """

    def __init__(self, target: int, fault: Fault | None = None) -> None:
        self.port = 0
        self.totals = [0, 0]
        self.hit = False
        self._target = target
        self._fault = fault
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        fault, self._fault = self._fault, None
        ends = [writer]
        try:
            there = await asyncio.open_connection("127.0.0.1", self._target)
            ends.append(there[1])
            up = fault if fault is not None and fault.to_server else None
            down = None if up is not None else fault
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, there[1], up, 0))
                group.create_task(self._carry(there[0], writer, down, 1))
        except* (_OverError, OSError):
            pass
        except* asyncio.CancelledError:
            pass  # asyncio's streams would report it
        finally:
            self._tasks.discard(task)
            reset = self.hit and fault is not None and fault.kind == "reset"
            for end in ends:
                _end(end, reset=reset)
            for end in ends:
                with suppress(OSError):
                    await end.wait_closed()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        fault: Fault | None,
        direction: int,
    ) -> None:
        while data := await reader.read(1 << 16):
            count = self.totals[direction]
            self.totals[direction] += len(data)
            if fault is not None and count <= fault.offset < count + len(data):
                self.hit = True
                at = fault.offset - count
                data = await _FAULTS[fault.kind](writer, data, at, fault)
                fault = None
            writer.write(data)
            await writer.drain()
        writer.write_eof()


def _end(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset:
        sock: socket.socket = writer.get_extra_info("socket")
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()
    else:
        writer.close()


async def _delay(writer: asyncio.StreamWriter, data: bytes, at: int, fault: Fault) -> bytes:
    writer.write(data[:at])
    await asyncio.sleep(_DELAY)
    return data[at:]


async def _drip(writer: asyncio.StreamWriter, data: bytes, at: int, fault: Fault) -> bytes:
    writer.write(data[:at])
    for byte in data[at : at + _DRIP]:
        writer.write(bytes([byte]))
        await asyncio.sleep(0)
    return data[at + _DRIP :]


async def _stall(writer: asyncio.StreamWriter, data: bytes, at: int, fault: Fault) -> bytes:
    writer.write(data[:at])
    await asyncio.Event().wait()
    raise _OverError


async def _cut(writer: asyncio.StreamWriter, data: bytes, at: int, fault: Fault) -> bytes:
    writer.write(data[:at])
    raise _OverError


async def _flip(writer: asyncio.StreamWriter, data: bytes, at: int, fault: Fault) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << fault.bit]) + data[at + 1 :]


async def _swallow(writer: asyncio.StreamWriter, data: bytes, at: int, fault: Fault) -> bytes:
    return data[:at] + data[at + 1 :]


_FAULTS: dict[
    str, Callable[[asyncio.StreamWriter, bytes, int, Fault], Coroutine[Any, Any, bytes]]
] = {
    "delay": _delay,
    "drip": _drip,
    "stall": _stall,
    "cut": _cut,
    "reset": _cut,
    "flip": _flip,
    "swallow": _swallow,
}
