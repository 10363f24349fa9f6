"""Key exchange: the client encrypts a session key for the server's two RSA keys.

The host key identifies the server. The server key is replaced each hour, so that a thief of the
host key can't read recorded sessions. The session id, MD5 over both moduli and the server's cookie,
is part of the session key, so that a server in the middle can't pass it on.
"""

from __future__ import annotations

from hmac import compare_digest

from nacre.crypto import legacy
from nacre.crypto.packets.seal import Random
from nacre.crypto.signatures.rsa1 import MODULI_DIFFER, RSA1Signer, RSA1Verifier
from nacre.errors import (
    ConfigurationError,
    KexFailed,
    KeyFormatError,
    NoCommonAlgorithm,
)
from nacre.keys.families.rsa1 import RSA1PrivateKey, RSA1PublicKey
from nacre.keys.rsa1_text import RSA1
from nacre.protocol.events import AlgorithmsChosen, Chosen, Event, KexDone, Proposal
from nacre.ssh1 import messages as msg
from nacre.ssh1.framing import SSH1Inbox, SSH1Outbox
from nacre.wire.codec import Buffer

SERVER_KEY_BITS = 768
"""Bits of a server key, by default."""

_MASKED = 16
_NAMES = {number: name for name, number in legacy.CIPHERS.items()}
_METHODS_MASK = sum(1 << bit for bit in msg.METHODS.values())


def server_key(
    host_key: RSA1PrivateKey, random: Random, bits: int = SERVER_KEY_BITS
) -> RSA1PrivateKey:
    """Generate a server key for use with ``host_key``, from whose size it differs by 128 bits."""
    if abs(host_key.public.bits - bits) < MODULI_DIFFER:
        bits = host_key.public.bits + MODULI_DIFFER
    return RSA1PrivateKey(RSA1Signer.generate(bits, random))


def _masked(key: bytes, session_id: bytes) -> bytes:
    """XOR the first half of a session key with the session id; a second time undoes it."""
    mask = int.from_bytes(session_id, "big") ^ int.from_bytes(key[:_MASKED], "big")
    return mask.to_bytes(_MASKED, "big") + key[_MASKED:]


def _named(mask: int) -> tuple[str, ...]:
    return tuple(name for name, number in legacy.CIPHERS.items() if mask >> number & 1)


class _Exchange:
    """The part that both roles share.

    :ivar session_id: 16 bytes, once both keys are known.
    :ivar flags: the protocol flags that both sides have set.
    """

    def __init__(
        self,
        ciphers: tuple[str, ...],
        *,
        random: Random,
        outbox: SSH1Outbox,
        inbox: SSH1Inbox,
        events: list[Event],
    ) -> None:
        self.session_id = b""
        self.flags = 0
        # A server has to offer 3DES, the one cipher that every client has.
        self._ciphers = tuple(dict.fromkeys((*ciphers, "3des")))
        self._random = random
        self._outbox = outbox
        self._inbox = inbox
        self._events = events

    def _turn_on(self, cipher: str, key: bytes) -> None:
        self._outbox.encrypt_with(legacy.cipher(cipher, key, encrypt=True))
        self._inbox.decrypt_with(legacy.cipher(cipher, key, encrypt=False))

    def _proposal(self, ciphers: tuple[str, ...]) -> Proposal:
        own = (RSA1,)
        macs, compression = ("crc32",), ("none", "zlib")
        return Proposal(own, own, ciphers, ciphers, macs, macs, compression, compression)

    def _report(self, cipher: str, offered: tuple[str, ...], host_key: RSA1PublicKey) -> None:
        chosen = Chosen(RSA1, RSA1, cipher, cipher, "crc32", "crc32", "none", "none", False)
        self._events.append(
            AlgorithmsChosen(self._proposal((cipher,)), self._proposal(offered), chosen, first=True)
        )
        self._events.append(KexDone(self.session_id, host_key, chosen, first=True))


