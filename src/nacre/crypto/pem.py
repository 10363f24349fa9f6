"""Keys in ASN.1, as PEM files have them in base64: what is inside their BEGIN and END lines.

Private keys: PKCS#1 (RSA, RFC 8017), SEC 1 (EC, RFC 5915), the old DSA form, and PKCS#8 (RFC 5958).
Public ones: SubjectPublicKeyInfo (RFC 5280), which OpenSSH calls PKCS#8, and PKCS#1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from math import prod
from typing import Literal, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

from nacre.crypto.packets.block import decrypt, encrypt
from nacre.crypto.signatures.base import BAD_NUMBERS
from nacre.crypto.signatures.dsa import DSASigner, DSAVerifier
from nacre.crypto.signatures.ecdsa import ECDSASigner, ECDSAVerifier
from nacre.crypto.signatures.eddsa import ED448, ED25519, Curve, EdDSASigner, EdDSAVerifier
from nacre.crypto.signatures.rsa import RSASigner, RSAVerifier
from nacre.errors import KeyFormatError, PassphraseRequired, UnusableKey

Signer: TypeAlias = EdDSASigner | RSASigner | ECDSASigner | DSASigner
Verifier: TypeAlias = EdDSAVerifier | RSAVerifier | ECDSAVerifier | DSAVerifier
Form: TypeAlias = Literal["pem", "pkcs8"]

MAXIMUM_ITERATIONS = 10_000_000
"""The most iterations of PBKDF2 in a file, some seconds; OpenSSL writes 2048."""

MAXIMUM_SCRYPT = 1 << 23
"""The largest product of scrypt's N, r and p, 1 GiB of memory; OpenSSL writes 1 << 17."""

MAXIMUM_PASSPHRASE = 1023
"""Bytes of a passphrase with which the library encrypts."""

_INTEGER = 0x02
_OCTETS = 0x04
_SEQUENCE = 0x30
_CURVE_TAG, _POINT_TAG = 0xA0, 0xA1  # of the optional fields of SEC 1 (RFC 5915)
_EC_OID = bytes.fromhex("06072a8648ce3d0201")
_CURVE_OIDS = {
    bytes.fromhex("06082a8648ce3d030107"): "nistp256",
    bytes.fromhex("06052b81040022"): "nistp384",
    bytes.fromhex("06052b81040023"): "nistp521",
}
_LONGEST_NUMBER = 80
_PUBLIC_TAG = 0x81  # of the public half in PKCS#8 (RFC 5958)
_EDDSA: dict[tuple[bytes, int], Curve] = {
    (bytes.fromhex("06032b6570"), ED25519.size): ED25519,
    (bytes.fromhex("06032b6571"), ED448.size): ED448,
}
"""The curves by the OID of PKCS#8 and the bytes of the private half (RFC 8410)."""

# The library has no error classes for a wrong passphrase. These are the beginnings of its messages
# if the padding is wrong after decryption, and if the padding is right by chance (for one wrong
# passphrase in 256) but the result is not ASN.1.
_AFTER_DECRYPTION = ("Incorrect password", "Could not deserialize", "Invalid")
_UNKNOWN_ENCRYPTION = "Unknown key encryption algorithm"

_DEK_CIPHERS = {
    "AES-128-CBC": ("aes128-cbc", 16, 16),
    "AES-192-CBC": ("aes192-cbc", 24, 16),
    "AES-256-CBC": ("aes256-cbc", 32, 16),
    "DES-EDE3-CBC": ("3des-cbc", 24, 8),
}
"""The ciphers of encrypted PKCS#1, SEC 1 and DSA files that can be read.

For each its name in SSH, and the sizes of its key and its IV in bytes.
"""

DEK_CIPHER = "AES-128-CBC"
"""The cipher of new files, as of ``ssh-keygen``; PuTTY reads it, and no longer key."""

_DAMAGED = "the private key is damaged, or has an encoding that is not supported"
_WRONG = "the passphrase is wrong, or the private key is damaged"

