"""Phase 2, second half: one key exchange after another.

RFC 4253 sections 7 to 9, RFC 4419, RFC 5656 section 4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from enum import Enum

from nacre.crypto import registry
from nacre.crypto.compress import Compressor, Decompressor
from nacre.crypto.groups import check_group, choose_group
from nacre.crypto.kex import Initiator, KexMethod
from nacre.crypto.kex_dh import dh_gex
from nacre.crypto.seal import Random
from nacre.errors import ConfigurationError, KexFailed, KeyFormatError, RemoteProtocolError
from nacre.keys import PrivateKey, PublicKey, decode_public
from nacre.protocol.asks import AskHostKey, Asks, Granted, HostKeyRefused
from nacre.protocol.events import AlgorithmsChosen, Chosen, Event, KexDone, Proposal
from nacre.protocol.options import EngineOptions
from nacre.protocol.phases import Role
from nacre.ssh2.transport import negotiate
from nacre.ssh2.transport.framing import Inbox
from nacre.ssh2.transport.keys import Secrets
from nacre.ssh2.transport.messages import (
    ExtInfo,
    GexGroup,
    GexInit,
    GexReply,
    GexRequest,
    KexInitiate,
    KexReply,
    NewKeys,
)
from nacre.ssh2.transport.outbox import Outbox
from nacre.wire import codec
from nacre.wire.codec import Buffer

PING_EXTENSION = "ping@openssh.com"
SIGNATURE_EXTENSION = "server-sig-algs"
_GEX_SIZES = GexRequest(2048, 3072, 8192)
_GEX_SIZES_SHA1 = GexRequest(1024, 2048, 8192)


class KexStage(Enum):
    """What a key exchange waits for."""

    IDLE = "no key exchange"
    GUESS = "a guessed packet that is to be dropped"
    INITIATE = "KEXDH_INIT"
    REPLY = "KEXDH_REPLY"
    GEX_REQUEST = "KEX_DH_GEX_REQUEST"
    GEX_GROUP = "KEX_DH_GEX_GROUP"
    GEX_INIT = "KEX_DH_GEX_INIT"
    GEX_REPLY = "KEX_DH_GEX_REPLY"
    NEWKEYS = "NEWKEYS"


LEGAL: dict[KexStage, frozenset[int]] = {
    KexStage.GUESS: frozenset(range(30, 50)),
    KexStage.INITIATE: frozenset({30}),
    KexStage.REPLY: frozenset({31}),
    KexStage.GEX_REQUEST: frozenset({34}),
    KexStage.GEX_GROUP: frozenset({31}),
    KexStage.GEX_INIT: frozenset({32}),
    KexStage.GEX_REPLY: frozenset({33}),
    KexStage.NEWKEYS: frozenset({21}),
}
"""Messages of the exchange itself that each stage takes; KEXINIT is legal in IDLE alone."""


class KeyExchange:
    """Runs the key exchanges of one connection, the first and every rekey.

    :ivar stage: what is waited for from the peer.
    :ivar active: from the first KEXINIT of either side to both NEWKEYS.
    :ivar session_id: the exchange hash of the first exchange; empty before.
    :ivar strict: whether both sides speak strict kex.
    :ivar host_key: the server's host key, once it signed.
    """

    def __init__(
        self,
        role: Role,
        options: EngineOptions,
        host_keys: tuple[PrivateKey, ...],
        *,
        random: Random,
        outbox: Outbox,
        inbox: Inbox,
        events: list[Event],
        asks: Asks,
    ) -> None:
        self.stage = KexStage.IDLE
        self.active = False
        self.session_id = b""
        self.strict = False
        self.host_key: PublicKey | None = None
        self._role = role
        self._options = options
        self._random = random
        self._outbox = outbox
        self._inbox = inbox
        self._events = events
        self._asks = asks
        self._lines: tuple[bytes, bytes] = (b"", b"")
        self._authenticated = False
        self._exchanges_left = options.limits.kex_unauthenticated
        self._sent = b""
        self._proposal: Proposal | None = None
        self._init_payloads: tuple[bytes, bytes] = (b"", b"")
        self._chosen: Chosen | None = None
        self._peer_wants_ext_info = False
        self._initiator: Initiator | None = None
        self._gex_hashed = b""
        self._gex_method: KexMethod | None = None
        self._next_stage = KexStage.IDLE
        self._secrets: Secrets | None = None
        self._signers = self._signing_keys(host_keys)

    def _signing_keys(self, host_keys: tuple[PrivateKey, ...]) -> dict[str, PrivateKey]:
        keys = {
            algorithm: key
            for algorithm in self._options.algorithms.host_key
            for key in host_keys
            if algorithm in key.public.signature_algorithms
        }
        if self._role is Role.SERVER and not keys:
            raise ConfigurationError(
                "no host key fits the host key algorithms "
                f"{', '.join(self._options.algorithms.host_key)}; add a key or name its algorithm"
            )
        return keys

    # --- the two KEXINITs ---

    def versions(self, client: bytes, server: bytes) -> None:
        """Say the identification lines: the exchange hash begins with them."""
        self._lines = (client, server)

    def begin(self) -> None:
        """Send our KEXINIT, unless it is sent already."""
        if self._sent:
            return
        client = self._role is Role.CLIENT
        names = self._options.algorithms.host_key if client else tuple(self._signers)
        self._proposal, self._sent = negotiate.kexinit(
            self._options.algorithms, names, self._role, self._random(16)
        )
        self._outbox.send(self._sent)
        self._outbox.begin_kex()
        self.active = True

    def receive_kexinit(self, payload: Buffer) -> None:
        """Take the peer's KEXINIT.

        :raises RemoteProtocolError: NoCommonAlgorithm, MalformedMessage, strict kex is violated, or
            there is no end to exchanges before authentication.
        """
        if not self._authenticated:
            if not self._exchanges_left:
                raise RemoteProtocolError("too many key exchanges before authentication")
            self._exchanges_left -= 1
        lists, guessed = negotiate.received(bytes(payload))
        most = self._options.limits.kex_names
        if any(len(getattr(lists, name)) > most for name in Proposal.__match_args__):
            raise RemoteProtocolError(f"a list of the proposal has more than {most} names")
        self.begin()
        ours = self._proposal
        assert ours is not None
        client, server = (ours, lists) if self._role is Role.CLIENT else (lists, ours)
        chosen = negotiate.negotiate(client, server, self._role)
        if not self.session_id:
            self._first_kexinit(chosen, lists)
        payloads = self._sent, bytes(payload)
        self._init_payloads = payloads if self._role is Role.CLIENT else payloads[::-1]
        self._chosen = chosen
        self._events.append(AlgorithmsChosen(client, server, chosen, not self.session_id))
        self._start_method(chosen)
        if guessed and not negotiate.guessed_right(client, server):
            self._next_stage, self.stage = self.stage, KexStage.GUESS

    def _first_kexinit(self, chosen: Chosen, peers: Proposal) -> None:
        self.strict = chosen.strict
        # Strict kex: anything before KEXINIT could be an attacker's, to shift sequence numbers.
        if self.strict and self._inbox.sequence != 1:
            raise RemoteProtocolError("strict kex: KEXINIT was not the first packet")
        other = Role.SERVER if self._role is Role.CLIENT else Role.CLIENT
        self._peer_wants_ext_info = negotiate.EXT_INFO[other] in peers.kex

    def _method(self) -> KexMethod:
        assert self._chosen is not None
        return registry.KEX[self._chosen.kex]

    def _start_method(self, chosen: Chosen) -> None:
        gex = registry.KEX[chosen.kex].family == "dh-gex"
        self._gex_hashed = b""
        if self._role is Role.SERVER:
            self.stage = KexStage.GEX_REQUEST if gex else KexStage.INITIATE
        elif gex:
            self._outbox.send(self._gex_sizes().encode())
            self.stage = KexStage.GEX_GROUP
        else:
            self._initiator = self._method().initiate(self._random)
            self._outbox.send(KexInitiate(self._initiator.public).encode())
            self.stage = KexStage.REPLY

    def _gex_sizes(self) -> GexRequest:
        return _GEX_SIZES_SHA1 if self._method().hash_name == "sha1" else _GEX_SIZES

    # --- messages of the method ---

    def receive(self, payload: Buffer) -> None:
        """Take a message that ``LEGAL`` allows in this stage.

        :raises RemoteProtocolError: KexFailed, MalformedMessage.
        """
        _HANDLERS[self.stage](self, payload)

    def _drop_guess(self, payload: Buffer) -> None:
        self.stage = self._next_stage

    def _receive_initiate(self, payload: Buffer) -> None:
        public = KexInitiate.decode(payload).public
        reply, k = self._method().respond(public, self._random)
        host_key, signature = self._sign(public, reply, k)
        self._outbox.send(KexReply(host_key, reply, signature).encode())
        self._send_newkeys()

    def _receive_reply(self, payload: Buffer) -> None:
        reply = KexReply.decode(payload)
        self._verify(reply.host_key, reply.public, reply.signature)

    def _receive_gex_request(self, payload: Buffer) -> None:
        request = GexRequest.decode(payload)
        group = choose_group(request.minimum, request.preferred, request.maximum)
        if group is None:
            raise KexFailed(
                f"no group of {request.minimum} to {request.maximum} bits for the group exchange"
            )
        answer = GexGroup(*group)
        self._gex_hashed = request.encode()[1:] + answer.encode()[1:]
        self._gex_method = dh_gex(self._method().name, *group)
        self._outbox.send(answer.encode())
        self.stage = KexStage.GEX_INIT

    def _receive_gex_group(self, payload: Buffer) -> None:
        group = GexGroup.decode(payload)
        sizes = self._gex_sizes()
        check_group(group.prime, group.generator, sizes.minimum, sizes.maximum)
        self._gex_hashed = sizes.encode()[1:] + group.encode()[1:]
        method = dh_gex(self._method().name, group.prime, group.generator)
        self._initiator = method.initiate(self._random)
        self._outbox.send(GexInit(self._initiator.public).encode())
        self.stage = KexStage.GEX_REPLY

    def _receive_gex_init(self, payload: Buffer) -> None:
        assert self._gex_method is not None
        public = GexInit.decode(payload).public
        reply, k = self._gex_method.respond(public, self._random)
        host_key, signature = self._sign(public, reply, k)
        self._outbox.send(GexReply(host_key, reply, signature).encode())
        self._send_newkeys()

    def _receive_gex_reply(self, payload: Buffer) -> None:
        reply = GexReply.decode(payload)
        self._verify(reply.host_key, reply.public, reply.signature)

    def _hash(self, host_key: bytes, client: bytes, server: bytes, k: bytes) -> None:
        method = self._method()
        said = map(codec.string, (*self._lines, *self._init_payloads, host_key))
        values = self._gex_hashed + codec.string(client) + codec.string(server) + k
        digest = getattr(hashlib, method.hash_name)(b"".join(said) + values).digest()
        self._secrets = Secrets(method.hash_name, k, digest, self.session_id or digest)

    def _sign(self, client: bytes, server: bytes, k: bytes) -> tuple[bytes, bytes]:
        assert self._chosen is not None
        key = self._signers[self._chosen.host_key]
        self._hash(key.public.blob, client, server, k)
        self.host_key = key.public
        assert self._secrets is not None
        return key.public.blob, key.sign(self._secrets.exchange_hash, self._chosen.host_key)

    def _verify(self, blob: bytes, server: bytes, signature: bytes) -> None:
        assert self._chosen is not None
        assert self._initiator is not None
        algorithm = self._chosen.host_key
        try:
            key = decode_public(blob)
        except KeyFormatError as error:
            raise KexFailed(f"the server's host key can't be used: {error}") from error
        if algorithm not in key.signature_algorithms:
            raise KexFailed(f"a host key of type {key.type} does not fit {algorithm}")
        client, self._initiator = self._initiator, None
        self._hash(blob, client.public, server, client.finish(server))
        assert self._secrets is not None
        if not key.verify(signature, self._secrets.exchange_hash, algorithm):
            raise KexFailed(
                f"the server's signature with its host key {key.fingerprint()} does not verify"
            )
        if key == self.host_key:
            self._send_newkeys()
            return
        self.host_key = key
        self._asks.ask(AskHostKey(key=key, algorithm=algorithm), self._trusted)

    def _trusted(self, answer: Granted | HostKeyRefused) -> None:
        if isinstance(answer, HostKeyRefused):
            raise answer.error
        self._send_newkeys()

    # --- new keys ---

    def _send_newkeys(self) -> None:
        chosen, secrets = self._chosen, self._secrets
        assert chosen is not None
        assert secrets is not None
        self._outbox.send(NewKeys().encode())
        sequence = 0 if self.strict else self._outbox.sequence
        self._outbox.rekeyed(
            secrets.sealer(chosen, self._role, sequence=sequence, random=self._random)
        )
        self._compress_output(chosen)
        if not self.session_id:
            self.session_id = secrets.session_id
            if self._peer_wants_ext_info:
                self._outbox.send_parts(self._ext_info().encode(), b"")
        self._outbox.end_kex()
        self.stage = KexStage.NEWKEYS

    def _ext_info(self) -> ExtInfo:
        extensions = {PING_EXTENSION: b"0"}
        if self._role is Role.SERVER:
            names = ",".join(self._options.algorithms.signatures).encode("ascii")
            extensions = {SIGNATURE_EXTENSION: names, **extensions}
        return ExtInfo(extensions)

    def _receive_newkeys(self, payload: Buffer) -> None:
        NewKeys.decode(payload)
        chosen, secrets = self._chosen, self._secrets
        assert chosen is not None
        assert secrets is not None
        assert self.host_key is not None
        sequence = 0 if self.strict else self._inbox.sequence
        limit = self._options.limits.packet
        self._inbox.rekeyed(
            secrets.opener(chosen, self._role, sequence=sequence, packet_limit=limit)
        )
        self._decompress_input(chosen)
        first = secrets.session_id == secrets.exchange_hash
        self._secrets = self._proposal = None
        self._sent = b""
        self._init_payloads = (b"", b"")
        self.stage = KexStage.IDLE
        self.active = False
        self._events.append(KexDone(self.session_id, self.host_key, chosen, first))

    # --- compression ---

    def authenticated(self) -> None:
        """The user is in: ``zlib@openssh.com`` starts now, in both directions."""
        self._authenticated = True
        assert self._chosen is not None
        if not self._outbox.compresses:
            self._compress_output(self._chosen)
        if not self._inbox.decompresses:
            self._decompress_input(self._chosen)

    def _wanted(self, name: str) -> bool:
        return name == "zlib" or (name == "zlib@openssh.com" and self._authenticated)

    def _compress_output(self, chosen: Chosen) -> None:
        client = self._role is Role.CLIENT
        name = chosen.compression_c2s if client else chosen.compression_s2c
        self._outbox.compress_with(Compressor() if self._wanted(name) else None)

    def _decompress_input(self, chosen: Chosen) -> None:
        client = self._role is Role.CLIENT
        name = chosen.compression_s2c if client else chosen.compression_c2s
        limit = self._options.limits.decompressed
        self._inbox.decompress_with(Decompressor(limit) if self._wanted(name) else None)


_HANDLERS: dict[KexStage, Callable[[KeyExchange, Buffer], None]] = {
    KexStage.GUESS: KeyExchange._drop_guess,
    KexStage.INITIATE: KeyExchange._receive_initiate,
    KexStage.REPLY: KeyExchange._receive_reply,
    KexStage.GEX_REQUEST: KeyExchange._receive_gex_request,
    KexStage.GEX_GROUP: KeyExchange._receive_gex_group,
    KexStage.GEX_INIT: KeyExchange._receive_gex_init,
    KexStage.GEX_REPLY: KeyExchange._receive_gex_reply,
    KexStage.NEWKEYS: KeyExchange._receive_newkeys,
}