class ClientExchange(_Exchange):
    """The client's side.

    :ivar methods: the authentication methods that the server offers.
    """

    methods: tuple[str, ...] = ()

    def receive_keys(self, payload: Buffer) -> RSA1PublicKey:
        """Take the server's keys, and return the host key, about which the owner must be asked.

        :raises RemoteProtocolError: KexFailed if the keys can't be used, NoCommonAlgorithm.
        """
        self._message = message = msg.PublicKey.decode(payload)
        try:
            self._host = RSA1Verifier(message.host_modulus, message.host_exponent)
            self._server = RSA1Verifier(message.server_modulus, message.server_exponent)
        except KeyFormatError as error:
            raise KexFailed(f"the server's keys can't be used: {error}") from error
        if abs(self._host.n.bit_length() - self._server.n.bit_length()) < MODULI_DIFFER:
            raise KexFailed("the sizes of the server's keys are too close")
        offered = _named(message.ciphers)
        self._cipher = next((name for name in self._ciphers if name in offered), "")
        if not self._cipher:
            remedy = (
                f"-o Cipher={offered[0]} uses it"
                if offered
                else "nacre has none of the server's ciphers"
            )
            raise NoCommonAlgorithm("cipher", self._ciphers, offered, remedy=remedy)
        self.methods = tuple(
            name for name, bit in msg.METHODS.items() if message.methods >> bit & 1
        )
        self.session_id = legacy.session_id(self._host.n, self._server.n, message.cookie)
        return RSA1PublicKey(self._host)

    def send_session_key(self) -> None:
        """Send the session key. All following packets are encrypted."""
        message = self._message
        key = self._random(legacy.SESSION_KEY)
        first, second = sorted((self._host, self._server), key=lambda one: one.n)
        inner = first.encrypt(_masked(key, self.session_id), self._random)
        outer = second.encrypt(legacy.unsigned(inner), self._random)
        self.flags = message.flags & msg.HOST_IN_FWD_OPEN
        self._outbox.send(
            msg.SessionKey(legacy.CIPHERS[self._cipher], message.cookie, outer, self.flags)
        )
        self._turn_on(self._cipher, key)

    def done(self) -> None:
        """Report the exchange. Call it when the server's SUCCESS shows that it has the host key."""
        self._report(self._cipher, _named(self._message.ciphers), RSA1PublicKey(self._host))


class ServerExchange(_Exchange):
    """The server's side.

    :raises ConfigurationError: the sizes of the two keys are too close.
    """

    def __init__(
        self,
        host_key: RSA1PrivateKey,
        server_key: RSA1PrivateKey,
        ciphers: tuple[str, ...],
        *,
        random: Random,
        outbox: SSH1Outbox,
        inbox: SSH1Inbox,
        events: list[Event],
    ) -> None:
        super().__init__(ciphers, random=random, outbox=outbox, inbox=inbox, events=events)
        if abs(host_key.public.bits - server_key.public.bits) < MODULI_DIFFER:
            raise ConfigurationError("the host key and the server key must differ by 128 bits")
        self._host = host_key
        self._server = server_key
        self._cookie = random(8)

    def send_keys(self) -> None:
        """Send both public keys."""
        host, server = self._host.public.verifier, self._server.public.verifier
        self.session_id = legacy.session_id(host.n, server.n, self._cookie)
        self._outbox.send(
            msg.PublicKey(
                self._cookie,
                server.n.bit_length(),
                server.e,
                server.n,
                host.n.bit_length(),
                host.e,
                host.n,
                msg.HOST_IN_FWD_OPEN,
                sum(1 << legacy.CIPHERS[name] for name in self._ciphers),
                _METHODS_MASK,
            )
        )

    def receive_session_key(self, payload: Buffer) -> None:
        """Take the session key, turn on the cipher and send SUCCESS.

        If the padding of the key is wrong, a random key is used instead: the client's next packet
        then fails, without revealing the reason.

        :raises KexFailed: the cookie is not ours, or the cipher was not offered.
        """
        message = msg.SessionKey.decode(payload)
        if not compare_digest(message.cookie, self._cookie):
            raise KexFailed("the client returned another cookie than the server's")
        cipher = _NAMES.get(message.cipher, "")
        if cipher not in self._ciphers:
            raise KexFailed(f"the client chose cipher {message.cipher}, which was not offered")
        key = _masked(self._decrypt(message.key), self.session_id)
        self.flags = message.flags & msg.HOST_IN_FWD_OPEN
        self._turn_on(cipher, key)
        self._outbox.send(msg.Success())
        self._report(cipher, self._ciphers, self._host.public)

    def _decrypt(self, text: int) -> bytes:
        first, second = sorted((self._host, self._server), key=lambda one: one.public.bits)
        inner = second.signer.decrypt(text, first.public.verifier.size, self._random)
        number = int.from_bytes(inner, "big")
        return first.signer.decrypt(number, legacy.SESSION_KEY, self._random)
