"""A client of a running SSH agent, over its Unix socket."""

from __future__ import annotations

import asyncio
import os

from nacre.errors import KeyFormatError, UnusableKey
from nacre.keys.agent import (
    Frames,
    decode_identities,
    decode_rsa_identities,
    decode_rsa_response,
    decode_signature,
    request_identities,
    request_rsa_identities,
    request_rsa_response,
    request_signature,
)
from nacre.keys.base import PublicKey
from nacre.keys.key import decode_public
from nacre.keys.rsa1_text import RSA1

_READ = 64 * 1024


class Agent:
    """An agent that listens on a Unix socket. Every request uses a connection of its own.

    :ivar path: the socket's path.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    @classmethod
    def from_environment(cls) -> Agent | None:
        """Return the agent that ``SSH_AUTH_SOCK`` names, or None."""
        path = os.environ.get("SSH_AUTH_SOCK")
        return cls(path) if path else None

    async def keys(self) -> list[tuple[PublicKey, str]]:
        """Return the agent's keys and their comments; types that nacre lacks are left out.

        :raises UnusableKey: the agent can't be reached, or its answer is not legal.
        """
        found = []
        for identity in decode_identities(await self._ask(request_identities())):
            try:
                found.append((decode_public(identity.blob), identity.comment))
            except KeyFormatError:
                continue
        return found

    async def rsa1_keys(self) -> list[tuple[PublicKey, str]]:
        """Return the agent's RSA1 keys, for SSH-1, and their comments.

        :raises UnusableKey: the agent can't be reached, or has no SSH-1, as most today.
        """
        found = decode_rsa_identities(await self._ask(request_rsa_identities()))
        return [(decode_public(identity.blob), identity.comment) for identity in found]

    async def sign(self, key: PublicKey, data: bytes, algorithm: str) -> bytes:
        """Return a signature over ``data`` in its wire form; the agent may ask its user first.

        :raises UnusableKey: the agent can't be reached, refuses, or signs with another algorithm.
        """
        if algorithm == RSA1:
            return decode_rsa_response(await self._ask(request_rsa_response(key.blob, data)))
        signature = decode_signature(await self._ask(request_signature(key.blob, data, algorithm)))
        if not key.verify(signature, data, algorithm):
            raise UnusableKey(f"the agent makes no {algorithm} signatures with {key!r}")
        return signature

    async def _ask(self, request: bytes) -> bytes:
        frames = Frames()
        try:
            reader, writer = await asyncio.open_unix_connection(self.path)
        except OSError as error:
            raise UnusableKey(f"no agent at {self.path}: {error.strerror or error}") from error
        try:
            writer.write(request)
            while data := await reader.read(_READ):
                if answers := frames.receive(data):
                    return answers[0]
        except OSError as error:
            raise UnusableKey(f"lost the agent at {self.path}: {error}") from error
        finally:
            writer.close()
        raise UnusableKey(f"the agent at {self.path} closed the connection without an answer")
