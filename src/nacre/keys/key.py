"""Keys by type: decoded from the wire, or generated."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from importlib import import_module
from typing import Protocol

from nacre.crypto.signatures.certified import SUFFIX
from nacre.errors import KeyFormatError, MalformedMessage
from nacre.keys.base import PrivateKey, PublicKey
from nacre.keys.rsa1_text import RSA1
from nacre.wire.codec import WireReader, string
from nacre.wire.text import safe_name

__all__ = [
    "KEY_TYPES",
    "SECURITY_KEY_TYPES",
    "PrivateKey",
    "PublicKey",
    "decode_private",
    "decode_public",
    "encode_private",
    "generate",
]

_FAMILIES: dict[str, tuple[str, str]] = {
    "ssh-ed25519": ("eddsa", "EdDSA"),
    "ecdsa-sha2-nistp256": ("ecdsa", "ECDSA"),
    "ecdsa-sha2-nistp384": ("ecdsa", "ECDSA"),
    "ecdsa-sha2-nistp521": ("ecdsa", "ECDSA"),
    "ssh-rsa": ("rsa", "RSA"),
    "ssh-ed448": ("eddsa", "EdDSA"),
    "ssh-dss": ("dsa", "DSA"),
    "ssh-mldsa44-ed25519@openssh.com": ("composite", "Composite"),
}
"""For each type of key its module, and the beginning of the names of its two classes."""

KEY_TYPES = tuple(_FAMILIES)
"""The key types of SSH-2, by their names on the wire. Each can be certified."""

_SECURITY_KEYS = {
    "sk-ssh-ed25519@openssh.com": ("security_key", "Security"),
    "sk-ecdsa-sha2-nistp256@openssh.com": ("security_key", "Security"),
}

SECURITY_KEY_TYPES = tuple(_SECURITY_KEYS)
"""The types of keys that a FIDO security key makes and signs with. Each can be certified."""

# User stores and nacre.generate handle SSH-1's keys too; SSH-2 has no algorithm for them.
_ALL_FAMILIES = {**_FAMILIES, **_SECURITY_KEYS, RSA1: ("rsa1", "RSA1")}


class _PublicFamily(Protocol):
    """What a family's class of public keys has."""

    def decode(self, type: str, reader: WireReader) -> PublicKey:
        """Decode the fields behind the type's name."""


class _PrivateFamily(Protocol):
    """What a family's class of private keys has."""

    def decode(self, type: str, reader: WireReader) -> PrivateKey:
        """Decode the fields behind the type's name; see :meth:`PrivateKey.secret_fields`."""

    def generate(self, type: str, bits: int | None) -> PrivateKey:
        """Make a new key."""


@cache
def _family(type: str) -> tuple[_PublicFamily, _PrivateFamily]:
    """Return the classes of a type's keys. Each family loads its own part of the library."""
    found = _ALL_FAMILIES.get(type)
    if found is None:
        raise KeyFormatError(
            f"keys of type {safe_name(type)} are not supported; "
            f"supported are {', '.join((*KEY_TYPES, *SECURITY_KEY_TYPES))}"
        )
    module = import_module(f"nacre.keys.families.{found[0]}")
    return getattr(module, f"{found[1]}PublicKey"), getattr(module, f"{found[1]}PrivateKey")


def decode_public(blob: bytes) -> PublicKey:
    """Return the public key, or the certificate, in ``blob`` (RFC 4253 section 6.6).

    A key has exactly one blob: another encoding of its numbers is refused, because it would evade
    lists that compare blobs, such as those of revoked keys.

    :raises KeyFormatError: it holds no key, or one whose numbers can't be used.
    """
    reader = WireReader(blob)
    try:
        type = reader.text()
        if type not in _ALL_FAMILIES and type.endswith(SUFFIX):
            from nacre.keys import certificate

            return certificate.decode(type, reader, _decode_fields)
        key = _family(type)[0].decode(type, reader)
        reader.end()
    except MalformedMessage as error:
        raise KeyFormatError(f"the public key is damaged: {error}") from error
    if key.blob != blob:
        raise KeyFormatError("the public key is damaged: its numbers have needless bytes")
    return key


def _decode_fields(type: str, reader: WireReader) -> PublicKey:
    return _family(type)[0].decode(type, reader)


def decode_private(reader: WireReader) -> PrivateKey:
    """Return a private key encoded as in openssh-key-v1: the type's name, the fields, the comment.

    :raises KeyFormatError: it holds no key, or one whose numbers can't be used.
    """
    try:
        type = reader.text()
        key = _family(type)[1].decode(type, reader)
        key.comment = reader.text()
    except MalformedMessage:
        # The reader's error has lengths, which damage can take from the key itself.
        raise KeyFormatError("the private key is damaged: a field of it is cut off") from None
    return key


def encode_private(key: PrivateKey) -> bytes:
    """Return the encoding that :func:`decode_private` reads."""
    comment = key.comment.encode("utf-8", "surrogateescape")
    return string(key.public.type.encode("ascii")) + key.secret_fields() + string(comment)


def generate(type: str, *, bits: int | None = None, comment: str = "") -> PrivateKey:
    """Generate a new private key.

    :param type: one of :data:`KEY_TYPES`, or ``rsa1`` for SSH-1.
    :param bits: the size, for families with several: 1024 to 16384 for ``ssh-rsa``, by default
        3072.
    :raises KeyFormatError: the type or the size does not exist.
    """
    key = _family(type)[1].generate(type, bits)
    key.comment = comment
    return key


def too_weak(key: PublicKey, rsa_bits: int, ca_signatures: Collection[str]) -> str | None:
    """Return why a key, or the key of a certificate's authority, is too weak to use, or None.

    :param rsa_bits: the least size of an RSA key (RequiredRSASize).
    :param ca_signatures: the algorithms with which certificates may be signed.
    """
    if key.rsa and key.bits < rsa_bits:
        return f"it has {key.bits} bits; RequiredRSASize is {rsa_bits}"
    if key.type in _ALL_FAMILIES:
        return None
    from nacre.keys.certificate import Certificate

    assert isinstance(key, Certificate)
    if key.signature_algorithm not in ca_signatures:
        return (
            f"its certificate is signed with {key.signature_algorithm}, "
            "which CASignatureAlgorithms does not allow"
        )
    if key.authority.rsa and key.authority.bits < rsa_bits:
        return f"its authority's key has {key.authority.bits} bits; RequiredRSASize is {rsa_bits}"
    return None
