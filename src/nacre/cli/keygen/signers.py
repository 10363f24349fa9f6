"""The private keys with which ``nacre keygen`` signs: of a file, an agent, or a security key."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from nacre.cli.keygen.arguments import KeygenOptions
from nacre.cli.keygen.keyfiles import NO_COMMENT, keys_in, public_path
from nacre.cli.keygen.questions import ask_secret, load_asking
from nacre.errors import KeyFormatError, PassphraseRequired, UnusableKey
from nacre.keys import Certificate, CertifiedKey, PrivateKey, PublicKey

if TYPE_CHECKING:
    from nacre.agent.client import Agent


_PINS = 3


class FileSigner(Protocol):
    """A key that signs."""

    public: PublicKey

    def sign(self, data: bytes, algorithm: str) -> bytes:
        """Return a signature in wire form (RFC 4253 section 6.6).

        :raises UnusableKey: the key makes no such signatures, or its holder refuses.
        """


class HeldSigner:
    """A key that an agent holds."""

    def __init__(self, agent: Agent, public: PublicKey) -> None:
        self._agent = agent
        self.public = public

    def sign(self, data: bytes, algorithm: str) -> bytes:
        """Ask the agent for a signature."""
        import asyncio

        return asyncio.run(self._agent.sign(self.public, data, algorithm))


class TokenSigner:
    """A key on a security key.

    :param source: the file of the key.
    :param provider: the library of ``-w``, or None.
    """

    def __init__(self, key: PrivateKey, source: Path, provider: str | None) -> None:
        self._key = key
        self._source = source
        self._provider = provider
        self.public = key.public

    def sign(self, data: bytes, algorithm: str) -> bytes:
        """Have the security key sign; the user touches it, and types its PIN where it wants one."""
        import asyncio

        from nacre.client.tokenkeys import sign

        async def pin(question: str, wrong: int) -> str | None:
            return ask_secret(question) if wrong < _PINS else None

        return asyncio.run(
            sign(
                self._key,
                data,
                str(self._source),
                pin=pin,
                notice=lambda text: print(text, file=sys.stderr, flush=True),
                provider=self._provider,
            )
        )


def load_public_key(path: Path) -> tuple[PublicKey, str]:
    """Return the public key in a file, or in ``path.pub``, and its comment.

    :raises OSError: there is no such file.
    :raises KeyFormatError: it has no public key.
    """
    beside = public_path(path)
    if not path.exists() and beside.exists():
        path = beside
    try:
        for key, comment in keys_in(path):
            return key, "" if comment == NO_COMMENT else comment
    except (KeyFormatError, PassphraseRequired) as error:
        raise KeyFormatError(f"{path}: {error}") from None
    raise KeyFormatError(f"{path}: invalid format: it has no public key")


def in_agent(public: PublicKey) -> HeldSigner:
    """Return a key that the user's agent holds.

    :raises UnusableKey: there is no agent, or the agent does not hold the key.
    """
    import asyncio  # what only verifies or lists needs neither

    from nacre.agent.client import Agent

    agent = Agent.from_environment()
    if agent is None:
        raise UnusableKey("there is no agent: SSH_AUTH_SOCK is not set")
    held = [key for key, _ in asyncio.run(agent.keys())]
    if public not in held:
        raise UnusableKey(f"the agent does not hold {public.fingerprint()}")
    return HeldSigner(agent, public)


def in_file(options: KeygenOptions, path: Path, public: PublicKey | None = None) -> FileSigner:
    """Return the private key in a file; ask for the passphrase if it needs one.

    :param public: what it must be the private half of: with a certificate the key has that.
    :raises OSError: the file can't be read.
    :raises UnusableKey: it has no private key that can be used, or that of another key.
    """
    key, _ = load_asking(path, options.value("P"), f"Enter passphrase for {path}: ")
    if isinstance(public, Certificate):
        key = CertifiedKey(public, key)
    if public is None or key.public == public:
        return TokenSigner(key, path, options.value("w")) if key.held else key
    raise UnusableKey(f"{path} is not the private half of {public.fingerprint()}")
