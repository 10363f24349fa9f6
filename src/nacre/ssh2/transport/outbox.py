"""Output: payloads to sealed packets, and the messages that a key exchange holds back."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from nacre.crypto.packets.compress import Compressor
from nacre.crypto.packets.seal import OVERHEAD, BareSealer, Sealer
from nacre.crypto.registry import PacketKeys
from nacre.errors import LocalProtocolError
from nacre.limits import KIB, Limits
from nacre.protocol.events import Event, MessageSeen
from nacre.wire.blocks import BLOCK, SHARED_BLOCKS
from nacre.wire.codec import Buffer
from nacre.wire.message import Message

if TYPE_CHECKING:
    from nacre.protocol.frozen import FrozenDirection

_KEX_MESSAGES = frozenset({1, 2, 3, 4, *range(20, 50)})

# Added to the size of each held message, so that many messages of one byte reach the bound too.
_HELD_OVERHEAD = 64

_LEAST = 1 * KIB
_MUCH = 16 * KIB
_NOTHING = memoryview(b"")

Asked: TypeAlias = int | type[Message]
"""A message of ours that the peer has to answer: a token, or the class where one can be open."""


class Outbox:
    """The output of every layer: payloads in, sealed packets out.

    During a key exchange, messages that RFC 4253 section 7.1 forbids are held, up to a bound.
    Channel data is never held here: its sender has to test ``takes_data`` first.

    :ivar size: bytes that ``take`` would return.
    :ivar takes_data: False during a key exchange.
    :ivar payload_bytes: plain bytes sealed under the present key.
    :ivar packets: packets sealed under the present key.
    :ivar keys: what the sealer was made of, if :meth:`freeze` may be called; else None.
    :ivar asked: for each message that is not answered yet, its sequence number: UNIMPLEMENTED names
        it. Whoever takes an answer removes the entry, so the bounds of what may be unanswered bound
        this table.
    """

    def __init__(
        self, sealer: Sealer, limits: Limits, events: list[Event], *, trace: bool = False
    ) -> None:
        self.size = 0
        self.takes_data = False
        self.payload_bytes = 0
        self.packets = 0
        self.keys: PacketKeys | None = None
        self._memory = _NOTHING
        self._sealer = sealer
        self._compressor: Compressor | None = None
        self._limits = limits
        self._events = events
        self._trace = trace
        self.asked: dict[Asked, int] = {}
        self._last_token = 0
        self._held: list[tuple[bytes, Asked | None]] = []
        self._held_bytes = 0
        self._in_kex = False

    def token(self) -> int:
        """Return a number that no message of this connection had before."""
        self._last_token += 1
        return self._last_token

    def send(self, payload: bytes, asked: Asked | None = None) -> None:
        """Send a message, or hold it until the key exchange is over.

        :param asked: notes the sequence number in ``asked`` under this key.
        :raises LocalProtocolError: too many bytes are held.
        """
        if self._in_kex and payload[0] not in _KEX_MESSAGES:
            self._held_bytes += len(payload) + _HELD_OVERHEAD
            if self._held_bytes > self._limits.kex_held_output:
                raise LocalProtocolError("too many messages wait for the end of the key exchange")
            self._held.append((payload, asked))
            return
        if asked is not None:
            self.asked[asked] = self._sealer.sequence
        self.send_parts(payload, b"")

    def unimplemented(self, sequence: int) -> Asked | None:
        """Return the unanswered message with this sequence number, and remove it from ``asked``."""
        for asked, sent in self.asked.items():
            if sent == sequence:
                del self.asked[asked]
                return asked
        return None

    def answered(self, token: int) -> None:
        """Note that the message with this token needs no answer any more, sent or still held."""
        self.asked.pop(token, None)
        if self._held:
            self._held = [(held, None if asked == token else asked) for held, asked in self._held]

    def send_parts(self, head: bytes, body: Buffer) -> None:
        """Send a message now. Its payload is ``head`` and ``body``, which are not joined first."""
        if self._trace:
            self._events.append(MessageSeen("out", head + bytes(body)))
        if self._compressor is not None:
            head, body = self._compressor.compress(head + bytes(body)), b""
        count = len(head) + len(body)
        if (needed := self.size + count + OVERHEAD) > len(self._memory):
            self._make_room(needed)
        self.size = self._sealer.seal(head, body, self._memory, self.size)
        self.payload_bytes += count
        self.packets += 1

    def send_line(self, line: bytes) -> None:
        """Send bytes outside packets, before the first packet."""
        end = self.size + len(line)
        self._make_room(end)
        self._memory[self.size : end] = line
        self.size = end

    def _make_room(self, needed: int) -> None:
        """Allocate memory for ``needed`` bytes, including those that wait."""
        if needed <= _MUCH:
            larger = memoryview(bytearray(max(_LEAST, 2 * needed)))
        elif needed <= BLOCK:
            larger = memoryview(SHARED_BLOCKS.take())
        else:
            larger = memoryview(bytearray(needed + needed // 2))
        larger[: self.size] = self._memory[: self.size]
        self._memory = larger

    def begin_kex(self) -> None:
        """Hold other messages than those of the exchange. Call it when our KEXINIT was sent."""
        self._in_kex = True
        self.takes_data = False

    def rekeyed(self, sealer: Sealer) -> None:
        """Seal the following packets with ``sealer``. Call it when our NEWKEYS was sent."""
        self._sealer = sealer
        self.payload_bytes = self.packets = 0
        if sealer.sequence == 0:
            # Strict kex counts from 0 again. The peer has read all that came before our KEXINIT, so
            # no UNIMPLEMENTED for it follows.
            self.asked = {}

    def end_kex(self) -> None:
        """Send the held messages, and take data again. Call it after ``rekeyed``."""
        self._in_kex = False
        self.takes_data = True
        held, self._held, self._held_bytes = self._held, [], 0
        for payload, asked in held:
            self.send(payload, asked)

    @property
    def sequence(self) -> int:
        """The sequence number of the next packet."""
        return self._sealer.sequence

    @property
    def compresses(self) -> bool:
        """Whether payloads are compressed."""
        return self._compressor is not None

    def compress_with(self, compressor: Compressor | None) -> None:
        """Compress the following payloads; with None, do not."""
        self._compressor = compressor

    def take(self) -> memoryview:
        """Return all sealed packets. If the memory is a block, it may be given back once sent."""
        taken = self._memory[: self.size]
        self._memory, self.size = _NOTHING, 0
        return taken

    def freeze(self) -> FrozenDirection:
        """Return the state of this direction, with what ``take`` would return.

        It needs ``keys``, and no compression, which has a state that can't be moved. Nothing can be
        sent afterwards.
        """
        from nacre.protocol.frozen import FrozenDirection

        assert self.keys is not None
        keys, sealer = self.keys, self._sealer
        self.keys, self._sealer = None, BareSealer()
        unsent = bytes(self.take())
        return FrozenDirection.of(keys, sealer, self.packets, self.payload_bytes, unsent)
