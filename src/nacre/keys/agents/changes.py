"""The SSH agent protocol: requests that change what an agent holds, the client's side.

Their answers have no content: :func:`nacre.keys.agents.messages.decode_success` reads them. The
sections are those of draft-ietf-sshm-ssh-agent.
"""

from __future__ import annotations

from nacre.keys.agents import constraints as constraints_
from nacre.keys.agents import private as agent_private
from nacre.keys.agents.constraints import Constraints
from nacre.keys.agents.messages import AgentMessage
from nacre.keys.base import PrivateKey
from nacre.wire.codec import string, text, u8


def request_add(key: PrivateKey, constraints: Constraints) -> bytes:
    """Return the request to hold ``key``, which may have a certificate.

    :raises UnusableKey: another program holds it.
    """
    number = AgentMessage.ADD_ID_CONSTRAINED if constraints else AgentMessage.ADD_IDENTITY
    return string(u8(number) + agent_private.encode(key) + constraints_.encode(constraints))


def request_remove(blob: bytes) -> bytes:
    """Return the request to forget the key ``blob``."""
    return string(u8(AgentMessage.REMOVE_IDENTITY) + string(blob))


def request_remove_all() -> bytes:
    """Return the request to forget all keys."""
    return string(u8(AgentMessage.REMOVE_ALL_IDENTITIES))


def request_lock(passphrase: bytes) -> bytes:
    """Return the request to use no key until :func:`request_unlock`."""
    return string(u8(AgentMessage.LOCK) + string(passphrase))


def request_unlock(passphrase: bytes) -> bytes:
    """Return the request to use the keys again."""
    return string(u8(AgentMessage.UNLOCK) + string(passphrase))


def request_add_token(provider: str, pin: bytes, constraints: Constraints) -> bytes:
    """Return the request to use the keys of a PKCS#11 token.

    :param provider: the path of the token's library.
    """
    constrained = AgentMessage.ADD_SMARTCARD_KEY_CONSTRAINED
    number = constrained if constraints else AgentMessage.ADD_SMARTCARD_KEY
    return string(u8(number) + text(provider) + string(pin) + constraints_.encode(constraints))


def request_remove_token(provider: str, pin: bytes) -> bytes:
    """Return the request to forget the keys of a PKCS#11 token."""
    return string(u8(AgentMessage.REMOVE_SMARTCARD_KEY) + text(provider) + string(pin))
