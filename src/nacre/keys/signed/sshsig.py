"""Signatures of files and messages, as ``ssh-keygen -Y`` makes them (OpenSSH's PROTOCOL.sshsig).

::

    signature = sign(key, b"text", "file")
    Path("text.sig").write_bytes(signature.armored())
    if not SSHSignature.parse(armored).verify(b"text", "file"):
        ...

A signature names the key it was made with. Whether that key may sign is another question:
:mod:`nacre.keys.signed.allowed_signers` answers it.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from hashlib import sha256, sha512
from textwrap import wrap
from typing import TYPE_CHECKING

from nacre.crypto.signatures.certified import plain
from nacre.errors import KeyFormatError, MalformedMessage, SignatureError, UnusableKey
from nacre.keys.base import PrivateKey, PublicKey
from nacre.keys.key import decode_public
from nacre.value import value
from nacre.wire.codec import WireReader, string, text, u32
from nacre.wire.text import safe, safe_name

if TYPE_CHECKING:
    from hashlib import _Hash

HASHES = {"sha512": sha512, "sha256": sha256}
"""The hashes of messages that signatures may have, the default first."""

DEFAULT_HASH = "sha512"

MAXIMUM_SIZE = 64 * 1024
"""Bytes of an armored signature; one by an RSA key of 16384 bits has 6 KiB."""

BEGIN = b"-----BEGIN SSH SIGNATURE-----"
END = b"-----END SSH SIGNATURE-----"

_MAGIC = b"SSHSIG"
_VERSION = 1
_COLUMNS = 70
_RSA_WITH_SHA1 = "ssh-rsa"
"""The signature algorithm that PROTOCOL.sshsig does not allow."""


def new_hash(name: str) -> _Hash:
    """Return a hash object, to which a message is given in parts.

    :raises SignatureError: signatures may not have this hash.
    """
    make = HASHES.get(name)
    if make is None:
        raise SignatureError(
            f"unsupported hash algorithm {safe(name, 32)!r}: use one of {', '.join(HASHES)}"
        )
    return make()


def data_to_sign(digest: bytes, namespace: str, hash_name: str = DEFAULT_HASH) -> bytes:
    """Return the bytes that a key signs, for keys that another program holds.

    :param digest: the message's hash, of the name ``hash_name``.
    :raises SignatureError: the namespace is empty.
    """
    if not namespace:
        raise SignatureError("a signature needs a namespace, such as 'file'")
    return _MAGIC + text(namespace) + string(b"") + text(hash_name) + string(digest)


def algorithm_of(key: PublicKey) -> str:
    """Return the algorithm with which a key, or a certificate's key, signs files.

    :raises UnusableKey: its signatures are not allowed.
    """
    for name in key.signature_algorithms:
        if plain(name) != _RSA_WITH_SHA1:
            return name
    raise UnusableKey(f"keys of type {key.type} can't sign files")


@value
class SSHSignature:
    """A signature of a message.

    :ivar key: the key, or the certificate, that signed.
    :ivar namespace: what the signature is for; one made for another purpose is not accepted.
    :ivar hash_name: ``sha512`` or ``sha256``.
    :ivar signature: the key's signature in wire form (RFC 4253 section 6.6), of what
        :func:`data_to_sign` returns.
    """

    key: PublicKey
    namespace: str
    hash_name: str
    signature: bytes

    def refusal(self, digest: bytes, namespace: str) -> str | None:
        """Return why the signature is not one of a message with this hash, or None if it is.

        :param digest: the hash named ``hash_name`` of the message.
        :param namespace: what the signature must be for.
        """
        if self.namespace != namespace:
            return f"namespace does not match: it is {safe(self.namespace, 64)!r}"
        key = self.key.plain
        algorithm = safe_name(WireReader(self.signature).text())
        if algorithm == _RSA_WITH_SHA1:
            return f"signatures with {algorithm} are not accepted"
        data = data_to_sign(digest, namespace, self.hash_name)
        return None if key.verify(self.signature, data, algorithm) else "incorrect signature"

    def verify(self, message: bytes, namespace: str) -> bool:
        """Return whether it is the signature of ``message``, for ``namespace``."""
        digest = new_hash(self.hash_name)
        digest.update(message)
        return self.refusal(digest.digest(), namespace) is None

    def armored(self) -> bytes:
        """Return the content of a ``.sig`` file."""
        blob = (
            _MAGIC
            + u32(_VERSION)
            + string(self.key.blob)
            + text(self.namespace)
            + string(b"")
            + text(self.hash_name)
            + string(self.signature)
        )
        lines = wrap(b64encode(blob).decode("ascii"), _COLUMNS)
        return b"\n".join([BEGIN, *(line.encode("ascii") for line in lines), END, b""])

    @classmethod
    def parse(cls, armored: bytes) -> SSHSignature:
        """Return the signature in the content of a ``.sig`` file.

        :raises SignatureError: there is none, or one that can't be used.
        """
        blob = _without_armor(armored)
        reader = WireReader(blob)
        try:
            if reader.fixed(len(_MAGIC)) != _MAGIC:
                raise SignatureError("couldn't parse signature: it does not begin with SSHSIG")
            version = reader.u32()
            if version != _VERSION:
                raise SignatureError(f"signature version {version} is not supported")
            key = decode_public(reader.string())
            namespace = reader.text()
            reader.string()  # reserved
            hash_name = reader.text()
            signature = reader.string()
            reader.end()
            WireReader(signature).text()
        except (MalformedMessage, KeyFormatError) as error:
            raise SignatureError(f"couldn't parse signature: {error}") from None
        new_hash(hash_name)
        if not namespace:
            raise SignatureError("couldn't parse signature: it has no namespace")
        return cls(key, namespace, hash_name, signature)


def sign(
    key: PrivateKey, message: bytes, namespace: str, *, hash_name: str = DEFAULT_HASH
) -> SSHSignature:
    """Sign a message.

    :param namespace: what the signature is for: ``file``, ``git``, or a name of one's own such as
        ``name@example.org``.
    :param hash_name: ``sha512`` or ``sha256``.
    :raises SignatureError: the namespace is empty, or the hash is another one.
    :raises UnusableKey: the key can't sign.
    """
    digest = new_hash(hash_name)
    digest.update(message)
    data = data_to_sign(digest.digest(), namespace, hash_name)
    signature = key.sign(data, algorithm_of(key.public))
    return SSHSignature(key.public, namespace, hash_name, signature)


def _without_armor(armored: bytes) -> bytes:
    if len(armored) > MAXIMUM_SIZE:
        raise SignatureError(f"a signature has at most {MAXIMUM_SIZE} bytes")
    if not armored.startswith(BEGIN):
        raise SignatureError("couldn't parse signature: missing header")
    body, footer, _ = armored[len(BEGIN) :].partition(b"\n" + END)
    if not footer:
        raise SignatureError("couldn't parse signature: missing footer")
    try:
        return b64decode(b"".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        raise SignatureError("couldn't parse signature: it is not base64") from None
