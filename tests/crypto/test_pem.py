from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519

from nacre.crypto.pem import load_pem
from nacre.crypto.sign import Ed25519Signer
from nacre.errors import KeyFormatError, PassphraseRequired


def pkcs8(key, passphrase: bytes | None = None) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption(),
    )


def test_ed25519_in_pkcs8() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    signer = load_pem(pkcs8(key), None)
    assert isinstance(signer, Ed25519Signer)
    assert signer.seed == key.private_bytes_raw()


def test_kinds_that_ssh_does_not_have() -> None:
    with pytest.raises(KeyFormatError, match="SSH has no keys of this kind"):
        load_pem(pkcs8(ed448.Ed448PrivateKey.generate()), None)
    with pytest.raises(KeyFormatError, match="secp256k1"):
        load_pem(pkcs8(ec.generate_private_key(ec.SECP256K1())), None)


def test_every_wrong_passphrase_is_told_as_one() -> None:
    """One in 256 decrypts to right padding by chance: 600 of them meet that case."""
    key = ec.generate_private_key(ec.SECP256R1())
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(b"right"),
    )
    for i in range(600):
        with pytest.raises(PassphraseRequired):
            load_pem(text, b"wrong %d" % i)


def test_an_encrypted_key_asks_for_its_passphrase() -> None:
    text = pkcs8(ed25519.Ed25519PrivateKey.generate(), b"right")
    for passphrase in (None, b""):
        with pytest.raises(PassphraseRequired, match="a passphrase is needed"):
            load_pem(text, passphrase)


def test_damaged_armor_is_damage_whatever_the_passphrase() -> None:
    text = pkcs8(ed25519.Ed25519PrivateKey.generate(), b"right")
    with pytest.raises(KeyFormatError, match="damaged"):
        load_pem(text[:-20], b"right")
    with pytest.raises(KeyFormatError, match="damaged"):
        load_pem(text[:60] + b"!" + text[60:], b"right")
