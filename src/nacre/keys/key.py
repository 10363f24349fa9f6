"""Keys by type: decoded from the wire, or generated."""

from __future__ import annotations

import builtins
from collections.abc import Collection
from importlib import import_module

from nacre.crypto.certified import SUFFIX
from nacre.errors import KeyFormatError, MalformedMessage
from nacre.keys.base import PrivateKey, PublicKey
from nacre.keys.rsa1_text import RSA1
from nacre.wire.codec import WireReader, string
from nacre.wire.text import safe_name

__all__ = [
    "KEY_TYPES",
    "PrivateKey",
    "PublicKey",
    "decode_private",
    "decode_public",
    "encode_private",
    "generate",
]

RSA = "ssh-rsa"

_FAMILIES: dict[str, tuple[str, str]] = {
    "ssh-ed25519": ("ed25519", "Ed25519"),
    "ecdsa-sha2-nistp256": ("ecdsa", "ECDSA"),
    "ecdsa-sha2-nistp384": ("ecdsa", "ECDSA"),
    "ecdsa-sha2-nistp521": ("ecdsa", "ECDSA"),
    "ssh-rsa": ("rsa", "RSA"),
    "ssh-ed448": ("ed448", "Ed448"),
    "ssh-dss": ("dsa", "DSA"),
}
"""For each type of key its module, and the beginning of the names of its two classes."""

KEY_TYPES = tuple(_FAMILIES)
"""The key types of SSH-2, by their names on the wire. Each can be certified."""

# User stores and nacre.generate handle SSH-1's keys too; SSH-2 has no algorithm for them.
_ALL_FAMILIES = {**_FAMILIES, RSA1: ("rsa1", "RSA1")}


def _family(type: str) -> tuple[builtins.type[PublicKey], builtins.type[PrivateKey]]:
    """Return the classes of a type's keys. Each family loads its own part of the library."""
    found = _ALL_FAMILIES.get(type)
    if found is None:
        raise KeyFormatError(
            f"keys of type {safe_name(type)} are not supported; "
            f"supported are {', '.join(KEY_TYPES)}"
        )
    module = import_module(f"nacre.keys.{found[0]}")
    public: builtins.type[PublicKey] = getattr(module, f"{found[1]}PublicKey")
    private: builtins.type[PrivateKey] = getattr(module, f"{found[1]}PrivateKey")
    return public, private


def decode_public(blob: bytes) -> PublicKey:
    """Return the public key, or the certificate, in ``blob`` (RFC 4253 section 6.6).

    A key has exactly one blob: another encoding of its numbers is refused, because it would evade
    lists that compare blobs, such as those of revoked keys.

    :raises KeyFormatError: it holds no key, or one whose numbers can't be used.
    """
    reader = WireReader(blob)
    try:
        type = reader.text()
        if type.endswith(SUFFIX):
            from nacre.keys.certificate import Certificate

            return Certificate.decode_with(type, reader, decode_fields)
        key = decode_fields(type, reader)
        reader.end()
    except MalformedMessage as error:
        raise KeyFormatError(f"the public key is damaged: {error}") from error
    if key.blob != blob:
        raise KeyFormatError("the public key is damaged: its numbers have needless bytes")
    return key


def decode_fields(type: str, reader: WireReader) -> PublicKey:
    """Return the public key of ``type`` whose fields ``reader`` reads; others may follow.

    :raises KeyFormatError: the type is not supported, or the fields are not a key.
    :raises MalformedMessage: a field is cut off.
    """
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
    if key.plain.type == RSA and key.bits < rsa_bits:
        return f"it has {key.bits} bits; RequiredRSASize is {rsa_bits}"
    if key.plain is key:
        return None
    from nacre.keys.certificate import Certificate

    assert isinstance(key, Certificate)
    if key.signature_algorithm not in ca_signatures:
        return (
            f"its certificate is signed with {key.signature_algorithm}, "
            "which CASignatureAlgorithms does not allow"
        )
    if key.authority.type == RSA and key.authority.bits < rsa_bits:
        return f"its authority's key has {key.authority.bits} bits; RequiredRSASize is {rsa_bits}"
    return None
