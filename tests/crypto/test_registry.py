"""The tables of algorithms: order, tiers, sizes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from os import urandom

import pytest

from nacre.crypto.kex.method import KexMethod
from nacre.crypto.registry import (
    CA_SIGNATURES,
    CIPHERS,
    COMPRESSIONS,
    KEX,
    MACS,
    SIGNATURES,
    PacketKeys,
    Tier,
    opener,
    sealer,
)
from nacre.crypto.signatures.certified import certified


def names(table: Mapping[str, object], tier: Tier) -> list[str]:
    return [name for name, it in table.items() if getattr(it, "tier", it) is tier]


@pytest.mark.parametrize(
    ("table", "default", "legacy"),
    [
        (
            KEX,
            "mlkem768x25519-sha256 mlkem768nistp256-sha256 mlkem1024nistp384-sha384 "
            "sntrup761x25519-sha512 sntrup761x25519-sha512@openssh.com "
            "curve25519-sha256 curve25519-sha256@libssh.org "
            "ecdh-sha2-nistp256 ecdh-sha2-nistp384 ecdh-sha2-nistp521 "
            "diffie-hellman-group-exchange-sha256 diffie-hellman-group16-sha512 "
            "diffie-hellman-group14-sha256",
            "diffie-hellman-group-exchange-sha1 diffie-hellman-group14-sha1 "
            "diffie-hellman-group1-sha1",
        ),
        (
            CIPHERS,
            "aes128-gcm@openssh.com aes256-gcm@openssh.com chacha20-poly1305@openssh.com "
            "aes128-ctr aes192-ctr aes256-ctr",
            "aes128-cbc aes192-cbc aes256-cbc 3des-cbc",
        ),
        (
            MACS,
            "hmac-sha2-256-etm@openssh.com hmac-sha2-512-etm@openssh.com "
            "hmac-sha2-256 hmac-sha2-512",
            "hmac-sha1-etm@openssh.com hmac-sha1 hmac-sha1-96 hmac-md5",
        ),
        (COMPRESSIONS, "none zlib@openssh.com", ""),
        (
            CA_SIGNATURES,
            "ssh-ed25519 ecdsa-sha2-nistp256 ecdsa-sha2-nistp384 ecdsa-sha2-nistp521 "
            "sk-ssh-ed25519@openssh.com sk-ecdsa-sha2-nistp256@openssh.com "
            "rsa-sha2-512 rsa-sha2-256 ssh-ed448",
            "ssh-rsa ssh-dss",
        ),
    ],
)
def test_tiers_and_preference(table: Mapping[str, object], default: str, legacy: str) -> None:
    assert names(table, Tier.DEFAULT) == default.split()
    assert names(table, Tier.LEGACY) == legacy.split()


def test_signatures_of_certificates_come_first() -> None:
    plain = list(CA_SIGNATURES)
    keys = [name for name in plain if not name.startswith("webauthn-")]
    assert list(SIGNATURES) == [*map(certified, keys), *plain]


def test_zlib_from_the_start_is_only_for_who_names_it() -> None:
    assert names(COMPRESSIONS, Tier.ALLOWED) == ["zlib"]


def test_names_are_keys() -> None:
    for table in (KEX, CIPHERS, MACS):
        assert all(name == spec.name for name, spec in table.items())


@pytest.mark.parametrize("method", KEX.values(), ids=lambda method: method.name)
def test_the_name_of_a_kex_method_says_its_hash(method: KexMethod) -> None:
    of_curve = {"nistp256": "sha256", "nistp384": "sha384", "nistp521": "sha512"}
    last = method.name.partition("@")[0].rsplit("-", 1)[1]
    assert method.hash_name == of_curve.get(last, last)
    assert hashlib.new(method.hash_name).digest_size >= 20


@pytest.mark.parametrize(
    ("cipher", "mac", "key", "iv", "mac_key"),
    [
        ("aes128-gcm@openssh.com", "", 32, 12, 0),
        ("aes128-gcm@openssh.com", "", 16, 16, 0),
        ("chacha20-poly1305@openssh.com", "", 32, 0, 0),
        ("aes128-ctr", "hmac-sha2-256", 32, 16, 32),
        ("aes128-ctr", "hmac-sha2-256", 16, 12, 32),
        ("aes128-ctr", "hmac-sha2-256", 16, 16, 31),
    ],
)
def test_wrong_sizes(cipher: str, mac: str, key: int, iv: int, mac_key: int) -> None:
    keys = PacketKeys(cipher, mac, bytes(key), bytes(iv), bytes(mac_key))
    with pytest.raises(ValueError, match="takes a key"):
        sealer(keys, sequence=0, random=urandom)
    with pytest.raises(ValueError, match="takes a key"):
        opener(keys, sequence=0, packet_limit=1024)


@pytest.mark.parametrize(("cipher", "mac"), [("none", ""), ("aes128-ctr", "none")])
def test_there_is_no_encryption_without_cipher_or_mac(cipher: str, mac: str) -> None:
    with pytest.raises(KeyError):
        sealer(PacketKeys(cipher, mac, bytes(16), bytes(16), b""), sequence=0, random=urandom)
