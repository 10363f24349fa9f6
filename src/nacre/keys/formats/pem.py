"""Keys in PEM, as ``ssh-keygen -m PEM``, ``-m PKCS8`` and OpenSSL write them."""

from __future__ import annotations

from nacre.crypto.pem import (
    Form,
    dump_der,
    dump_public_der,
    load_dek,
    load_der,
    load_public_der,
    seal_dek,
)
from nacre.crypto.signatures.dsa import DSASigner, DSAVerifier
from nacre.crypto.signatures.ecdsa import ECDSASigner, ECDSAVerifier
from nacre.crypto.signatures.eddsa import EdDSASigner, EdDSAVerifier
from nacre.crypto.signatures.rsa import RSASigner, RSAVerifier
from nacre.errors import KeyFormatError
from nacre.keys.base import PrivateKey, PublicKey
from nacre.keys.families.dsa import DSAPrivateKey, DSAPublicKey
from nacre.keys.families.ecdsa import ECDSAPrivateKey, ECDSAPublicKey
from nacre.keys.families.eddsa import EdDSAPrivateKey, EdDSAPublicKey
from nacre.keys.families.rsa import RSAPrivateKey, RSAPublicKey
from nacre.keys.formats.armor import KeyBlock, wrapped
from nacre.keys.formats.openssh import Random
from nacre.wire.text import safe

PRIVATE_LABELS = (
    "PRIVATE KEY",
    "ENCRYPTED PRIVATE KEY",
    "RSA PRIVATE KEY",
    "EC PRIVATE KEY",
    "DSA PRIVATE KEY",
)
PUBLIC_LABELS = ("PUBLIC KEY", "RSA PUBLIC KEY")


def decode(block: KeyBlock, passphrase: bytes | None) -> PrivateKey:
    """Return the private key in a block; PEM has no comment.

    :raises KeyFormatError: the block holds no private key of a type that SSH uses.
    :raises PassphraseRequired: it is encrypted, and the passphrase is missing or wrong.
    """
    data = block.data()
    headers = block.fields()
    if headers.get("proc-type", "").endswith("ENCRYPTED"):
        signer = load_dek(data, passphrase, headers.get("dek-info", ""))
    else:
        encrypted = block.label == "ENCRYPTED PRIVATE KEY"
        signer = load_der(data, passphrase, encrypted=encrypted)
    match signer:
        case EdDSASigner():
            return EdDSAPrivateKey(signer)
        case RSASigner():
            return RSAPrivateKey(signer)
        case ECDSASigner():
            return ECDSAPrivateKey(signer)
        case DSASigner():
            return DSAPrivateKey(signer)


def decode_public(block: KeyBlock) -> PublicKey:
    """Return the public key in a block.

    :raises KeyFormatError: the block holds no public key of a type that SSH uses.
    """
    match load_public_der(block.data()):
        case EdDSAVerifier() as verifier:
            return EdDSAPublicKey(verifier)
        case RSAVerifier() as verifier:
            return RSAPublicKey(verifier)
        case ECDSAVerifier() as verifier:
            return ECDSAPublicKey(verifier)
        case DSAVerifier() as verifier:
            return DSAPublicKey(verifier)


def encode(key: PrivateKey, form: Form, passphrase: bytes | None, random: Random) -> bytes:
    """Return a private key in PEM, encrypted if there is a passphrase.

    :param form: ``pkcs8``, or ``pem`` for PKCS#1 (RSA), SEC 1 (ECDSA), and the form of DSA. The
        encryption of ``pem`` is weak: AES-128-CBC with a single MD5 of the passphrase.
    :param random: returns random bytes, for the IV of ``pem``.
    :raises KeyFormatError: keys of this type have no such form.
    """
    match key:
        case EdDSAPrivateKey():
            old_label = ""
        case RSAPrivateKey():
            old_label = "RSA PRIVATE KEY"
        case ECDSAPrivateKey():
            old_label = "EC PRIVATE KEY"
        case DSAPrivateKey():
            old_label = "DSA PRIVATE KEY"
        case _:
            raise _no_form(key.public)
    if form == "pkcs8":
        label = "ENCRYPTED PRIVATE KEY" if passphrase else "PRIVATE KEY"
        return wrapped(label, dump_der(key.signer, form, passphrase))
    data = dump_der(key.signer, form)
    if not passphrase:
        return wrapped(old_label, data)
    info, data = seal_dek(data, passphrase, random(16))
    return wrapped(old_label, data, headers=f"Proc-Type: 4,ENCRYPTED\nDEK-Info: {info}\n\n")


def encode_public(key: PublicKey, form: Form) -> bytes:
    """Return a public key in PEM.

    :param form: ``pkcs8``, or ``pem``, which for RSA is PKCS#1 and for others the same.
    :raises KeyFormatError: keys of this type have no such form.
    """
    match key:
        case RSAPublicKey() if form == "pem":
            return wrapped("RSA PUBLIC KEY", dump_public_der(key.verifier, form))
        case EdDSAPublicKey() | RSAPublicKey() | ECDSAPublicKey() | DSAPublicKey():
            return wrapped("PUBLIC KEY", dump_public_der(key.verifier, "pkcs8"))
        case _:
            raise _no_form(key)


def _no_form(key: PublicKey) -> KeyFormatError:
    return KeyFormatError(f"keys of type {safe(key.type)} have no form in PEM or PKCS#8")