_OTHER_CIPHER = (
    "is not supported: encrypt the key anew, `ssh-keygen -p -f KEY` "
    "(or `openssl pkey`, for ciphers of OpenSSL's legacy provider)"
)


def load_der(der: bytes, passphrase: bytes | None, *, encrypted: bool = False) -> Signer:
    """Return the signer of the private key in ``der``.

    :param passphrase: not used if the key is not encrypted.
    :param encrypted: whether it is an encrypted PKCS#8 file; see also :func:`dek_decrypt`.
    :raises KeyFormatError: ``der`` has no private key of a type that SSH uses, or the cost of its
        encryption is above the bounds.
    :raises PassphraseRequired: it is encrypted, and the passphrase is missing or wrong.
    """
    if encrypted:
        passphrase = _given(passphrase)
        _check_cost(der)
    try:
        key = load_der_private_key(
            der, passphrase if encrypted else None, unsafe_skip_rsa_key_validation=True
        )
    except BAD_NUMBERS as error:
        refusal = _refusal(error, encrypted=encrypted)
    else:
        return _signer(key)
    # Outside of the handler: the library's error, which may quote the key, is not even a context.
    signer = None if encrypted else _refused_ec(der) or _refused_eddsa(der)
    if signer is None:
        raise refusal
    return signer


def _refused_ec(der: bytes) -> ECDSASigner | None:
    """Return the signer of an EC key that the library refuses; None if ``der`` is no such key.

    It refuses private numbers of another length than their curve. PuTTY writes a zero byte in front
    of every second one, and old programs leave zero bytes out.

    :raises KeyFormatError: the public half disagrees.
    """
    try:
        (_, outer), *_ = _elements(der)
        _, (tag, second), *rest = _elements(outer)
        tagged = dict(rest)
        curve = tagged.get(_CURVE_TAG, b"")
        if tag == _SEQUENCE:  # PKCS#8: the algorithm and its curve, then SEC 1 in a string
            curve = second.removeprefix(_EC_OID)
            ((_, inner),) = _elements(tagged[_OCTETS])
            _, (tag, second), *rest = _elements(inner)
            tagged = dict(rest)
    except (IndexError, KeyError, ValueError):
        return None
    name = _CURVE_OIDS.get(curve)
    if tag != _OCTETS or name is None or len(second) > _LONGEST_NUMBER:
        return None
    signer = ECDSASigner(name, int.from_bytes(second, "big"))
    if not tagged.get(_POINT_TAG, signer.verifier.point).endswith(signer.verifier.point):
        raise KeyFormatError("the public and the private half of the ECDSA key do not match")
    return signer


def _refused_eddsa(der: bytes) -> EdDSASigner | None:
    """Return the signer of an EdDSA key that the library refuses; None if ``der`` is no such key.

    It refuses version 2 of PKCS#8 (RFC 5958), which may have the public half.

    :raises KeyFormatError: the public half disagrees.
    """
    try:
        _, (_, algorithm), (_, wrapped), *rest = _elements(_elements(der)[0][1])
        ((_, seed),) = _elements(wrapped)
    except (IndexError, ValueError):
        return None
    curve = _EDDSA.get((algorithm, len(seed)))
    if curve is None:
        return None
    signer = EdDSASigner(curve, seed)
    if not dict(rest).get(_PUBLIC_TAG, signer.verifier.raw).endswith(signer.verifier.raw):
        raise KeyFormatError("the public and the private half of the EdDSA key do not match")
    return signer


