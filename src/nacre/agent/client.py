"""A client of a running SSH agent, over its Unix socket."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from nacre.errors import KeyFormatError, UnusableKey
from nacre.keys.agents.messages import (
    QUERY,
    Frames,
    decode_extension,
    decode_identities,
    decode_query,
    decode_rsa_identities,
    decode_rsa_response,
    decode_signature,
    decode_success,
    request_extension,
    request_identities,
    request_rsa_identities,
    request_rsa_response,
    request_session_bind,
    request_signature,
)
from nacre.keys.base import PublicKey
from nacre.keys.key import decode_public
from nacre.keys.rsa1_text import RSA1

if TYPE_CHECKING:
    from nacre.keys.agents.constraints import Constraints
    from nacre.keys.base import PrivateKey
    from nacre.protocol.asks import SessionProof

QUICK = 10.0
"""Seconds for an agent to answer what needs nobody's attention: a login waits for it."""

SLOW = 60.0
"""Seconds for an agent to change what it holds: it may start programs, or delay a wrong guess."""

PATIENT = 120.0
"""Seconds for a signature, for which an agent may ask its user: most servers wait no longer for a
login (LoginGraceTime)."""

_READ = 64 * 1024


class Agent:
    """An agent that listens on a Unix socket. Every request uses a connection of its own.

    An agent that does not answer is given up after 10 seconds, after 60 where it changes what it
    holds, and after 120 for a signature, for which it may ask its user.

    :ivar path: the socket's path.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._binding = b""

    @classmethod
    def from_environment(cls) -> Agent | None:
        """Return the agent that ``SSH_AUTH_SOCK`` names, or None."""
        path = os.environ.get("SSH_AUTH_SOCK")
        return cls(path) if path else None

    def bound(self, session: SessionProof) -> Agent:
        """Return the same agent, whose connections are bound to the login of an SSH session first.

        A session whose keys were exchanged by GSSAPI has no host key to be bound to.

        Keys that are restricted to some destinations are listed and used accordingly. Agents
        without the extension ``session-bind@openssh.com`` are asked as without it.

        :param session: what the server proved in the first key exchange.
        """
        if session.host_key is None:
            return self
        made = type(self)(self.path)
        made._binding = request_session_bind(
            session.host_key.blob, session.session_id, session.signature, forwarding=False
        )
        return made

    async def keys(self) -> list[tuple[PublicKey, str]]:
        """Return the agent's keys and their comments; types that nacre lacks are left out.

        :raises UnusableKey: the agent can't be reached, or its answer is not legal.
        """
        found = []
        for blob, comment in await self.identities():
            try:
                found.append((decode_public(blob), comment))
            except KeyFormatError:
                continue
        return found

    async def identities(self) -> list[tuple[bytes, str]]:
        """Return the blobs of all the agent's keys and their comments, also of types nacre lacks.

        :raises UnusableKey: the agent can't be reached, or its answer is not legal.
        """
        answer = await self._ask(request_identities(), QUICK)
        return [(identity.blob, identity.comment) for identity in decode_identities(answer)]

    async def rsa1_keys(self) -> list[tuple[PublicKey, str]]:
        """Return the agent's RSA1 keys, for SSH-1, and their comments.

        :raises UnusableKey: the agent can't be reached, or has no SSH-1, as most today.
        """
        found = []
        for identity in decode_rsa_identities(await self._ask(request_rsa_identities(), QUICK)):
            try:
                found.append((decode_public(identity.blob), identity.comment))
            except KeyFormatError:
                continue
        return found

    async def sign(self, key: PublicKey, data: bytes, algorithm: str) -> bytes:
        """Return a signature over ``data`` in its wire form; the agent may ask its user first.

        :raises UnusableKey: the agent can't be reached, refuses, or signs with another algorithm.
        """
        if algorithm == RSA1:
            return decode_rsa_response(
                await self._ask(request_rsa_response(key.blob, data), PATIENT)
            )
        request = request_signature(key.blob, data, algorithm)
        signature = decode_signature(await self._ask(request, PATIENT))
        if not key.verify(signature, data, algorithm):
            raise UnusableKey(f"the agent makes no {algorithm} signatures with {key!r}")
        return signature

    async def add(self, key: PrivateKey, constraints: Constraints | None = None) -> None:
        """Make the agent hold ``key``, which may have a certificate.

        :param constraints: the conditions under which the agent uses it.
        :raises UnusableKey: the agent can't be reached, or refuses the key or a constraint; no
            agent holds RSA1 keys.
        """
        if key.public.type == RSA1:
            raise UnusableKey("agents hold no keys of SSH-1: name the file (-i, IdentityFile)")
        from nacre.keys.agents import changes as agent_changes
        from nacre.keys.agents.constraints import UNCONSTRAINED

        request = agent_changes.request_add(key, constraints or UNCONSTRAINED)
        await self._change(request, f"hold {key.public!r}")

    async def remove(self, key: PublicKey) -> None:
        """Make the agent forget a key.

        :raises UnusableKey: the agent can't be reached, or does not hold it.
        """
        from nacre.keys.agents import changes as agent_changes

        await self._change(agent_changes.request_remove(key.blob), f"forget {key!r}")

    async def remove_all(self) -> None:
        """Make the agent forget all of its keys.

        :raises UnusableKey: the agent can't be reached, or refuses.
        """
        from nacre.keys.agents import changes as agent_changes

        await self._change(agent_changes.request_remove_all(), "forget its keys")

    async def lock(self, passphrase: str) -> None:
        """Make the agent use none of its keys until it is unlocked.

        :raises UnusableKey: the agent can't be reached, or is locked already.
        """
        from nacre.keys.agents import changes as agent_changes

        await self._change(agent_changes.request_lock(_bytes(passphrase)), "lock itself")

    async def unlock(self, passphrase: str) -> None:
        """Unlock the agent.

        :raises UnusableKey: the agent can't be reached, or the passphrase is wrong.
        """
        from nacre.keys.agents import changes as agent_changes

        await self._change(agent_changes.request_unlock(_bytes(passphrase)), "unlock itself")

    async def add_token(
        self, provider: str, pin: str, constraints: Constraints | None = None
    ) -> None:
        """Make the agent use the keys of a PKCS#11 token.

        :param provider: the path of the token's library, at the agent.
        :raises UnusableKey: the agent can't be reached, or refuses the library.
        """
        from nacre.keys.agents import changes as agent_changes
        from nacre.keys.agents.constraints import UNCONSTRAINED

        request = agent_changes.request_add_token(
            provider, _bytes(pin), constraints or UNCONSTRAINED
        )
        await self._change(request, "use the token")

    async def remove_token(self, provider: str, pin: str = "") -> None:
        """Make the agent forget the keys of a PKCS#11 token.

        :raises UnusableKey: the agent can't be reached, or refuses.
        """
        from nacre.keys.agents import changes as agent_changes

        await self._change(
            agent_changes.request_remove_token(provider, _bytes(pin)), "forget the token"
        )

    async def extension(self, name: str, data: bytes = b"") -> bytes:
        """Use an extension of the agent; return the content of its answer, often none.

        :param data: the fields of the extension's request.
        :raises UnusableKey: the agent can't be reached, lacks the extension, or refuses.
        """
        return decode_extension(await self._ask(request_extension(name, data), SLOW), name)

    async def extensions(self) -> tuple[str, ...]:
        """Return the names of the agent's extensions.

        :raises UnusableKey: the agent can't be reached, or tells nothing of its extensions.
        """
        return decode_query(await self.extension(QUERY))

    async def _change(self, request: bytes, deed: str) -> None:
        decode_success(await self._ask(request, SLOW), deed)

    async def _ask(self, request: bytes, seconds: float) -> bytes:
        try:
            async with asyncio.timeout(seconds):
                return await self._answer(request)
        except TimeoutError:
            raise UnusableKey(
                f"the agent at {self.path} has not answered for {seconds:g} seconds"
            ) from None

    async def _answer(self, request: bytes) -> bytes:
        """Return the answer to ``request``, which is behind the one to the binding."""
        frames = Frames()
        answers: list[bytes] = []
        before = 1 if self._binding else 0
        try:
            reader, writer = await asyncio.open_unix_connection(self.path)
        except OSError as error:
            raise UnusableKey(f"no agent at {self.path}: {error.strerror or error}") from error
        try:
            writer.write(self._binding + request)
            while data := await reader.read(_READ):
                answers += frames.receive(data)
                if len(answers) > before:
                    return answers[before]
        except OSError as error:
            raise UnusableKey(f"lost the agent at {self.path}: {error}") from error
        finally:
            writer.transport.abort()
        raise UnusableKey(f"the agent at {self.path} closed the connection without an answer")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
