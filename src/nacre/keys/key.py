"""Keys by type: decoded from the wire, or generated."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

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

if TYPE_CHECKING:
    from nacre.keys.dsa import DSAPrivateKey, DSAPublicKey
    from nacre.keys.ecdsa import ECDSAPrivateKey, ECDSAPublicKey
    from nacre.keys.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from nacre.keys.rsa import RSAPrivateKey, RSAPublicKey
    from nacre.keys.rsa1 import RSA1PrivateKey, RSA1PublicKey

    _Family: TypeAlias = (
        tuple[type[Ed25519PublicKey], type[Ed25519PrivateKey]]
        | tuple[type[ECDSAPublicKey], type[ECDSAPrivateKey]]
        | tuple[type[RSAPublicKey], type[RSAPrivateKey]]
        | tuple[type[DSAPublicKey], type[DSAPrivateKey]]
        | tuple[type[RSA1PublicKey], type[RSA1PrivateKey]]
    )

_ECDSA_TYPES = ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")

KEY_TYPES = ("ssh-ed25519", *_ECDSA_TYPES, "ssh-rsa", "ssh-dss")
"""The key types of SSH-2, by their names on the wire."""


def _family(type: str) -> _Family:
    # Each family loads its own part of the library, and a login needs one or two families.
    if type == "ssh-ed25519":
        from nacre.keys.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

        return Ed25519PublicKey, Ed25519PrivateKey
    if type in _ECDSA_TYPES:
        from nacre.keys.ecdsa import ECDSAPrivateKey, ECDSAPublicKey

        return ECDSAPublicKey, ECDSAPrivateKey
    if type == "ssh-rsa":
        from nacre.keys.rsa import RSAPrivateKey, RSAPublicKey

        return RSAPublicKey, RSAPrivateKey
    if type == "ssh-dss":
        from nacre.keys.dsa import DSAPrivateKey, DSAPublicKey

        return DSAPublicKey, DSAPrivateKey
    if type == RSA1:
        # User stores and nacre.generate handle SSH-1's keys too; SSH-2 has no algorithm for them.
        from nacre.keys.rsa1 import RSA1PrivateKey, RSA1PublicKey

        return RSA1PublicKey, RSA1PrivateKey
    raise KeyFormatError(
        f"keys of type {safe_name(type)} are not supported; supported are {', '.join(KEY_TYPES)}"
    )


def decode_public(blob: bytes) -> PublicKey:
    """Return the public key in ``blob`` (RFC 4253 section 6.6).

    A key has exactly one blob: another encoding of its numbers is refused, because it would evade
    lists that compare blobs, such as those of revoked keys.

    :raises KeyFormatError: it holds no key, or one whose numbers can't be used.
    """
    reader = WireReader(blob)
    try:
        type = reader.text()
        key = _family(type)[0].decode(type, reader)
        reader.end()
    except MalformedMessage as error:
        raise KeyFormatError(f"the public key is damaged: {error}") from error
    if key.blob != blob:
        raise KeyFormatError("the public key is damaged: its numbers have needless bytes")
    return key


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
