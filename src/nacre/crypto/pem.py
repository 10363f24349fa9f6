"""Private keys in PEM: PKCS#1 (RSA), SEC 1 (EC), the old DSA form, and PKCS#8."""

from __future__ import annotations

from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from nacre.crypto.sign import DSASigner, ECDSASigner, Ed25519Signer, RSASigner
from nacre.errors import KeyFormatError, PassphraseRequired
from nacre.wire.text import safe

Signer: TypeAlias = Ed25519Signer | RSASigner | ECDSASigner | DSASigner

_ENCRYPTED = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")

# How the library's messages begin when the padding is wrong behind a decryption, and when it is
# right by chance (one wrong passphrase in 256) and no ASN.1 comes out. It has no types for them.
_AFTER_DECRYPTION = ("Incorrect password", "Could not deserialize", "Invalid")


def load_pem(data: bytes, passphrase: bytes | None) -> Signer:
    """Return the signer that the PEM text ``data`` holds.

    :param passphrase: left unused when the key is not encrypted.
    :raises KeyFormatError: when ``data`` holds no private key that SSH has.
    :raises PassphraseRequired: when it is encrypted and the passphrase is missing or wrong.
    """
    encrypted = any(mark in data for mark in _ENCRYPTED)
    if encrypted and not passphrase:
        raise PassphraseRequired("the private key is encrypted: a passphrase is needed")
    try:
        key = load_pem_private_key(
            data, passphrase if encrypted else None, unsafe_skip_rsa_key_validation=True
        )
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if encrypted and str(error).startswith(_AFTER_DECRYPTION):
            raise PassphraseRequired(
                "the passphrase is wrong, or the private key is damaged"
            ) from error
        raise KeyFormatError(f"the private key is damaged: {safe(str(error), 200)}") from error
    match key:
        case ed25519.Ed25519PrivateKey():
            return Ed25519Signer(key.private_bytes_raw())
        case rsa.RSAPrivateKey():
            return RSASigner.from_key(key)
        case ec.EllipticCurvePrivateKey():
            return ECDSASigner.from_key(key)
        case dsa.DSAPrivateKey():
            return DSASigner.from_key(key)
        case _:
            raise KeyFormatError("SSH has no keys of this kind")
