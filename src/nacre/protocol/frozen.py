"""The state of a server's connection after the login, as a value that moves to another process.

The process that reads what strangers send hands it over as soon as the user is in, together with
the connected socket; the process that gets both goes on. Later it may hand over a connection at
rest: one without channels, and without anything that was sent and not answered. Nobody else must
see the value: it has the connection's keys.
"""

from __future__ import annotations

import math
from functools import lru_cache
from operator import attrgetter
from typing import Final

from nacre.crypto.packets.seal import Opener, Sealer
from nacre.crypto.registry import COMPRESSIONS, PacketKeys, opener
from nacre.errors import KeyFormatError, MalformedMessage
from nacre.keys import PublicKey, decode_public
from nacre.limits import DEFAULT_LIMITS, MIB, Limits
from nacre.protocol.events import Chosen
from nacre.value import replace, value
from nacre.wire import codec
from nacre.wire.codec import Buffer, WireReader
from nacre.wire.message import U32, U64, Record, SecretString, String, record

FORMAT: Final = 2
"""The version of the encoding: both processes must run the same one."""

MOST: Final = 4 * MIB
"""Bytes of an encoded state. Before the login, an engine is given 32 KiB at once, and no more while
the question about the handover is open."""

_NAMES = Chosen.__match_args__[:-1]
_bounds = attrgetter(*Limits.__match_args__)


@record
class FrozenDirection(Record):
    """One direction of a connection under its present keys, between two packets.

    :ivar iv: that of the next packet.
    :ivar sequence: the sequence number of the next packet.
    :ivar packets: how many packets these keys had so far, and ``payload_bytes`` the bytes in them.
    :ivar waiting: received bytes that were not read, or sealed ones that were not sent.
    """

    key: SecretString
    iv: SecretString
    mac_key: SecretString
    sequence: U32
    packets: U64
    payload_bytes: U64
    waiting: String

    @classmethod
    def of(
        cls,
        keys: PacketKeys,
        coder: Sealer | Opener,
        packets: int,
        payload_bytes: int,
        waiting: bytes,
    ) -> FrozenDirection:
        """Return the state of ``coder``, which was made of ``keys`` and is spent then."""
        iv = coder.retire(keys.cipher, keys.key)
        return cls(keys.key, iv, keys.mac_key, coder.sequence, packets, payload_bytes, waiting)


