"""Key exchange methods: the computation, without messages.

A public value is the content of a ``string`` or ``mpint`` field, without its length. The shared
secret K is returned as the exchange hash and the key derivation take it: with its length, as an
mpint (RFC 4253 section 8, RFC 5656, RFC 8731) or as a string (hybrid methods).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import Literal, TypeAlias

from nacre.crypto.packets.seal import Random

Family: TypeAlias = Literal["dh", "dh-gex", "ecdh", "gss"]
"""The messages that a method uses: those of RFC 4253 section 8, RFC 4419, RFC 5656 section 4 or
RFC 4462 section 2.1."""


class Tier(StrEnum):
    """When an algorithm is offered."""

    DEFAULT = "default"
    """By default."""

    ALLOWED = "allowed"
    """Sound, but only offered when named."""

    LEGACY = "legacy"
    """Weak: only offered when named, for peers without a better one."""


class Initiator(ABC):
    """The client's half of one exchange.

    :ivar public: the public value that the client sends.
    """

    public: bytes

    @abstractmethod
    def finish(self, reply: bytes) -> bytes:
        """Return K, given the server's public value.

        :raises KexFailed: the method does not allow the server's value.
        """


class KexMethod(ABC):
    """A key exchange method.

    :ivar name: its name in a proposal.
    :ivar hash_name: its hash, as ``hashlib`` names it.
    :ivar family: the messages it uses.
    :ivar slow: whether it computes for long, up to a second, so that its caller needs a thread; all
        others take a millisecond or so.
    :ivar package: a package that it needs and that the base install does not bring, or empty.
    """

    slow = False
    package = ""

    def __init__(self, name: str, tier: Tier, hash_name: str, family: Family) -> None:
        self.name = name
        self.tier = tier
        self.hash_name = hash_name
        self.family: Family = family

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def supported(self) -> bool:
        """Return whether the library that computes it was built with what it needs."""
        return True

    @abstractmethod
    def initiate(self, random: Random) -> Initiator:
        """Start an exchange as the client."""

    @abstractmethod
    def respond(self, public: bytes, random: Random) -> tuple[bytes, bytes]:
        """Do the server's half, given the client's public value: return the server's, and K.

        :raises KexFailed: the method does not allow the client's value.
        """
