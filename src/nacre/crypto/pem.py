"""Private keys in PEM: PKCS#1 (RSA), SEC 1 (EC), the old DSA form, and PKCS#8."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Iterator
from math import prod
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from nacre.crypto.sign_dsa import DSASigner
from nacre.crypto.sign_ecdsa import ECDSASigner
from nacre.crypto.sign_ed25519 import Ed25519Signer
from nacre.crypto.sign_rsa import RSASigner
from nacre.errors import KeyFormatError, PassphraseRequired, UnusableKey

Signer: TypeAlias = Ed25519Signer | RSASigner | ECDSASigner | DSASigner

_PKCS8_BEGIN = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
_PKCS8_END = b"-----END ENCRYPTED PRIVATE KEY-----"

MAXIMUM_ITERATIONS = 10_000_000
"""The most iterations of PBKDF2 in a file, some seconds; OpenSSL writes 2048."""

MAXIMUM_SCRYPT = 1 << 23
"""The largest product of scrypt's N, r and p, 1 GiB of memory; OpenSSL writes 1 << 17."""

_INTEGER = 0x02
_SEQUENCE = 0x30

# The library has no error classes for a wrong passphrase. These are the beginnings of its messages
# if the padding is wrong after decryption, and if the padding is right by chance (for one wrong
# passphrase in 256) but the result is not ASN.1.
_AFTER_DECRYPTION = ("Incorrect password", "Could not deserialize", "Invalid")
_UNKNOWN_ENCRYPTION = "Unknown key encryption algorithm"

_PROC_TYPE = b"Proc-Type: 4,ENCRYPTED"
_DEK_INFO = re.compile(rb"^DEK-Info: *([A-Z0-9-]{1,32}),([0-9A-Fa-f]*)\s*$", re.MULTILINE)
_CIPHERS = {"AES-128-CBC": 16, "AES-192-CBC": 16, "AES-256-CBC": 16, "DES-EDE3-CBC": 8}
"""The ciphers of encrypted PKCS#1 and SEC 1 files (RFC 1421 section 4.6.1.3) that can be read.

The values are the sizes of their IVs in bytes. The library panics at an IV of another size.
"""

_DAMAGED = (
    "the private key is damaged: between its BEGIN and END lines there must be lines of base64 "
    "alone, all of them: no empty line, and none that is cut off or changed"
)

_OTHER_CIPHER = (
    "is not supported: encrypt the key anew, `ssh-keygen -p -f KEY` "
    "(or `openssl pkey`, for ciphers of OpenSSL's legacy provider)"
)


def load_pem(data: bytes, passphrase: bytes | None) -> Signer:
    """Return the signer in the PEM text ``data``.

    :param passphrase: not used if the key is not encrypted.
    :raises KeyFormatError: ``data`` has no private key of a type that SSH uses, or the cost of its
        encryption is above the bounds.
    :raises PassphraseRequired: it is encrypted, and the passphrase is missing or wrong.
    """
    if _PROC_TYPE in data:
        _check_cipher(data)
    encrypted = _PROC_TYPE in data or _PKCS8_BEGIN in data
    if encrypted and not passphrase:
        raise PassphraseRequired("the private key is encrypted: a passphrase is needed")
    if _PKCS8_BEGIN in data:
        _check_cost(data)
    try:
        key = load_pem_private_key(
            data, passphrase if encrypted else None, unsafe_skip_rsa_key_validation=True
        )
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        refusal = _refusal(error, encrypted=encrypted)
    else:
        return _signer(key)
    # Outside of the handler: the library's error, which may quote the key, is not even a context.
    raise refusal


def _check_cipher(data: bytes) -> None:
    found = _DEK_INFO.search(data)
    if found is None:
        raise KeyFormatError("the private key is damaged: its line `DEK-Info: CIPHER,IV` is bad")
    name = found[1].decode()
    if name not in _CIPHERS:
        raise KeyFormatError(f"the private key's cipher {name} {_OTHER_CIPHER}")
    if len(found[2]) != 2 * _CIPHERS[name]:
        raise KeyFormatError("the private key is damaged: the IV in its line DEK-Info is cut off")


def _refusal(error: Exception, *, encrypted: bool) -> UnusableKey:
    """Return the error for one of the library, whose text may quote the key."""
    text = str(error)
    if isinstance(error, UnsupportedAlgorithm):
        return KeyFormatError("the private key is of a type or on a curve that is not supported")
    if encrypted and text.startswith(_UNKNOWN_ENCRYPTION):
        return KeyFormatError(f"the private key's encryption {_OTHER_CIPHER}")
    if encrypted and text.startswith(_AFTER_DECRYPTION):
        return PassphraseRequired("the passphrase is wrong, or the private key is damaged")
    return KeyFormatError(_DAMAGED)


def _signer(key: PrivateKeyTypes) -> Signer:
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
            raise KeyFormatError("the private key is of a type that SSH does not use")


def _check_cost(data: bytes) -> None:
    """Check the cost of the key derivation of a PKCS#8 file (RFC 8018, RFC 7914 section 7).

    Its parameters are the only INTEGERs in the file's AlgorithmIdentifier: the iterations of
    PBKDF2, or N, r and p of scrypt, and optionally the key's length.
    """
    text = data.partition(_PKCS8_BEGIN)[2].partition(_PKCS8_END)[0]
    try:
        der = b64decode(b"".join(text.split()))
        algorithm = _elements(_elements(der)[0][1])[0][1]
        numbers = list(_integers(algorithm))
    except (binascii.Error, IndexError, RecursionError):
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
