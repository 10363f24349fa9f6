from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519

from nacre.crypto.pem import load_pem
from nacre.crypto.sign_ed25519 import Ed25519Signer
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
    with pytest.raises(KeyFormatError, match="of a type that SSH does not use"):
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


SCRYPT = b"""-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGTME8GCSqGSIb3DQEFDTBCMCEGCSsGAQQB2kcECzAUBAhmug59hKKrTQICQAAC
AQgCAQEwHQYJYIZIAWUDBAEqBBCFwB0dVDgVfBEMJCxsBBEjBECUFJJwmogmJPVg
ykBgxQeI6FpBIKL0zhMB5cHqzlOuFOfrR2+NXt6ClxW+hcVBTeZxQMB2ieOzZvs5
n9zWyvHd
-----END ENCRYPTED PRIVATE KEY-----
"""


def test_a_key_that_openssl_encrypted_with_scrypt() -> None:
    assert isinstance(load_pem(SCRYPT, b"secret"), Ed25519Signer)


def tlv(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return bytes([tag, 0x82]) + len(content).to_bytes(2, "big") + content


def asking_for(*numbers: int) -> bytes:
    """Return an encrypted PKCS#8 file whose key derivation has these numbers."""
    integers = (tlv(2, n.to_bytes(n.bit_length() // 8 + 1, "big")) for n in numbers)
    derivation = tlv(0x30, tlv(6, b"x"), tlv(0x30, tlv(4, b"salt"), *integers))
    der = tlv(0x30, tlv(0x30, tlv(6, b"x"), tlv(0x30, derivation)), tlv(4, bytes(16)))
    return (
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
        + base64.encodebytes(der)
        + b"-----END ENCRYPTED PRIVATE KEY-----\n"
    )


@pytest.mark.parametrize(
    "numbers", [(10_000_001,), (1 << 31, 32), (1 << 20, 8, 2), (1 << 21, 8, 1, 32)]
)
def test_a_key_derivation_that_costs_too_much_is_not_begun(numbers: tuple[int, ...]) -> None:
    with pytest.raises(KeyFormatError, match="too expensive"):
        load_pem(asking_for(*numbers), b"secret")


@pytest.mark.parametrize("numbers", [(10_000_000, 32), (1 << 20, 8, 1)])
def test_a_key_derivation_within_the_bounds_passes(numbers: tuple[int, ...]) -> None:
    with pytest.raises((KeyFormatError, PassphraseRequired), match=r"^(?!.*too expensive)"):
        load_pem(asking_for(*numbers), b"secret")


@pytest.mark.parametrize(
    "body", [b"", b"!", b"MA==", b"MIL/", base64.b64encode(b"\x30\x80" * 5000)]
)
def test_an_encrypted_file_that_is_no_der(body: bytes) -> None:
    text = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n" + body
    with pytest.raises(KeyFormatError):
        load_pem(text + b"\n-----END ENCRYPTED PRIVATE KEY-----\n", b"secret")
