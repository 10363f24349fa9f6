"""Data that only the holder of a private key can read: X25519, HKDF-SHA-256, AES-256-GCM in chunks.

Who seals has the public key alone, and forgets the key of the data with the data. Each sealing has
an ephemeral key of its own (RFC 7748), from which and the public key HKDF (RFC 5869) makes the key
of the chunks. The nonce of a chunk is its index and whether it is the last one: chunks can't
change places, and one that is missing at the end is noticed.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from nacre.errors import KeyFormatError, PassphraseRequired, StateError, UnusableKey

HEAD = 32
"""Bytes of the ephemeral public key, which is written in front of the chunks."""

TAG = 16
"""Bytes by which a chunk is longer than its data."""

MOST_CHUNKS = 1 << 32
"""Chunks of one sealing."""

_KEY = 32
_INFO = b"nacre sealed chunks 1"
_NOT_X25519 = "it is no X25519 key: `nacre replay keygen` makes one"


class SealKey:
    """The private key that opens what was sealed for it.

    :ivar public: the public key, 32 bytes.
    """

    def __init__(self, key: X25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> SealKey:
        """Return a new key."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def load(cls, pem: bytes, passphrase: bytes | None = None) -> SealKey:
        """Return the key of a PEM file (PKCS#8, RFC 8410).

        :raises PassphraseRequired: it is encrypted, and there is no passphrase.
        :raises UnusableKey: the passphrase is wrong, or the file is no such key.
        """
        try:
            key = load_pem_private_key(pem, passphrase)
        except TypeError:
            if passphrase is None:
                raise PassphraseRequired("the private key has a passphrase") from None
            return cls.load(pem)  # it has none
        except ValueError:
            if passphrase is not None and b"ENCRYPTED" in pem:
                raise UnusableKey("the passphrase is wrong, or the file is damaged") from None
            raise KeyFormatError(f"the private key can't be read: {_NOT_X25519}") from None
        if not isinstance(key, X25519PrivateKey):
            raise KeyFormatError(_NOT_X25519)
        return cls(key)

    def dump(self, passphrase: bytes | None = None) -> bytes:
        """Return the PEM of the key (PKCS#8).

        :param passphrase: encrypts it with AES-256-CBC and PBKDF2.
        """
        protection = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)

    def shared(self, ephemeral: bytes) -> bytes:
        """Return the secret that this key and an ephemeral one share.

        :raises StateError: the other one has a small order.
        """
        try:
            return self._key.exchange(X25519PublicKey.from_public_bytes(ephemeral))
        except ValueError:
            raise StateError("the ephemeral key is not valid") from None


def dump_seal_public(public: bytes) -> bytes:
    """Return the PEM of a public key (SubjectPublicKeyInfo, RFC 8410)."""
    key = X25519PublicKey.from_public_bytes(public)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def load_seal_public(pem: bytes) -> bytes:
    """Return the 32 bytes of the public key of a PEM file.

    :raises KeyFormatError: it is no such key; a private key is none.
    """
    if b"PRIVATE KEY" in pem:
        raise KeyFormatError("it is a private key: the server gets the public one, FILE.pub")
    try:
        key = load_pem_public_key(pem)
    except ValueError:
        raise KeyFormatError(f"the public key can't be read: {_NOT_X25519}") from None
    if not isinstance(key, X25519PublicKey):
        raise KeyFormatError(_NOT_X25519)
    return key.public_bytes_raw()


class ChunkSealer:
    """Seals chunks for a public key.

    :param recipient: the public key, 32 bytes.
    :param context: is readable for everyone, and can't be changed without notice.
    :ivar head: the ephemeral public key.
    """

    def __init__(self, recipient: bytes, context: bytes) -> None:
        ephemeral = X25519PrivateKey.generate()
        self.head = ephemeral.public_key().public_bytes_raw()
        try:
            secret = ephemeral.exchange(X25519PublicKey.from_public_bytes(recipient))
        except ValueError:
            raise UnusableKey("the public key is not valid") from None
        self._cipher = AESGCM(_chunk_key(secret, self.head, recipient, context))
        self._index = 0

    def seal(self, data: bytes, *, last: bool = False) -> bytes:
        """Return the next chunk, :data:`TAG` bytes longer than its data."""
        sealed = self._cipher.encrypt(_nonce(self._index, last), data, None)
        self._index += 1
        return sealed


class ChunkOpener:
    """Opens chunks in their order.

    :param head: the ephemeral public key.
    """

    def __init__(self, key: SealKey, head: bytes, context: bytes) -> None:
        self._cipher = AESGCM(_chunk_key(key.shared(head), head, key.public, context))
        self._index = 0

    def open(self, chunk: bytes, *, last: bool = False) -> bytes:
        """Return the data of the next chunk.

        :raises StateError: it was changed, is another one, or was sealed for another key.
        """
        try:
            data = self._cipher.decrypt(_nonce(self._index, last), chunk, None)
        except (InvalidTag, ValueError):
            raise StateError("a chunk was changed, or sealed for another key") from None
        self._index += 1
        return data


def _chunk_key(secret: bytes, head: bytes, recipient: bytes, context: bytes) -> bytes:
    return HKDF(SHA256(), _KEY, salt=head + recipient, info=_INFO + context).derive(secret)


def _nonce(index: int, last: bool) -> bytes:
    if index >= MOST_CHUNKS:
        raise StateError("there are too many chunks for one key")
    return index.to_bytes(11) + bytes([last])
