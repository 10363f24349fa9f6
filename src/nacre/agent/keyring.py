"""What an agent holds, as :func:`nacre.serve_agent` asks for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

from nacre.aio.maybe import Maybe
from nacre.errors import UnusableKey
from nacre.keys.agents.constraints import Constraints
from nacre.keys.base import PrivateKey, PublicKey
from nacre.value import value


@value
class AgentClient:
    """A program that has connected to an agent.

    :ivar uid: the number of its account; -1 if the system does not tell it.
    :ivar pid: its process id when it connected; 0 if the system does not tell it.
    """

    uid: int = -1
    pid: int = 0


class Keyring(ABC):
    """Keys that an agent offers: those of a signing service, or of memory.

    Every method may be a plain function or a coroutine. What it raises as
    :class:`~nacre.errors.UnusableKey` is logged, and the client learns that the agent refuses.
    Methods that are not overridden refuse.
    """

    extensions: ClassVar[tuple[str, ...]] = ()
    """The names of extensions that :meth:`extension` knows; ``query`` lists them."""

    def for_client(self, client: AgentClient) -> Keyring:
        """Return the keyring as ``client`` may use it: by default the same for all.

        It is called for each connection. The object that it returns can keep what the client
        binds the connection to.
        """
        return self

    @abstractmethod
    def keys(self) -> Maybe[Iterable[tuple[PublicKey, str]]]:
        """Return the keys and certificates that are offered, and their comments."""

    @abstractmethod
    def sign(self, key: PublicKey, data: bytes, algorithm: str) -> Maybe[bytes]:
        """Return a signature over ``data`` in wire form (RFC 4253 section 6.6).

        :param key: the key or certificate that the client names, which may be none of
            :meth:`keys`.
        :param algorithm: one of ``key.signature_algorithms``.
        :raises UnusableKey: there is no such key, or it must not be used.
        """

    def add(self, key: PrivateKey, constraints: Constraints) -> Maybe[None]:
        """Hold a key from now on; one that is held already gets new constraints."""
        raise UnusableKey("this agent takes no keys")

    def remove(self, key: PublicKey) -> Maybe[None]:
        """Forget a key."""
        raise UnusableKey("this agent forgets no keys")

    def remove_all(self) -> Maybe[None]:
        """Forget all keys."""
        raise UnusableKey("this agent forgets no keys")

    def lock(self, passphrase: bytes) -> Maybe[None]:
        """Use no keys from now on, and list none, until :meth:`unlock`."""
        raise UnusableKey("this agent can't be locked")

    def unlock(self, passphrase: bytes) -> Maybe[None]:
        """Use the keys again, if the passphrase is that of :meth:`lock`."""
        raise UnusableKey("this agent is not locked")

    def add_token(self, provider: str, pin: bytes, constraints: Constraints) -> Maybe[None]:
        """Use the keys of a PKCS#11 token.

        :param provider: the path of its library.
        """
        raise UnusableKey("this agent uses no PKCS#11 tokens")

    def remove_token(self, provider: str, pin: bytes) -> Maybe[None]:
        """Forget the keys of a PKCS#11 token."""
        raise UnusableKey("this agent uses no PKCS#11 tokens")

    def extension(self, name: str, data: bytes) -> Maybe[bytes]:
        """Do what an extension is for; return the content of the answer, which may be empty.

        :param name: one of :attr:`extensions`.
        :param data: the fields of its request.
        """
        raise UnusableKey(f"this agent has no extension {name}")
