"""Keys in SSH.COM's format: made here; those of puttygen are in tests/interop."""

from __future__ import annotations

import hashlib

import pytest

from nacre.crypto.packets.block import encrypt
from nacre.errors import KeyFormatError, PassphraseRequired
from nacre.keys import PrivateKey, load_private
from nacre.keys.formats.armor import folded
from nacre.wire.codec import WireReader, string, u32

NAMES = {
    "ssh-rsa": b"if-modn{sign{rsa-pkcs1-sha1},encrypt{rsa-pkcs1v2-oaep}}",
    "ssh-dss": b"dl-modp{sign{dsa-nist-sha1},dh{plain}}",
}


def number(n: int) -> bytes:
    return u32(n.bit_length()) + n.to_bytes((n.bit_length() + 7) // 8, "big")


def section(key: PrivateKey) -> bytes:
    reader = WireReader(key.secret_fields())
    if key.public.type == "ssh-rsa":
        n, e, d, iqmp, p, q = (reader.mpint() for _ in range(6))
        return string(b"".join(map(number, (e, d, n, iqmp, q, p))))
    p, q, g, y, x = (reader.mpint() for _ in range(5))
    return string(u32(0) + b"".join(map(number, (p, g, q, y, x))))


def file(name: bytes, inside: bytes, cipher: bytes = b"none", magic: int = 0x3F6FF9EB) -> bytes:
    body = string(name) + string(cipher) + string(inside)
    data = u32(magic) + u32(len(body) + 8) + body
    edges = (b"---- %b SSH2 ENCRYPTED PRIVATE KEY ----\n" % it for it in (b"BEGIN", b"END"))
    begin, end = edges
    return begin + b'Comment: "mine"\n' + folded(data, 70) + end


def sealed(inside: bytes, passphrase: bytes) -> bytes:
    first = hashlib.md5(passphrase).digest()
    key = (first + hashlib.md5(passphrase + first).digest())[:24]
    return encrypt("3des-cbc", key, bytes(8), inside + bytes(-len(inside) % 8))


@pytest.mark.parametrize("type", NAMES)
def test_plain_and_encrypted(type: str, key_of) -> None:
    key = key_of(type)
    plain = file(NAMES[type], section(key))
    encrypted = file(NAMES[type], sealed(section(key), b"secret"), b"3des-cbc")
    for text in (plain, encrypted):
        again = load_private(text, "secret")
        assert (again.public, again.comment) == (key.public, "mine")
        assert again.secret_fields() == key.secret_fields()
    with pytest.raises(PassphraseRequired, match="is needed"):
        load_private(encrypted)
    for i in range(20):
        with pytest.raises(PassphraseRequired, match="wrong"):
            load_private(encrypted, f"wrong {i}")


def test_damage_has_a_name(key_of) -> None:
    inside = section(key_of("ssh-rsa"))
    name = NAMES["ssh-rsa"]
    for text, says in (
        (file(name, inside, magic=1), "cut off"),
        (file(name, inside[:-9]), "a field of it is cut off"),
        (file(name, inside, b"blowfish-cbc"), "cipher blowfish-cbc is not supported"),
        (file(b"dl-modq{}", inside), "type that is not supported"),
        (file(name, inside + bytes(1 - len(inside) % 8 + 8), b"3des-cbc"), "section is cut off"),
    ):
        with pytest.raises(KeyFormatError, match=says):
            load_private(text, "secret")