def load_dek(der: bytes, passphrase: bytes | None, dek_info: str) -> Signer:
    """Return the signer of the private key in ``der``, which is encrypted as in RFC 1421.

    :param dek_info: the value of the header ``DEK-Info``: the cipher's name, and its IV in hex.
    :raises KeyFormatError: the cipher is not supported, or the private key is of no type that SSH
        uses.
    :raises PassphraseRequired: the passphrase is missing or wrong.
    """
    name, _, text = dek_info.partition(",")
    if name.strip() not in _DEK_CIPHERS:
        raise KeyFormatError(f"the private key's cipher {_cipher_name(name)} {_OTHER_CIPHER}")
    cipher, key_size, iv_size = _DEK_CIPHERS[name.strip()]
    try:
        iv = bytes.fromhex(text)
    except ValueError:
        iv = b""
    if len(iv) != iv_size:
        raise KeyFormatError("the private key is damaged: the IV in its line DEK-Info is cut off")
    secret = _dek_key(_given(passphrase), iv, key_size)
    if not der or len(der) % iv_size:
        raise KeyFormatError(_DAMAGED)
    plain = decrypt(cipher, secret, iv, der)
    padding = plain[-1]
    if not 1 <= padding <= iv_size or plain[-padding:] != bytes([padding]) * padding:
        raise PassphraseRequired(_WRONG)
    try:
        return load_der(plain[:-padding], None)
    except KeyFormatError as error:
        # One wrong passphrase in 256 decrypts to right padding by chance.
        if str(error) != _DAMAGED:
            raise
    raise PassphraseRequired(_WRONG)


def seal_dek(der: bytes, passphrase: bytes, iv: bytes) -> tuple[str, bytes]:
    """Return the value of the header ``DEK-Info``, and ``der`` encrypted; see :func:`load_dek`.

    :param iv: 16 random bytes.
    """
    cipher, key_size, block = _DEK_CIPHERS[DEK_CIPHER]
    padding = block - len(der) % block
    secret = _dek_key(passphrase, iv, key_size)
    sealed = encrypt(cipher, secret, iv, der + bytes([padding]) * padding)
    return f"{DEK_CIPHER},{iv.hex().upper()}", sealed


def _dek_key(passphrase: bytes, iv: bytes, size: int) -> bytes:
    """Return what OpenSSL's EVP_BytesToKey makes with MD5 and one round; the IV is the salt."""
    made = b""
    while len(made) < size:
        made += hashlib.md5(made[-16:] + passphrase + iv[:8], usedforsecurity=False).digest()
    return made[:size]


def _given(passphrase: bytes | None) -> bytes:
    if not passphrase:
        raise PassphraseRequired("the private key is encrypted: a passphrase is needed")
    return passphrase


def _cipher_name(name: str) -> str:
    # It may be a piece of the key, if the file is damaged.
    return name if len(name) <= 32 and name.replace("-", "").isalnum() and "-" in name else "(?)"


def _refusal(error: Exception, *, encrypted: bool) -> UnusableKey:
    """Return the error for one of the library, whose text may quote the key."""
    text = str(error)
    if isinstance(error, UnsupportedAlgorithm):
        return KeyFormatError("the private key is of a type or on a curve that is not supported")
    if encrypted and text.startswith(_UNKNOWN_ENCRYPTION):
        return KeyFormatError(f"the private key's encryption {_OTHER_CIPHER}")
    if encrypted and text.startswith(_AFTER_DECRYPTION):
        return PassphraseRequired(_WRONG)
    return KeyFormatError(_DAMAGED)


def _signer(key: PrivateKeyTypes) -> Signer:
    match key:
        case ed25519.Ed25519PrivateKey():
            return EdDSASigner(ED25519, key.private_bytes_raw())
        case ed448.Ed448PrivateKey():
            return EdDSASigner(ED448, key.private_bytes_raw())
        case rsa.RSAPrivateKey():
            return RSASigner.from_key(key)
        case ec.EllipticCurvePrivateKey():
            return ECDSASigner.from_key(key)
        case dsa.DSAPrivateKey():
            return DSASigner.from_key(key)
        case _:
            raise KeyFormatError("the private key is of a type that SSH does not use")


def load_public_der(der: bytes) -> Verifier:
    """Return the verifier of the public key in ``der``, of either form.

    :raises KeyFormatError: it is damaged, or of a type that SSH does not use.
    """
    try:
        key = load_der_public_key(der)
    except BAD_NUMBERS:
        raise KeyFormatError(
            "the public key is damaged, or of a type or on a curve that is not supported"
        ) from None
    return _verifier(key)


