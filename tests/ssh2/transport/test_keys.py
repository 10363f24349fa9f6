"""Keys from a key exchange: what one role seals, the other opens (RFC 4253 section 7.2)."""

from __future__ import annotations

import hashlib

import pytest

from nacre.crypto import registry
from nacre.crypto.registry import CIPHERS
from nacre.errors import PacketCorrupt
from nacre.limits import KIB
from nacre.protocol.events import Chosen
from nacre.protocol.phases import Role
from nacre.ssh2.transport.keys import Secrets
from nacre.ssh2.transport.negotiate import IMPLICIT_MAC
from nacre.wire.codec import mpint

HASH, SESSION = hashlib.sha256(b"exchange").digest(), hashlib.sha256(b"session").digest()
SECRETS = Secrets("sha256", mpint(0x1234), HASH, SESSION)


def chosen(cipher_c2s: str, cipher_s2c: str) -> Chosen:
    def mac(cipher: str) -> str:
        return IMPLICIT_MAC if CIPHERS[cipher].aead else "hmac-sha2-256"

    return Chosen(
        kex="curve25519-sha256",
        host_key="ssh-ed25519",
        cipher_c2s=cipher_c2s,
        cipher_s2c=cipher_s2c,
        mac_c2s=mac(cipher_c2s),
        mac_s2c=mac(cipher_s2c),
        compression_c2s="none",
        compression_s2c="none",
        strict=True,
    )


def sealed(secrets: Secrets, algorithms: Chosen, role: Role, payload: bytes) -> bytes:
    keys = secrets.keys(algorithms, to_server=role is Role.CLIENT)
    sealer = registry.sealer(keys, sequence=7, random=bytes)
    out = memoryview(bytearray(len(payload) + 256))
    return bytes(out[: sealer.seal(payload, b"", out, 0)])


def opened(secrets: Secrets, algorithms: Chosen, role: Role, packet: bytes) -> bytes:
    keys = secrets.keys(algorithms, to_server=role is Role.SERVER)
    opener = registry.opener(keys, sequence=7, packet_limit=64 * KIB)
    assert opener.packet_size(packet[: opener.header_size]) == len(packet)
    return bytes(opener.open(packet))


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "aes256-ctr"])
@pytest.mark.parametrize("other", ["chacha20-poly1305@openssh.com", "aes128-ctr"])
def test_each_direction_has_its_own_cipher(role: Role, cipher: str, other: str) -> None:
    peer = Role.SERVER if role is Role.CLIENT else Role.CLIENT
    algorithms = chosen(cipher, other)
    packet = sealed(SECRETS, algorithms, role, b"\x5epayload")
    assert opened(SECRETS, algorithms, peer, packet) == b"\x5epayload"


@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"])
def test_the_directions_have_different_keys(cipher: str) -> None:
    algorithms = chosen(cipher, cipher)
    packets = {sealed(SECRETS, algorithms, role, b"\x5epayload") for role in Role}
    assert len(packets) == 2


@pytest.mark.parametrize(
    "other",
    [
        Secrets("sha256", mpint(0x1235), HASH, SESSION),
        Secrets("sha256", mpint(0x1234), SESSION, SESSION),
        Secrets("sha256", mpint(0x1234), HASH, HASH),
        Secrets("sha512", mpint(0x1234), HASH, SESSION),
    ],
    ids=["secret", "exchange hash", "session id", "hash"],
)
def test_every_input_counts(other: Secrets) -> None:
    algorithms = chosen("aes128-gcm@openssh.com", "aes128-gcm@openssh.com")
    packet = sealed(SECRETS, algorithms, Role.CLIENT, b"\x5epayload")
    with pytest.raises(PacketCorrupt):
        opened(other, algorithms, Role.SERVER, packet)


def test_secrets_are_not_shown() -> None:
    assert "1234" not in repr(SECRETS)
    assert HASH.hex() not in repr(SECRETS)
