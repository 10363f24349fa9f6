"""SSH-1's key exchange by itself: both ends reach one key, and refuse what does not fit."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from nacre.crypto.signatures.rsa1 import MODULI_DIFFER
from nacre.errors import ConfigurationError, KexFailed, NoCommonAlgorithm, PacketCorrupt
from nacre.keys import generate
from nacre.keys.families.rsa1 import RSA1PrivateKey
from nacre.limits import Limits
from nacre.protocol.events import AlgorithmsChosen, Event, KexDone
from nacre.ssh1 import messages as msg
from nacre.ssh1.framing import SSH1Inbox, SSH1Outbox
from nacre.ssh1.kex import SERVER_KEY_BITS, ClientExchange, ServerExchange, server_key


def rsa1(bits: int) -> RSA1PrivateKey:
    key = generate("rsa1", bits=bits)
    assert isinstance(key, RSA1PrivateKey)
    return key


HOST = rsa1(1024)
SERVER = server_key(HOST, os.urandom)


class Side:
    """One end's exchange with its packets and events."""

    def __init__(self, make: Callable[..., Any], *fixed: Any) -> None:
        self.events: list[Event] = []
        self.outbox = SSH1Outbox([], random=os.urandom, trace=False)
        self.inbox = SSH1Inbox(Limits())
        self.exchange = make(
            *fixed, random=os.urandom, outbox=self.outbox, inbox=self.inbox, events=self.events
        )

    def receive(self, data: memoryview) -> bytes:
        """Return the one message that arrived."""
        self.inbox.feed(bytes(data))
        payload = self.inbox.next()
        assert payload is not None
        return bytes(payload)


def client(*ciphers: str) -> Side:
    return Side(ClientExchange, ciphers or ("3des", "blowfish"))


def server(*ciphers: str) -> Side:
    return Side(ServerExchange, HOST, SERVER, ciphers or ("3des", "blowfish"))


def keys(side: Side, **changes: Any) -> bytes:
    """Return a server's PUBLIC_KEY message, with some fields changed."""
    side.exchange.send_keys()
    message = msg.PublicKey.decode(client().receive(side.outbox.take()))
    fields = {name: getattr(message, name) for name in msg.PublicKey.FIELDS}
    return msg.PublicKey(**(fields | changes)).encode()


@pytest.mark.parametrize("cipher", ["3des", "blowfish", "des"])
def test_both_sides_reach_one_key(cipher: str) -> None:
    ours, theirs = client(cipher, "3des"), server(cipher)
    theirs.exchange.send_keys()
    key = ours.exchange.receive_keys(ours.receive(theirs.outbox.take()))
    assert key == HOST.public
    ours.exchange.send_session_key()
    theirs.exchange.receive_session_key(theirs.receive(ours.outbox.take()))
    msg.Success.decode(ours.receive(theirs.outbox.take()))
    ours.exchange.done()
    assert ours.exchange.session_id == theirs.exchange.session_id
    assert ours.exchange.flags == theirs.exchange.flags == msg.HOST_IN_FWD_OPEN
    for side in (ours, theirs):
        chosen, done = side.events
        assert isinstance(chosen, AlgorithmsChosen)
        assert isinstance(done, KexDone)
        assert chosen.chosen.cipher_c2s == cipher
        assert done.host_key == HOST.public


def test_a_server_key_differs_enough_from_its_host_key() -> None:
    for bits in (SERVER_KEY_BITS - 64, SERVER_KEY_BITS, SERVER_KEY_BITS + 64):
        made = server_key(HOST, os.urandom, HOST.public.bits + bits - SERVER_KEY_BITS)
        assert abs(made.public.bits - HOST.public.bits) >= MODULI_DIFFER


def test_keys_of_close_sizes_are_refused_by_both_ends() -> None:
    with pytest.raises(ConfigurationError, match="differ by 128 bits"):
        Side(ServerExchange, HOST, rsa1(1025), ("3des",))
    payload = keys(server(), server_modulus=rsa1(1056).public.verifier.n)
    with pytest.raises(KexFailed, match="too close"):
        client().exchange.receive_keys(payload)


@pytest.mark.parametrize("field", ["host_modulus", "server_modulus", "host_exponent"])
def test_keys_that_can_not_be_used(field: str) -> None:
    with pytest.raises(KexFailed, match="can't be used"):
        client().exchange.receive_keys(keys(server(), **{field: 4}))


def test_no_cipher_in_common() -> None:
    with pytest.raises(NoCommonAlgorithm, match="nacre has none of the server's ciphers"):
        client().exchange.receive_keys(keys(server(), ciphers=1 << 5))
    with pytest.raises(NoCommonAlgorithm, match="-o Cipher=des uses it"):
        client().exchange.receive_keys(keys(server(), ciphers=1 << 2))


def test_methods_are_those_of_the_mask() -> None:
    ours = client()
    ours.exchange.receive_keys(keys(server(), methods=1 << msg.METHODS["password"]))
    assert ours.exchange.methods == ("password",)


def answered(**changes: Any) -> tuple[Side, Side, bytes]:
    """Return a client, a server, and the client's answer to it with some fields changed."""
    ours, theirs = client(), server()
    theirs.exchange.send_keys()
    ours.exchange.receive_keys(ours.receive(theirs.outbox.take()))
    ours.exchange.send_session_key()
    message = msg.SessionKey.decode(theirs.receive(ours.outbox.take()))
    fields = {name: getattr(message, name) for name in msg.SessionKey.FIELDS}
    return ours, theirs, msg.SessionKey(**(fields | changes)).encode()


@pytest.mark.parametrize(
    ("changes", "text"),
    [({"cookie": bytes(8)}, "another cookie"), ({"cipher": 5}, "cipher 5, which was not offered")],
)
def test_an_answer_that_does_not_fit(changes: dict[str, Any], text: str) -> None:
    _, theirs, payload = answered(**changes)
    with pytest.raises(KexFailed, match=text):
        theirs.exchange.receive_session_key(payload)


def test_wrong_padding_looks_like_another_key() -> None:
    """Bleichenbacher, 1998: a server that reveals whether padding is right decrypts for anyone."""
    ours, theirs, payload = answered(key=12345)
    theirs.exchange.receive_session_key(payload)
    success = theirs.outbox.take()
    with pytest.raises(PacketCorrupt, match="CRC"):
        ours.receive(success)
