from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, x25519

from nacre.crypto import pem
from nacre.crypto.packets.block import encrypt
from nacre.crypto.pem import (
    dump_der,
    dump_public_der,
    load_dek,
    load_der,
    load_public_der,
    seal_dek,
)
from nacre.crypto.signatures.dsa import DSASigner
from nacre.crypto.signatures.ecdsa import ECDSASigner
from nacre.crypto.signatures.eddsa import ED448, ED25519, EdDSASigner
from nacre.crypto.signatures.rsa import RSASigner
from nacre.errors import KeyFormatError, PassphraseRequired

SIGNERS: dict[str, pem.Signer] = {
    "ed25519": EdDSASigner.generate(ED25519),
    "ed448": EdDSASigner.generate(ED448),
    "ecdsa": ECDSASigner.generate("nistp384"),
    "rsa": RSASigner.generate(1024),
    "dsa": DSASigner.generate(1024),
}
ENCRYPTED = serialization.BestAvailableEncryption(b"right")


def pkcs8(key, passphrase: bytes | None = None) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption(),
    )


def tlv(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return bytes([tag, 0x82]) + len(content).to_bytes(2, "big") + content


@pytest.mark.parametrize("name", SIGNERS)
def test_pkcs8_of_each_family_comes_back(name: str) -> None:
    signer = SIGNERS[name]
    for passphrase in (None, b"secret"):
        der = dump_der(signer, "pkcs8", passphrase)
        again = load_der(der, passphrase, encrypted=passphrase is not None)
        assert type(again) is type(signer)
        assert pkcs8(again.key) == pkcs8(signer.key)


@pytest.mark.parametrize(("name", "form"), [*((name, "pkcs8") for name in SIGNERS), ("rsa", "pem")])
def test_public_keys_of_each_family_come_back(name: str, form: pem.Form) -> None:
    verifier = SIGNERS[name].verifier
    again = load_public_der(dump_public_der(verifier, form))
    assert type(again) is type(verifier)
    assert dump_public_der(again, "pkcs8") == dump_public_der(verifier, "pkcs8")


@pytest.mark.parametrize("name", ["ed25519", "ed448"])
def test_families_without_an_old_form(name: str) -> None:
    with pytest.raises(KeyFormatError, match="no PEM form but PKCS#8"):
        dump_der(SIGNERS[name], "pem")


def test_a_passphrase_that_the_library_would_not_take() -> None:
    with pytest.raises(KeyFormatError, match="longer than 1023 bytes"):
        dump_der(SIGNERS["ecdsa"], "pkcs8", b"x" * 1024)


def test_kinds_that_ssh_does_not_have() -> None:
    with pytest.raises(KeyFormatError, match="of a type that SSH does not use"):
        load_der(pkcs8(x25519.X25519PrivateKey.generate()), None)
    curve = ec.generate_private_key(ec.SECP256K1())
    with pytest.raises(KeyFormatError, match="secp256k1"):
        load_der(pkcs8(curve), None)
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    for key, says in ((curve, "secp256k1"), (x25519.X25519PrivateKey.generate(), "does not use")):
        der = key.public_key().public_bytes(serialization.Encoding.DER, public)
        with pytest.raises(KeyFormatError, match=says):
            load_public_der(der)
    with pytest.raises(KeyFormatError, match="damaged"):
        load_public_der(b"\x30\x03\x02\x01\x00")


@pytest.mark.parametrize(
    "form",
    [serialization.PrivateFormat.TraditionalOpenSSL, serialization.PrivateFormat.PKCS8],
    ids=["SEC 1", "PKCS#8"],
)
@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP521R1()], ids=lambda it: it.name)
def test_a_public_half_that_disagrees(
    curve: ec.EllipticCurve, form: serialization.PrivateFormat
) -> None:
    one, other = (
        key.private_bytes(
            serialization.Encoding.DER,
            form,
            serialization.NoEncryption(),
        )
        for key in (ec.generate_private_key(curve) for _ in range(2))
    )
    half = 2 * ((curve.key_size + 7) // 8)
    with pytest.raises(KeyFormatError, match="half of the ECDSA key do not match"):
        load_der(one[:-half] + other[-half:], None)


def test_a_public_half_of_dsa_that_disagrees() -> None:
    made = dsa.generate_private_key(1024)
    x = made.private_numbers().x.to_bytes(20, "big")
    der = made.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    assert der.count(x) == 1
    with pytest.raises(KeyFormatError, match="do not match"):
        load_der(der.replace(x, x[:-1] + bytes([x[-1] ^ 1])), None)


@pytest.mark.parametrize("name", ["ed25519", "ed448"])
def test_pkcs8_with_the_public_half(name: str) -> None:
    """Version 2 of RFC 5958, as some libraries write it."""
    signer = SIGNERS[name]
    assert isinstance(signer, EdDSASigner)
    other = EdDSASigner.generate(signer.curve)
    inside = pem._elements(pem._elements(pkcs8(signer.key))[0][1])
    (_, algorithm), (_, private) = inside[1:]

    def file(public: bytes) -> bytes:
        parts = (tlv(2, b"\1"), tlv(0x30, algorithm), tlv(4, private), tlv(0x81, b"\0" + public))
        return tlv(0x30, *parts)

    again = load_der(file(signer.verifier.raw), None)
    assert type(again) is type(signer)
    assert pkcs8(again.key) == pkcs8(signer.key)
    with pytest.raises(KeyFormatError, match="half of the EdDSA key do not match"):
        load_der(file(other.verifier.raw), None)


@pytest.mark.parametrize("front", [b"\0", b"\0\0\0", b""])
def test_a_private_number_of_another_length(front: bytes) -> None:
    """PuTTY writes a zero byte in front of a number whose highest bit is set."""
    secret, size = 0x1234, 2
    signer = ECDSASigner("nistp256", secret)
    number = front + secret.to_bytes(size, "big")
    curve = tlv(0xA0, bytes.fromhex("06082a8648ce3d030107"))

    def file(point: bytes) -> bytes:
        return tlv(0x30, tlv(2, b"\1"), tlv(4, number), curve, tlv(0xA1, tlv(3, b"\0" + point)))

    again = load_der(file(signer.verifier.point), None)
    assert isinstance(again, ECDSASigner)
    assert again.secret == secret
    with pytest.raises(KeyFormatError, match="do not match"):
        load_der(file(ECDSASigner.generate("nistp256").verifier.point), None)
    other = tlv(0xA0, bytes.fromhex("06052b8104000a"))
    for der in (
        tlv(0x30, tlv(2, b"\1"), tlv(4, number), other),
        tlv(0x30, tlv(2, b"\1"), tlv(4, bytes(100) + number), curve),
        tlv(0x30, tlv(2, b"\1"), tlv(5, number), curve),
    ):
        with pytest.raises(KeyFormatError, match="damaged"):
            load_der(der, None)


# --- encryption as in RFC 1421 ---


def dek(cipher: str, iv: bytes, passphrase: bytes, plain: bytes) -> bytes:
    """Encrypt as OpenSSL does: a key from MD5, and PKCS#7 padding."""
    name, size, block = pem._DEK_CIPHERS[cipher]
    made = b""
    while len(made) < size:
        made += hashlib.md5(made[-16:] + passphrase + iv[:8]).digest()
    padding = block - len(plain) % block
    return encrypt(name, made[:size], iv, plain + bytes([padding]) * padding)


@pytest.mark.parametrize("cipher", pem._DEK_CIPHERS)
def test_each_cipher_of_rfc_1421(cipher: str) -> None:
    iv = bytes(range(pem._DEK_CIPHERS[cipher][2]))
    key = ec.generate_private_key(ec.SECP256R1())
    der = dek(cipher, iv, b"right", pkcs8(key))
    signer = load_dek(der, b"right", f"{cipher},{iv.hex()}")
    assert isinstance(signer, ECDSASigner)
    assert pkcs8(signer.key) == pkcs8(key)


def test_what_is_sealed_is_read() -> None:
    der = pkcs8(ec.generate_private_key(ec.SECP256R1()))
    info, sealed = seal_dek(der, b"right", bytes(range(16)))
    assert info == "AES-128-CBC,000102030405060708090A0B0C0D0E0F"
    assert sealed == dek("AES-128-CBC", bytes(range(16)), b"right", der)
    assert pkcs8(load_dek(sealed, b"right", info).key) == der


def test_the_library_agrees_on_that_encryption() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, ENCRYPTED
    ).splitlines()
    assert text[2].startswith(b"DEK-Info: ")
    der = base64.b64decode(b"".join(text[4:-1]))
    assert pkcs8(load_dek(der, b"right", text[2][10:].decode()).key) == pkcs8(key)


