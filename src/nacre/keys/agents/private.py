"""Private keys as the agent protocol has them (draft-ietf-sshm-ssh-agent section 3.2).

A plain key is encoded as in openssh-key-v1. A key with a certificate has the certificate, and then
only those of its fields that are not in there.
"""

from __future__ import annotations

from nacre.crypto.signatures.certified import certified, plain
from nacre.errors import KeyFormatError, MalformedMessage, UnusableKey
from nacre.keys.base import PrivateKey, PublicKey
from nacre.keys.certificate import Certificate, CertifiedKey
from nacre.keys.key import decode_private, decode_public, encode_private
from nacre.wire.codec import WireReader, string, text
from nacre.wire.text import safe_name

_IN_CERTIFICATE = {
    "ssh-rsa": 2,
    "ssh-dss": 4,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 2,
    "ssh-mldsa44-ed25519@openssh.com": 1,
}
"""How many of a key's fields stand in its certificate alone; of types not named here, none."""

_REVERSED = "ssh-rsa"
"""Its private fields begin with the modulus, its public ones with the exponent."""


def encode(key: PrivateKey) -> bytes:
    """Return the encoding of ``key``, with its comment."""
    if not isinstance(key, CertifiedKey):
        return encode_private(key)
    type = key.public.plain.type
    fields = WireReader(key.private.secret_fields())
    for _ in range(_IN_CERTIFICATE.get(type, 0)):
        fields.string()
    return text(certified(type)) + string(key.public.blob) + fields.rest() + text(key.comment)


def decode(data: bytes) -> tuple[PrivateKey, WireReader]:
    """Return the key with which ``data`` begins, and a reader of what follows it.

    :raises KeyFormatError: it holds no key, or one whose numbers can't be used.
    """
    reader = WireReader(data)
    try:
        type = reader.text()
        if type == plain(type):
            reader = WireReader(data)
            return decode_private(reader), reader
        certificate = decode_public(reader.string())
        if not isinstance(certificate, Certificate) or certificate.type != type:
            raise KeyFormatError(f"the certificate is not of the type {safe_name(type)}")
        reader = WireReader(_public_fields(certificate.key) + reader.rest())
    except MalformedMessage:
        # The reader's error has lengths, which damage can take from the key itself.
        raise KeyFormatError("the private key is damaged: a field of it is cut off") from None
    key = decode_private(reader)
    try:
        return CertifiedKey(certificate, key), reader
    except UnusableKey as error:
        raise KeyFormatError(f"{error}") from None


def _public_fields(key: PublicKey) -> bytes:
    """Return the type's name and those fields of a private key that its certificate has."""
    blob = WireReader(key.blob)
    type = blob.string()
    fields = [string(blob.string()) for _ in range(_IN_CERTIFICATE.get(key.type, 0))]
    if key.type == _REVERSED:
        fields.reverse()
    return string(type) + b"".join(fields)
