"""Private keys in PEM, as ``ssh-keygen -m PEM``, ``-m PKCS8`` and OpenSSL write them."""

from __future__ import annotations

from nacre.crypto.pem import load_pem
from nacre.crypto.sign_dsa import DSASigner
from nacre.crypto.sign_ecdsa import ECDSASigner
from nacre.crypto.sign_ed25519 import Ed25519Signer
from nacre.crypto.sign_rsa import RSASigner
from nacre.keys.base import PrivateKey
from nacre.keys.dsa import DSAPrivateKey
from nacre.keys.ecdsa import ECDSAPrivateKey
from nacre.keys.ed25519 import Ed25519PrivateKey
from nacre.keys.rsa import RSAPrivateKey


def decode(data: bytes, passphrase: bytes | None) -> PrivateKey:
    """Return the private key in ``data``; PEM has no comment.

    :raises KeyFormatError: ``data`` holds no private key of a type that SSH uses.
    :raises PassphraseRequired: it is encrypted, and the passphrase is missing or wrong.
    """
    match load_pem(data, passphrase):
        case Ed25519Signer() as signer:
            return Ed25519PrivateKey(signer)
        case RSASigner() as signer:
            return RSAPrivateKey(signer)
        case ECDSASigner() as signer:
            return ECDSAPrivateKey(signer)
        case DSASigner() as signer:
            return DSAPrivateKey(signer)
