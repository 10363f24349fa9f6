"""The SSH agent protocol, the agent's side: requests read, answers made.

:func:`decode_request` reads a message that :class:`nacre.keys.agents.messages.Frames` has cut out;
the ``encode_*`` functions return bytes to send. The sections are those of
draft-ietf-sshm-ssh-agent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from nacre.crypto.signatures.certified import certified
from nacre.errors import KeyFormatError
from nacre.keys.agents import constraints as constraints_
from nacre.keys.agents import private as agent_private
from nacre.keys.agents.constraints import UNCONSTRAINED, Constraints
from nacre.keys.agents.messages import SIGN_FLAGS, AgentMessage, Identity
from nacre.keys.base import PrivateKey, PublicKey
from nacre.value import value
from nacre.wire.codec import WireReader, string, text, u8, u32

FAILURE = string(u8(AgentMessage.FAILURE))
SUCCESS = string(u8(AgentMessage.SUCCESS))
EXTENSION_FAILURE = string(u8(AgentMessage.EXTENSION_FAILURE))

_RSA = "ssh-rsa"


@value
class ListKeys:
    """List the keys (section 3.5)."""


@value
class SignData:
    """Sign with a key (section 3.6).

    :ivar blob: the public half of the key, or its certificate.
    :ivar data: what to sign.
    :ivar flags: see :meth:`algorithm`.
    """

    blob: bytes
    data: bytes
    flags: int

    def algorithm(self, key: PublicKey) -> str:
        """Return the algorithm that is asked for of ``key``: only RSA keys have a choice."""
        if key.plain.type != _RSA:
            return key.signature_algorithms[0]
        # If several flags are set the strongest counts, as with OpenSSH's agent.
        name = next((name for name in _STRONGEST_FIRST if SIGN_FLAGS[name] & self.flags), _RSA)
        return name if key.plain is key else certified(name)


_STRONGEST_FIRST = ("rsa-sha2-256", "rsa-sha2-512")


@value(repr=False)
class AddKey:
    """Hold a key (section 3.2)."""

    key: PrivateKey
    constraints: Constraints


@value
class RemoveKey:
    """Forget a key (section 3.4)."""

    blob: bytes


@value
class RemoveAllKeys:
    """Forget all keys (section 3.4)."""


@value(repr=False)
class Lock:
    """Use no key until the agent is unlocked (section 3.7)."""

    passphrase: bytes


@value(repr=False)
class Unlock:
    """Use the keys again (section 3.7)."""

    passphrase: bytes


@value(repr=False)
class AddToken:
    """Use the keys of a PKCS#11 token (section 3.2.6).

    :ivar provider: the path of its library.
    """

    provider: str
    pin: bytes
    constraints: Constraints


@value(repr=False)
class RemoveToken:
    """Forget the keys of a PKCS#11 token (section 3.4)."""

    provider: str
    pin: bytes


@value
class UseExtension:
    """Do what an extension is for (section 3.8).

    :ivar data: its fields.
    """

    name: str
    data: bytes


AgentRequest: TypeAlias = (
    ListKeys
    | SignData
    | AddKey
    | RemoveKey
    | RemoveAllKeys
    | Lock
    | Unlock
    | AddToken
    | RemoveToken
    | UseExtension
)


def decode_request(message: bytes) -> AgentRequest:
    """Return the request in ``message``.

    :raises KeyFormatError: it is not supported, or has a key or a constraint that is not.
    :raises MalformedMessage: it is empty, a field is cut off, or bytes follow the last one.
    """
    reader = WireReader(message)
    number = reader.u8()
    take = _TAKE.get(number)
    if take is None:
        raise KeyFormatError(f"requests with the number {number} are not supported")
    return take(reader)


def _alone(request: AgentRequest) -> Callable[[WireReader], AgentRequest]:
    def take(reader: WireReader) -> AgentRequest:
        # OpenSSH's agent ignores what follows.
        return request

    return take


