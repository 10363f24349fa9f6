"""The base classes of all keys."""

from __future__ import annotations

from abc import ABC, abstractmethod
from base64 import b64encode
from typing import ClassVar

from nacre.errors import MalformedMessage, UnusableKey
from nacre.keys.fingerprint import fingerprint
from nacre.value import value
from nacre.wire.codec import WireReader, string
from nacre.wire.text import safe


@value
class Presence:
    """What a security key attests of the person who used it (PROTOCOL.u2f of OpenSSH).

    :ivar touched: the key was touched.
    :ivar verified: the person was verified, by a PIN or a fingerprint.
    """

    touched: bool
    verified: bool


class PublicKey(ABC):
    """A public key. Two keys are equal when their blobs are.

    :ivar type: its type's name on the wire, such as ``ssh-ed25519``.
    :ivar blob: its wire form (RFC 4253 section 6.6): the type's name, then the family's fields.
    :ivar signature_algorithms: the algorithms of signatures it verifies, strongest first.
    :ivar bits: its size, as ``ssh-keygen -l`` shows it.
    :ivar rsa: whether it, or the key that it certifies, is an RSA key: for these there are several
        signature algorithms, and a least size.
    """

    rsa: bool = False
    __slots__ = ("bits", "blob", "signature_algorithms", "type")

    def __init__(
        self, type: str, fields: bytes, signature_algorithms: tuple[str, ...], bits: int
    ) -> None:
        self.type = type
        self.blob = string(type.encode("ascii")) + fields
        self.signature_algorithms = signature_algorithms
        self.bits = bits

    def verify(self, signature: bytes, data: bytes, algorithm: str) -> bool:
        """Return whether ``signature`` over ``data`` was made with this key and ``algorithm``.

        Returns False for a malformed signature, too; raises nothing.

        :param signature: its wire form (RFC 4253 section 6.6): the algorithm's name, which must be
            ``algorithm``, and the signature proper, each a string.
        """
        if algorithm not in self.signature_algorithms:
            return False
        reader = WireReader(signature)
        try:
            if reader.string() != algorithm.encode("ascii"):
                return False
            return self._verify_fields(reader, data, algorithm)
        except MalformedMessage:
            return False

    def _verify_fields(self, reader: WireReader, data: bytes, algorithm: str) -> bool:
        """Verify what follows a signature's name. MalformedMessage counts as False."""
        made = reader.string()
        reader.end()
        return self._verify(made, data, algorithm)

    @abstractmethod
    def _verify(self, made: bytes, data: bytes, algorithm: str) -> bool:
        """Verify the signature proper. MalformedMessage counts as False."""

    @property
    def plain(self) -> PublicKey:
        """The key itself: of a certificate the one that is certified."""
        return self

    @property
    def certifiable_algorithms(self) -> tuple[str, ...]:
        """The algorithms that a certificate of this key has; none if it can't be certified."""
        return self.signature_algorithms

    def presence(self, signature: bytes) -> Presence | None:
        """Return what a verified ``signature`` tells of the person at the key's hardware.

        None for keys without such hardware, of which nothing is asked.
        """
        return None

    def fingerprint(self, hash_name: str = "sha256") -> str:
        """Return ``SHA256:…`` in base64 without padding, or ``MD5:aa:bb:…``.

        :raises ValueError: the hash does not exist.
        """
        return fingerprint(self.blob, hash_name)

    @property
    def label(self) -> str:
        """The type and the fingerprint, for logs."""
        return f"{self.type} {self.fingerprint()}"

    def __eq__(self, other: object) -> bool:
        return self.blob == other.blob if isinstance(other, PublicKey) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.blob)

    def __str__(self) -> str:
        """Return the key as in ``authorized_keys``: type, space, base64."""
        return f"{self.type} {b64encode(self.blob).decode('ascii')}"

    def __repr__(self) -> str:
        return f"<{self.type} {self.bits} {self.fingerprint()}>"


class PrivateKey(ABC):
    """A private key.

    :ivar public: its public half.
    :ivar comment: the comment in its file, or an empty string.
    :ivar held: whether another program holds it, and :meth:`sign` has no use.
    """

    __slots__ = ("comment", "public")
    held: ClassVar[bool] = False

    def __init__(self, public: PublicKey, comment: str = "") -> None:
        self.public = public
        self.comment = comment

    @property
    def plain(self) -> PrivateKey:
        """The key itself: of a private key with a certificate the one without."""
        return self

    def sign(self, data: bytes, algorithm: str) -> bytes:
        """Return the signature over ``data`` in wire form (RFC 4253 section 6.6).

        :raises UnusableKey: the key has no such algorithm.
        """
        if algorithm not in self.public.signature_algorithms:
            raise UnusableKey(
                f"a key of type {self.public.type} makes no {safe(algorithm)} signatures; "
                f"it makes {', '.join(self.public.signature_algorithms)}"
            )
        return string(algorithm.encode("ascii")) + string(self._sign(data, algorithm))

    @abstractmethod
    def _sign(self, data: bytes, algorithm: str) -> bytes:
        """Return the part of a signature behind its name."""

    @abstractmethod
    def secret_fields(self) -> bytes:
        """Return the key's fields, without the type's name, as in openssh-key-v1.

        The agent protocol has the same; see section 3.2 of draft-ietf-sshm-ssh-agent.
        """

    def __repr__(self) -> str:
        return f"<private key of {self.public!r}>"


class RemoteKey(PrivateKey):
    """A private key that another program, such as an agent, holds: it is asked to sign."""

    __slots__ = ()
    held = True

    def _sign(self, data: bytes, algorithm: str) -> bytes:
        raise UnusableKey("another program holds this private key")

    def secret_fields(self) -> bytes:
        raise UnusableKey("another program holds this private key")