def test_every_wrong_passphrase_is_told_as_one() -> None:
    """One in 256 decrypts to right padding by chance: 600 of them meet that case."""
    iv = bytes(16)
    der = dek("AES-128-CBC", iv, b"right", pkcs8(ec.generate_private_key(ec.SECP256R1())))
    for i in range(600):
        with pytest.raises(PassphraseRequired):
            load_dek(der, b"wrong %d" % i, f"AES-128-CBC,{iv.hex()}")


@pytest.mark.parametrize(
    ("info", "says"),
    [
        ("", "not supported"),
        ("CAMELLIA-128-CBC," + "00" * 16, "CAMELLIA-128-CBC is not supported"),
        ("AES-128-CBC", "DEK-Info is cut off"),
        ("AES-128-CBC,0011", "DEK-Info is cut off"),
        ("AES-128-CBC," + "zz" * 16, "DEK-Info is cut off"),
        ("MIICXAIBAAKBgQCxMIICXAIBAAKBgQCx", r"cipher \(\?\) is not supported"),
    ],
)
def test_a_header_that_is_damaged(info: str, says: str) -> None:
    with pytest.raises(KeyFormatError, match=says):
        load_dek(bytes(32), b"secret", info)


@pytest.mark.parametrize("der", [b"", bytes(31)])
def test_a_text_that_is_not_whole_blocks_is_damage(der: bytes) -> None:
    with pytest.raises(KeyFormatError, match="damaged"):
        load_dek(der, b"secret", "AES-128-CBC," + "00" * 16)