def _sign(reader: WireReader) -> AgentRequest:
    request = SignData(reader.string(), reader.string(), reader.u32())
    reader.end()
    return request


def _add(reader: WireReader) -> AgentRequest:
    key, rest = agent_private.decode(reader.rest())
    rest.end()
    return AddKey(key, UNCONSTRAINED)


def _add_constrained(reader: WireReader) -> AgentRequest:
    key, rest = agent_private.decode(reader.rest())
    constraints = constraints_.decode(rest)
    if constraints.certificates:
        raise KeyFormatError("certificates come with keys of a PKCS#11 token only")
    return AddKey(key, constraints)


def _remove(reader: WireReader) -> AgentRequest:
    request = RemoveKey(reader.string())
    reader.end()
    return request


def _lock(reader: WireReader) -> AgentRequest:
    request = Lock(reader.string())
    reader.end()
    return request


def _unlock(reader: WireReader) -> AgentRequest:
    request = Unlock(reader.string())
    reader.end()
    return request


def _add_token(reader: WireReader) -> AgentRequest:
    request = AddToken(reader.text(), reader.string(), UNCONSTRAINED)
    reader.end()
    return request


def _add_token_constrained(reader: WireReader) -> AgentRequest:
    return AddToken(reader.text(), reader.string(), constraints_.decode(reader))


def _remove_token(reader: WireReader) -> AgentRequest:
    request = RemoveToken(reader.text(), reader.string())
    reader.end()
    return request


def _extension(reader: WireReader) -> AgentRequest:
    return UseExtension(reader.text(), reader.rest())


_TAKE: dict[int, Callable[[WireReader], AgentRequest]] = {
    AgentMessage.REQUEST_IDENTITIES: _alone(ListKeys()),
    AgentMessage.SIGN_REQUEST: _sign,
    AgentMessage.ADD_IDENTITY: _add,
    AgentMessage.REMOVE_IDENTITY: _remove,
    AgentMessage.REMOVE_ALL_IDENTITIES: _alone(RemoveAllKeys()),
    AgentMessage.ADD_SMARTCARD_KEY: _add_token,
    AgentMessage.REMOVE_SMARTCARD_KEY: _remove_token,
    AgentMessage.LOCK: _lock,
    AgentMessage.UNLOCK: _unlock,
    AgentMessage.ADD_ID_CONSTRAINED: _add_constrained,
    AgentMessage.ADD_SMARTCARD_KEY_CONSTRAINED: _add_token_constrained,
    AgentMessage.EXTENSION: _extension,
}


def encode_identities(identities: Iterable[Identity]) -> bytes:
    """Return the answer to :class:`ListKeys`."""
    listed = [string(one.blob) + text(one.comment) for one in identities]
    return string(u8(AgentMessage.IDENTITIES_ANSWER) + u32(len(listed)) + b"".join(listed))


def encode_signature(signature: bytes) -> bytes:
    """Return the answer to :class:`SignData`, for a signature in wire form."""
    return string(u8(AgentMessage.SIGN_RESPONSE) + string(signature))


def encode_extension(name: str, content: bytes) -> bytes:
    """Return the answer to :class:`UseExtension`; without content it is a plain success."""
    if not content:
        return SUCCESS
    return string(u8(AgentMessage.EXTENSION_RESPONSE) + text(name) + content)


@value
class SessionBind:
    """The fields of ``session-bind@openssh.com`` (``PROTOCOL.agent``), with the key as its blob."""

    host_key: bytes
    session_id: bytes
    signature: bytes
    forwarding: bool


def decode_session_bind(data: bytes) -> SessionBind:
    """Return the fields.

    :raises MalformedMessage: one is cut off.
    """
    reader = WireReader(data)
    made = SessionBind(reader.string(), reader.string(), reader.string(), reader.boolean())
    reader.end()
    return made
