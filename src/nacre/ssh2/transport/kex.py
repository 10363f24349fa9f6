"""Phase 2, second half: the key exchanges of a connection, the first and the later ones.

RFC 4253 sections 7 to 9, RFC 4419, RFC 5656 section 4, RFC 4462 section 2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar, cast

from nacre.crypto import registry
from nacre.crypto.kex.dh import dh_gex
from nacre.crypto.kex.groups import check_group, choose_group
from nacre.crypto.kex.method import Initiator, KexMethod
from nacre.crypto.packets.compress import Compressor, Decompressor
from nacre.crypto.packets.seal import Random
from nacre.crypto.signatures.certified import plain, plain_names
from nacre.errors import ConfigurationError, KexFailed, KeyFormatError, RemoteProtocolError
from nacre.keys import PrivateKey, PublicKey, decode_public
from nacre.protocol.asks import (
    Ask,
    AskArithmetic,
    AskHostKey,
    AskHostSignature,
    Asks,
    Computed,
    Denied,
    Granted,
    HostKeyRefused,
    SessionProof,
    Signature,
)
from nacre.protocol.events import (
    AlgorithmsChosen,
    Chosen,
    Event,
    KexDone,
    Proposal,
    SecretAgreed,
)
from nacre.protocol.gssapi import SecurityContext
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
    KexInit,
    KexInitiate,
    KexReply,
    NewKeys,
)
from nacre.ssh2.transport.outbox import Outbox
from nacre.ssh2.transport.stages import BEGINS, KexStage
from nacre.wire import codec
from nacre.wire.codec import Buffer
from nacre.wire.message import Message

if TYPE_CHECKING:
    from nacre.ssh2.transport.gss import Established, GssSteps

PING_EXTENSION = "ping@openssh.com"
SIGNATURE_EXTENSION = "server-sig-algs"
HOST_BOUND_EXTENSION = "publickey-hostbound@openssh.com"
_GEX_SIZES = GexRequest(2048, 3072, 8192)
_GEX_SIZES_SHA1 = GexRequest(1024, 2048, 8192)
_LISTS = attrgetter(*Proposal.__match_args__)

T = TypeVar("T")


class RunningExchange:
    """One key exchange, from the peer's KEXINIT to its NEWKEYS; nothing of it is kept after that.

    :ivar chosen: the algorithms of the keys to come.
    :ivar method: the method; in a group exchange, from its second message on, that of the group.
    :ivar next_stage: what follows once a wrongly guessed packet is dropped.
    :ivar initiator: the client's half of the computation, until the server's half arrives.
    :ivar group: the sizes and the group of a group exchange, as they are hashed (RFC 4419).
    :ivar ext_info: whether the peer wants EXT_INFO behind our NEWKEYS.
    :ivar gss: the steps of an exchange by GSSAPI.
    :ivar secrets: the result, from the moment when the exchange hash is known.
    """

    gss: GssSteps
    secrets: Secrets

    def __init__(self, chosen: Chosen, hashed: tuple[bytes, bytes, bytes, bytes]) -> None:
        self.chosen = chosen
        self.method = registry.EXCHANGES[chosen.kex]
        self.next_stage = KexStage.IDLE
        self.initiator: Initiator | None = None
        self.group = b""
        self.ext_info = False
        self._hashed = hashed

    def finish(
        self, host_key: bytes, client: bytes, server: bytes, k: bytes, session_id: bytes
    ) -> Secrets:
        """Compute the exchange hash (RFC 4253 section 8) and keep the secrets.

        :param client: the client's public value; ``server``: the server's.
        :param k: the shared secret as it is hashed.
        :param session_id: empty in the first exchange, whose hash becomes the session id.
        """
        name = self.method.hash_name
        begin = b"".join(map(codec.string, (*self._hashed, host_key)))
        values = self.group + codec.string(client) + codec.string(server) + k
        digest = getattr(hashlib, name)(begin + values).digest()
        self.secrets = Secrets(name, k, digest, session_id or digest)
        return self.secrets


class KeyExchange:
    """Runs the key exchanges of one connection, the first and every rekey.

    :ivar stage: the message of the exchange that the peer sends next; IDLE outside an exchange.
    :ivar active: True from the first KEXINIT of either side to the peer's NEWKEYS.
    :ivar session: the hash of the first exchange, with its host key; None before.
    :ivar strict: whether both sides speak strict kex; decided by the first KEXINITs.
    :ivar host_key: the server's host key, once its signature verified.
    :ivar lines: both identification lines, the client's first: they begin the hash.
    :ivar chosen: the algorithms of the latest exchange; delayed compression needs them.
    :ivar keeps_keys: whether inbox and outbox remember their keys: another process may go on with
        them. At the login that ends.
    """

    # _exchanges_left  exchanges that an unauthenticated peer may still start.
    # _ours            our KEXINIT, as lists and as sent, from begin() to the peer's NEWKEYS.
    # _running         the exchange, once both KEXINITs are there.
    # _signers         a server's host key for each host key algorithm.

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
        self.session: SessionProof | None = None
        self.strict = False
        self.host_key: PublicKey | None = None
        self.lines: tuple[bytes, bytes] = (b"", b"")
        self.chosen: Chosen | None = None
        self.keeps_keys = False
        self._role = role
        self._options = options
        self._random = random
        self._outbox = outbox
        self._inbox = inbox
        self._events = events
        self._asks = asks
        self._authenticated = False
        self._exchanges_left = options.limits.kex_unauthenticated
        self._ours: tuple[Proposal, bytes] | None = None
        self._running: RunningExchange | None = None
        self._signers = self._signing_keys(host_keys)

    @property
    def session_id(self) -> bytes:
        """The hash of the first exchange; empty before it is known."""
        return b"" if self.session is None else self.session.session_id

    def _signing_keys(self, host_keys: tuple[PrivateKey, ...]) -> dict[str, PrivateKey]:
        # A key with a certificate also serves without it: many clients don't know certificates.
        candidates = [*host_keys, *[key.plain for key in host_keys]]
        keys: dict[str, PrivateKey] = {}
        for algorithm in self._options.algorithms.host_key:
            for key in candidates:
                if algorithm in key.public.signature_algorithms:
                    keys[algorithm] = key
                    break
        if self._role is Role.SERVER and not keys:
            raise ConfigurationError(
                "no host key can sign with one of the host key algorithms "
                f"{', '.join(self._options.algorithms.host_key)}; add a key or name its algorithm"
            )
        return keys

    # --- the two KEXINITs ---

    def versions(self, client: bytes, server: bytes) -> None:
        """Set the identification lines, with which the exchange hash begins."""
        self.lines = (client, server)

    def begin(self) -> None:
        """Send our KEXINIT, unless it is sent already."""
        if self._ours is None:
            self._send_kexinit()

    def _send_kexinit(self) -> tuple[Proposal, bytes]:
        client = self._role is Role.CLIENT
        names = self._options.algorithms.host_key if client else tuple(self._signers)
        self._ours = negotiate.kexinit(
            self._options.algorithms, names, self._role, self._random(16), self._options.gss_kex
        )
        self._outbox.send(self._ours[1], KexInit)
        self._outbox.begin_kex()
        self.active = True
        return self._ours

    def receive_kexinit(self, payload: Buffer) -> None:
        """Take the peer's KEXINIT.

        :raises RemoteProtocolError: NoCommonAlgorithm, MalformedMessage, a violation of strict
            kex, or one exchange too many before authentication.
        """
        if not self._authenticated:
            if not self._exchanges_left:
                raise RemoteProtocolError("too many key exchanges before authentication")
            self._exchanges_left -= 1
        theirs = bytes(payload)
        lists, guessed = negotiate.received(theirs)
        most = self._options.limits.kex_names
        if max(map(len, _LISTS(lists))) > most:
            raise RemoteProtocolError(f"a list of the proposal has more than {most} names")
        proposal, ours = self._ours or self._send_kexinit()
        if self._role is Role.CLIENT:
            client, server, payloads, peer = proposal, lists, (ours, theirs), Role.SERVER
        else:
            client, server, payloads, peer = lists, proposal, (theirs, ours), Role.CLIENT
        chosen = negotiate.negotiate(client, server, self._role)
        first = self.session is None
        if first:
            self._decide_strict(chosen.strict)
        self._events.append(AlgorithmsChosen(client, server, chosen, first))
        self.chosen = chosen
        self._running = running = RunningExchange(chosen, (*self.lines, *payloads))
        # RFC 8308 section 2.1: of all exchanges, only the first one counts.
        running.ext_info = first and negotiate.EXT_INFO[peer] in lists.kex
        self._start_method(running)
        if guessed and not negotiate.guessed_right(client, server):
            running.next_stage, self.stage = self.stage, KexStage.GUESS

    def _decide_strict(self, strict: bool) -> None:
        self.strict = strict
        # Strict kex: an attacker could insert messages before KEXINIT to shift sequence numbers.
        if strict and self._inbox.sequence != 1:
            raise RemoteProtocolError("strict kex: KEXINIT was not the first packet")

    def _start_method(self, running: RunningExchange) -> None:
        family = running.method.family
        client, server = BEGINS[family]
        self.stage = client if self._role is Role.CLIENT else server
        if family == "gss":
            self._start_gss(running)
        elif self._role is Role.SERVER:
            return
        elif family == "dh-gex":
            self._outbox.send(_gex_sizes(running.method).encode())
        else:
            work = partial(running.method.initiate, self._random)
            self._compute(running, work, partial(self._send_initiate, running, KexInitiate))

    def _send_initiate(
        self,
        running: RunningExchange,
        message: type[KexInitiate | GexInit],
        initiator: Initiator,
    ) -> None:
        running.initiator = initiator
        self._outbox.send(message(initiator.public).encode())

    def _compute(
        self, running: RunningExchange, work: Callable[[], T], then: Callable[[T], None]
    ) -> None:
        """Call ``then`` with the result of ``work``.

        What is slow is the owner's to compute; until then, no further packet is read.
        """
        if not running.method.slow:
            then(work())
            return

        def go_on(answer: Computed) -> None:
            if answer.error is not None:
                raise answer.error
            then(cast(T, answer.result))

        self._asks.ask(AskArithmetic(work=work), go_on)

    # --- messages of the method ---

    def receive(self, payload: Buffer) -> None:
        """Take a message that ``LEGAL`` allows in this stage.

        :raises RemoteProtocolError: KexFailed, MalformedMessage.
        """
        running = self._running
        assert running is not None, "the table of legal messages lets nothing through here"
        _HANDLERS[self.stage](self, running, payload)

    def _drop_guess(self, running: RunningExchange, payload: Buffer) -> None:
        self.stage = running.next_stage

    def _receive_initiate(self, running: RunningExchange, payload: Buffer) -> None:
        self._respond(running, KexInitiate.decode(payload).public, KexReply)

    def _receive_reply(self, running: RunningExchange, payload: Buffer) -> None:
        reply = KexReply.decode(payload)
        self._verify(running, reply.host_key, reply.public, reply.signature)

    def _receive_gex_request(self, running: RunningExchange, payload: Buffer) -> None:
        request = GexRequest.decode(payload)
        most = min(request.maximum, self._options.limits.kex_group_bits)
        group = choose_group(request.minimum, request.preferred, most)
        if group is None:
            raise KexFailed(
                f"no group of {request.minimum} to {request.maximum} bits for the group exchange"
            )
        answer = GexGroup(*group)
        running.group = request.encode()[1:] + answer.encode()[1:]
        running.method = dh_gex(running.method.name, *group)
        self._outbox.send(answer.encode())
        self.stage = KexStage.GEX_INIT

    def _receive_gex_group(self, running: RunningExchange, payload: Buffer) -> None:
        group = GexGroup.decode(payload)
        sizes = _gex_sizes(running.method)
        running.group = sizes.encode()[1:] + group.encode()[1:]
        running.method = method = dh_gex(running.method.name, group.prime, group.generator)
        self.stage = KexStage.GEX_REPLY

        def work() -> Initiator:
            check_group(group.prime, group.generator, sizes.minimum, sizes.maximum)
            return method.initiate(self._random)

        self._compute(running, work, partial(self._send_initiate, running, GexInit))

    def _receive_gex_init(self, running: RunningExchange, payload: Buffer) -> None:
        self._respond(running, GexInit.decode(payload).public, GexReply)

    def _receive_gex_reply(self, running: RunningExchange, payload: Buffer) -> None:
        reply = GexReply.decode(payload)
        self._verify(running, reply.host_key, reply.public, reply.signature)

    def _respond(
        self, running: RunningExchange, client: bytes, reply: type[KexReply | GexReply]
    ) -> None:
        """Compute the server's half, and reply with it."""
        work = partial(running.method.respond, client, self._random)
        self._compute(running, work, partial(self._reply, running, client, reply))

    def _reply(
        self,
        running: RunningExchange,
        client: bytes,
        reply: type[KexReply | GexReply],
        made: tuple[bytes, bytes],
    ) -> None:
        """Send the server's host key, public value and signature, once that is made."""
        algorithm = running.chosen.host_key
        key = self._signers[algorithm]
        blob = key.public.blob
        server, k = made
        secrets = running.finish(blob, client, server, k, self.session_id)
        self._begin_session(secrets, key.public)
        self.host_key = key.public
        if key.held:
            # The program holds a key and need not know its certificate.
            ask = AskHostSignature(
                key=key.public.plain, algorithm=plain(algorithm), data=secrets.exchange_hash
            )
            self._asks.ask(ask, lambda answer: self._signed(reply, blob, server, answer))
            return
        signature = key.sign(secrets.exchange_hash, algorithm)
        self._outbox.send(reply(blob, server, signature).encode())
        self._send_newkeys()

    def _signed(
        self,
        reply: type[KexReply | GexReply],
        blob: bytes,
        server: bytes,
        answer: Signature | Denied,
    ) -> None:
        if isinstance(answer, Denied):
            raise KexFailed("the program that holds the host key makes no signature")
        self._outbox.send(reply(blob, server, answer.blob).encode())
        self._send_newkeys()

    def _verify(
        self, running: RunningExchange, blob: bytes, server: bytes, signature: bytes
    ) -> None:
        algorithm = running.chosen.host_key
        try:
            key = decode_public(blob)
        except KeyFormatError as error:
            raise KexFailed(f"the server's host key can't be used: {error}") from error
        if algorithm not in key.signature_algorithms:
            raise KexFailed(f"a host key of type {key.type} does not fit {algorithm}")
        least = self._options.limits.host_rsa_bits
        if key.rsa and key.bits < least:
            raise KexFailed(
                f"the server's RSA key has {key.bits} bits, and {least} are required here "
                "(host_rsa_bits of Limits; RequiredRSASize)"
            )
        client, running.initiator = running.initiator, None
        assert client is not None
        values = blob, client.public, server
        work = partial(client.finish, server)
        self._compute(running, work, partial(self._judge, running, key, signature, values))

    def _judge(
        self,
        running: RunningExchange,
        key: PublicKey,
        signature: bytes,
        values: tuple[bytes, bytes, bytes],
        k: bytes,
    ) -> None:
        """Verify the server's signature, and have the owner decide about its key."""
        algorithm = running.chosen.host_key
        secrets = running.finish(*values, k, self.session_id)
        if not key.verify(signature, secrets.exchange_hash, algorithm):
            raise KexFailed(
                f"the server's signature with its host key {key.fingerprint()} does not verify"
            )
        self._begin_session(secrets, key, signature)
        if key == self.host_key:
            self._send_newkeys()
            return
        self.host_key = key
        self._asks.ask(AskHostKey(key=key, algorithm=algorithm), self._trusted)

    def _trusted(self, answer: Granted | HostKeyRefused) -> None:
        if isinstance(answer, HostKeyRefused):
            raise answer.error
        self._send_newkeys()

    def _begin_session(
        self,
        secrets: Secrets,
        key: PublicKey | None,
        signature: bytes = b"",
        context: SecurityContext | None = None,
    ) -> None:
        if self.session is None:
            self.session = SessionProof(secrets.session_id, key, signature, context)

    # --- exchanges by GSSAPI ---

    def _start_gss(self, running: RunningExchange) -> None:
        from nacre.ssh2.transport.gss import GssExchange

        def finish(host_key: bytes, client: bytes, server: bytes, k: bytes) -> bytes:
            secrets = running.finish(host_key, client, server, k, self.session_id)
            return secrets.exchange_hash

        most = self._options.limits.security_token
        exchange = GssExchange(running.method, self._random, finish, most)
        running.gss = exchange.client() if self._role is Role.CLIENT else exchange.server()
        self._step_gss(None)

    def _receive_gss(self, running: RunningExchange, payload: Buffer) -> None:
        self._step_gss(payload)

    def _step_gss(self, received: object) -> None:
        """Pass on what the steps wait for: None at first, then an answer or a payload."""
        assert self._running is not None
        try:
            step = self._running.gss.send(received)
        except StopIteration as end:
            self._established(end.value)
            return
        if isinstance(step, Ask):
            self._asks.ask(step, self._step_gss)
        elif isinstance(step, Message):
            self._outbox.send(step.encode())
            if self._role is Role.SERVER:
                self.stage = KexStage.GSS_CONTINUE

    def _established(self, end: Established) -> None:
        assert self._running is not None
        if end.message is not None:
            self._outbox.send(end.message.encode())
        self._begin_session(self._running.secrets, None, context=end.context)
        self._send_newkeys()

    # --- new keys ---

    def _send_newkeys(self) -> None:
        assert self._running is not None
        chosen, secrets = self._running.chosen, self._running.secrets
        self._outbox.send(NewKeys().encode())
        sequence = 0 if self.strict else self._outbox.sequence
        keys = secrets.keys(chosen, to_server=self._role is Role.CLIENT)
        self._outbox.rekeyed(registry.sealer(keys, sequence=sequence, random=self._random))
        if self.keeps_keys:
            self._outbox.keys = keys
        self._compress_output(chosen)
        if self._running.ext_info:
            self._outbox.send_parts(self._ext_info().encode(), b"")
        self._outbox.end_kex()
        self.stage = KexStage.NEWKEYS

    def _ext_info(self) -> ExtInfo:
        extensions = {PING_EXTENSION: b"0"}
        if self._role is Role.SERVER:
            # The plain names alone, as OpenSSH: a certificate's signature is one of its key.
            names = plain_names(self._options.algorithms.signatures)
            announced = {SIGNATURE_EXTENSION: ",".join(names).encode("ascii")}
            if self.host_key is not None:
                announced[HOST_BOUND_EXTENSION] = b"0"
            extensions = announced | extensions
        return ExtInfo(extensions)

    def _receive_newkeys(self, running: RunningExchange, payload: Buffer) -> None:
        NewKeys.decode(payload)
        chosen, secrets = running.chosen, running.secrets
        sequence = 0 if self.strict else self._inbox.sequence
        keys = secrets.keys(chosen, to_server=self._role is Role.SERVER)
        limit = self._options.limits.packet
        self._inbox.rekeyed(registry.opener(keys, sequence=sequence, packet_limit=limit))
        if self.keeps_keys:
            self._inbox.keys = keys
        self._decompress_input(chosen)
        first = secrets.session_id == secrets.exchange_hash
        if self._options.key_log and self._ours is not None:
            # Its cookie is behind the message's number (RFC 4253 section 7.1).
            self._events.append(SecretAgreed(self._ours[1][1:17], secrets.k[4:]))
        self._ours = self._running = None
        self.stage = KexStage.IDLE
        self.active = False
        self._events.append(KexDone(secrets.session_id, self.host_key, chosen, first))

    # --- after the login ---

    def authenticated(self) -> None:
        """Start ``zlib@openssh.com`` in both directions. Call it when authentication succeeded."""
        self._authenticated = True
        self.keeps_keys = False
        self._outbox.keys = self._inbox.keys = None
        assert self.chosen is not None
        if not self._outbox.compresses:
            self._compress_output(self.chosen)
        if not self._inbox.decompresses:
            self._decompress_input(self.chosen)

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


def _gex_sizes(method: KexMethod) -> GexRequest:
    return _GEX_SIZES_SHA1 if method.hash_name == "sha1" else _GEX_SIZES


_HANDLERS: dict[KexStage, Callable[[KeyExchange, RunningExchange, Buffer], None]] = {
    KexStage.GUESS: KeyExchange._drop_guess,
    KexStage.INITIATE: KeyExchange._receive_initiate,
    KexStage.REPLY: KeyExchange._receive_reply,
    KexStage.GEX_REQUEST: KeyExchange._receive_gex_request,
    KexStage.GEX_GROUP: KeyExchange._receive_gex_group,
    KexStage.GEX_INIT: KeyExchange._receive_gex_init,
    KexStage.GEX_REPLY: KeyExchange._receive_gex_reply,
    KexStage.GSS_INITIATE: KeyExchange._receive_gss,
    KexStage.GSS_CONTINUE: KeyExchange._receive_gss,
    KexStage.GSS_REPLY: KeyExchange._receive_gss,
    KexStage.NEWKEYS: KeyExchange._receive_newkeys,
}