def test_an_encrypted_key_asks_for_its_passphrase() -> None:
    der = pkcs8(ed25519.Ed25519PrivateKey.generate(), b"right")
    for passphrase in (None, b""):
        with pytest.raises(PassphraseRequired, match="a passphrase is needed"):
            load_der(der, passphrase, encrypted=True)
        with pytest.raises(PassphraseRequired, match="a passphrase is needed"):
            load_dek(bytes(32), passphrase, "AES-128-CBC," + "00" * 16)
    with pytest.raises(PassphraseRequired, match="wrong"):
        load_der(der, b"wrong", encrypted=True)


def test_ed448_in_pkcs8() -> None:
    key = ed448.Ed448PrivateKey.generate()
    signer = load_der(pkcs8(key), None)
    assert isinstance(signer, EdDSASigner)
    assert signer.seed == key.private_bytes_raw()


def test_an_ed448_key_of_another_length_is_damage() -> None:
    der = pkcs8(SIGNERS["ed448"].key)
    shorter = bytes([0x30, der[1] - 1]) + der[2:14] + bytes([0x04, 58, 0x04, 56]) + der[18:-1]
    for damaged in (shorter, der[:-1]):
        with pytest.raises(KeyFormatError, match="damaged"):
            load_der(damaged, None)


# --- encryption of PKCS#8 ---

SCRYPT = base64.b64decode(
    b"MIGTME8GCSqGSIb3DQEFDTBCMCEGCSsGAQQB2kcECzAUBAhmug59hKKrTQICQAAC"
    b"AQgCAQEwHQYJYIZIAWUDBAEqBBCFwB0dVDgVfBEMJCxsBBEjBECUFJJwmogmJPVg"
    b"ykBgxQeI6FpBIKL0zhMB5cHqzlOuFOfrR2+NXt6ClxW+hcVBTeZxQMB2ieOzZvs5"
    b"n9zWyvHd"
)


def test_a_key_that_openssl_encrypted_with_scrypt() -> None:
    assert isinstance(load_der(SCRYPT, b"secret", encrypted=True), EdDSASigner)


def asking_for(*numbers: int) -> bytes:
    """Return an encrypted PKCS#8 file whose key derivation has these numbers."""
    integers = (tlv(2, n.to_bytes(n.bit_length() // 8 + 1, "big")) for n in numbers)
    derivation = tlv(0x30, tlv(6, b"x"), tlv(0x30, tlv(4, b"salt"), *integers))
    return tlv(0x30, tlv(0x30, tlv(6, b"x"), tlv(0x30, derivation)), tlv(4, bytes(16)))


@pytest.mark.parametrize(
    "numbers", [(10_000_001,), (1 << 31, 32), (1 << 20, 8, 2), (1 << 21, 8, 1, 32)]
)
def test_a_key_derivation_that_costs_too_much_is_not_begun(numbers: tuple[int, ...]) -> None:
    with pytest.raises(KeyFormatError, match="too expensive"):
        load_der(asking_for(*numbers), b"secret", encrypted=True)


@pytest.mark.parametrize("numbers", [(10_000_000, 32), (1 << 20, 8, 1)])
def test_a_key_derivation_within_the_bounds_passes(numbers: tuple[int, ...]) -> None:
    with pytest.raises((KeyFormatError, PassphraseRequired), match=r"^(?!.*too expensive)"):
        load_der(asking_for(*numbers), b"secret", encrypted=True)


@pytest.mark.parametrize("der", [b"", b"0", b"0\x82", b"\x30\x80" * 5000], ids=range(4))
def test_an_encrypted_file_that_is_no_der(der: bytes) -> None:
    with pytest.raises(KeyFormatError):
        load_der(der, b"secret", encrypted=True)