def _verifier(key: PublicKeyTypes) -> Verifier:
    match key:
        case ed25519.Ed25519PublicKey():
            return EdDSAVerifier(ED25519, key.public_bytes_raw())
        case ed448.Ed448PublicKey():
            return EdDSAVerifier(ED448, key.public_bytes_raw())
        case rsa.RSAPublicKey():
            numbers = key.public_numbers()
            return RSAVerifier(numbers.n, numbers.e)
        case ec.EllipticCurvePublicKey():
            return ECDSAVerifier.from_key(key)
        case dsa.DSAPublicKey():
            return DSAVerifier.from_key(key)
        case _:
            raise KeyFormatError("the public key is of a type that SSH does not use")


_PRIVATE_FORMS = {"pem": PrivateFormat.TraditionalOpenSSL, "pkcs8": PrivateFormat.PKCS8}
_PUBLIC_FORMS = {"pem": PublicFormat.PKCS1, "pkcs8": PublicFormat.SubjectPublicKeyInfo}


def dump_der(signer: Signer, form: Form, passphrase: bytes | None = None) -> bytes:
    """Return the DER of a private key.

    :param form: ``pkcs8``, or ``pem`` for PKCS#1 (RSA), SEC 1 (ECDSA), and the form of DSA.
    :param passphrase: for ``pkcs8`` only, which is then encrypted with AES-256-CBC and PBKDF2, 2048
        iterations of HMAC-SHA-256: the library offers nothing else. See also :func:`seal_dek`.
    :raises KeyFormatError: the family has no such form, or the passphrase is too long.
    """
    if form == "pem" and isinstance(signer, EdDSASigner):
        raise KeyFormatError(
            "keys of this type have no PEM form but PKCS#8: write them in OpenSSH's format"
        )
    if passphrase and len(passphrase) > MAXIMUM_PASSPHRASE:
        raise KeyFormatError(f"the passphrase is longer than {MAXIMUM_PASSPHRASE} bytes")
    protection = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return signer.key.private_bytes(Encoding.DER, _PRIVATE_FORMS[form], protection)


def dump_public_der(verifier: Verifier, form: Form) -> bytes:
    """Return the DER of a public key.

    :param form: ``pkcs8``, or ``pem`` for PKCS#1, which only RSA keys have.
    """
    return verifier.key.public_bytes(Encoding.DER, _PUBLIC_FORMS[form])


def _check_cost(data: bytes) -> None:
    """Check the cost of the key derivation of a PKCS#8 file (RFC 8018, RFC 7914 section 7).

    Its parameters are the only INTEGERs in the file's AlgorithmIdentifier: the iterations of
    PBKDF2, or N, r and p of scrypt, and optionally the key's length.
    """
    try:
        algorithm = _elements(_elements(data)[0][1])[0][1]
        numbers = list(_integers(algorithm))
    except (IndexError, RecursionError):
        raise KeyFormatError("the private key is damaged: it is not PKCS#8") from None
    costs_too_much = (
        prod(numbers[:3]) > MAXIMUM_SCRYPT
        if len(numbers) > 2
        else any(number > MAXIMUM_ITERATIONS for number in numbers)
    )
    if costs_too_much:
        raise KeyFormatError(
            "the private key's key derivation is too expensive: accepted are "
            f"{MAXIMUM_ITERATIONS} iterations of PBKDF2, and 1 GiB of memory for scrypt"
        )


def _integers(der: bytes) -> Iterator[int]:
    for tag, content in _elements(der):
        if tag == _SEQUENCE:
            yield from _integers(content)
        elif tag == _INTEGER:
            yield int.from_bytes(content, "big")


def _elements(der: bytes) -> list[tuple[int, bytes]]:
    """Return the tags and contents of the consecutive elements in ``der``."""
    elements = []
    position = 0
    while position < len(der):
        tag, size = der[position], der[position + 1]
        position += 2
        if size & 0x80:
            count = size & 0x7F
            size = int.from_bytes(der[position : position + count], "big")
            position += count
        elements.append((tag, der[position : position + size]))
        position += size
    return elements