@value(repr=False, kw_only=True)
class FrozenServer:
    """A server's engine of SSH-2 whose user is in.

    :ivar methods: the authentication methods that succeeded, in order.
    :ivar limits: the bounds of this user's connection.
    :ivar lines: both identification lines without their line ends, the client's first.
    :ivar session_id: the session identifier (RFC 4253 section 7.2).
    :ivar host_key: the server's host key in the first key exchange; None if by GSSAPI.
    :ivar strict: whether strict kex applies to the connection.
    :ivar told: whether the client knows that it is in.
    :ivar no_more_sessions: whether the client announced that it opens no further session.
    :ivar pings: whether the client announced that it answers ``ping@openssh.com``.
    :ivar chosen: the algorithms of the present keys.
    :ivar age: seconds since these keys were made.
    :ivar incoming: the client's direction, and ``outgoing`` the server's.
    """

    user: str
    methods: tuple[str, ...]
    limits: Limits
    lines: tuple[bytes, bytes]
    session_id: bytes
    host_key: PublicKey | None
    strict: bool
    told: bool
    no_more_sessions: bool
    pings: bool
    chosen: Chosen
    age: int
    incoming: FrozenDirection
    outgoing: FrozenDirection

    @property
    def incoming_keys(self) -> PacketKeys:
        """What the opener of the next packet is made of."""
        return _keys(self.chosen.cipher_c2s, self.chosen.mac_c2s, self.incoming)

    @property
    def outgoing_keys(self) -> PacketKeys:
        """What the sealer of the next packet is made of."""
        return _keys(self.chosen.cipher_s2c, self.chosen.mac_s2c, self.outgoing)

    def encode(self) -> bytes:
        """Return the state as bytes, which hold the connection's keys."""
        return b"".join(
            (
                codec.u32(FORMAT),
                codec.text(self.user),
                codec.name_list(self.methods),
                codec.name_list(_changes(self.limits)),
                *map(codec.string, self.lines),
                codec.string(self.session_id),
                codec.string(b"" if self.host_key is None else self.host_key.blob),
                codec.boolean(self.strict),
                codec.boolean(self.told),
                codec.boolean(self.no_more_sessions),
                codec.boolean(self.pings),
                codec.name_list(attrgetter(*_NAMES)(self.chosen)),
                codec.boolean(self.chosen.strict),
                codec.u32(self.age),
                codec.string(self.incoming.encode()),
                codec.string(self.outgoing.encode()),
            )
        )

    @classmethod
    def decode(cls, data: Buffer) -> FrozenServer:
        """Return the state that :meth:`encode` made bytes of.

        :raises MalformedMessage: it is of another version, has more than ``MOST`` bytes, or is no
            state of a connection.
        """
        if len(data) > MOST:
            raise MalformedMessage(f"a frozen connection of {len(data)} bytes")
        reader = WireReader(data)
        if (version := reader.u32()) != FORMAT:
            raise MalformedMessage(f"a frozen connection in format {version}, not {FORMAT}")
        frozen = cls(
            user=reader.text(),
            methods=reader.name_list(),
            limits=_changed(reader.name_list()),
            lines=(reader.string(), reader.string()),
            session_id=reader.string(),
            host_key=_host_key(reader.string()),
            strict=reader.boolean(),
            told=reader.boolean(),
            no_more_sessions=reader.boolean(),
            pings=reader.boolean(),
            chosen=_chosen(reader.name_list(), reader.boolean()),
            age=reader.u32(),
            incoming=FrozenDirection.decode(reader.string()),
            outgoing=FrozenDirection.decode(reader.string()),
        )
        reader.end()
        for keys in (frozen.incoming_keys, frozen.outgoing_keys):
            try:
                opener(keys, sequence=0, packet_limit=0)
            except (KeyError, ValueError):
                raise MalformedMessage("a frozen connection without usable keys") from None
        return frozen


def _keys(cipher: str, mac: str, direction: FrozenDirection) -> PacketKeys:
    return PacketKeys(cipher, mac, direction.key, direction.iv, direction.mac_key)


@lru_cache(8)
def _host_key(blob: bytes) -> PublicKey | None:
    try:
        return decode_public(blob) if blob else None
    except KeyFormatError as error:
        raise MalformedMessage(f"the host key of a frozen connection: {error}") from None


def _chosen(names: tuple[str, ...], strict: bool) -> Chosen:
    if len(names) != len(_NAMES) or not COMPRESSIONS.keys() >= set(names[-2:]):
        raise MalformedMessage("a frozen connection without algorithms")
    return Chosen(**dict(zip(_NAMES, names, strict=True)), strict=strict)


def _changes(limits: Limits) -> list[str]:
    """Return the bounds that are not the default ones, as ``name=number``."""
    bounds = zip(Limits.__match_args__, _bounds(limits), _bounds(DEFAULT_LIMITS), strict=True)
    return [f"{name}={one!r}" for name, one, usual in bounds if one != usual]


@lru_cache(8)
def _changed(changes: tuple[str, ...]) -> Limits:
    bounds: dict[str, float] = {}
    for name, _, number in (change.partition("=") for change in changes):
        if name not in Limits.__match_args__:
            raise MalformedMessage("a frozen connection with an unknown bound")
        try:
            bounds[name] = type(getattr(DEFAULT_LIMITS, name))(number)
        except ValueError:
            raise MalformedMessage(f"a frozen connection without a number for {name}") from None
        if not 0 <= bounds[name] < math.inf:
            raise MalformedMessage(f"a frozen connection with {name} out of range")
    return replace(DEFAULT_LIMITS, **bounds)
