"""The messages between a client and ssh-keysign(8), which signs with the keys of this host.

Each is a length, a version and fields. The client names a descriptor that ssh-keysign inherits: the
connection's, by which it sees under which name the server knows this host.
"""

from __future__ import annotations

from nacre.errors import MalformedMessage
from nacre.value import value
from nacre.wire.codec import WireReader, string, u8, u32

MAXIMUM = 256 * 1024
"""Bytes of a message without its length."""

_VERSION = 2
_USERAUTH_REQUEST = 50
_SERVICE = "ssh-connection"
_METHOD = "hostbased"
_SESSION_ID = range(20, 65)
"""Bytes of a session's identifier: a hash, SHA-1 to SHA-512."""


@value
class HostSignatureRequest:
    """What a client asks of ssh-keysign.

    :ivar descriptor: the number of the inherited descriptor.
    :ivar data: what to sign.
    """

    descriptor: int
    data: bytes

    def encode(self) -> bytes:
        """Return the message."""
        return string(u8(_VERSION) + u32(self.descriptor) + string(self.data))

    @classmethod
    def decode(cls, body: bytes) -> HostSignatureRequest:
        """Return what a message says, which is given without its length.

        :raises MalformedMessage: it is no such request.
        """
        reader = _fields(body)
        found = cls(reader.u32(), reader.string())
        reader.end()
        return found


def encode_reply(signature: bytes) -> bytes:
    """Return the message with a signature in its wire form."""
    return string(u8(_VERSION) + string(signature))


def decode_reply(message: bytes) -> bytes:
    """Return the signature in a message, which is given with its length.

    :raises MalformedMessage: it is no such message.
    """
    outer = WireReader(message)
    reader = _fields(outer.string())
    outer.end()
    signature = reader.string()
    reader.end()
    return signature


def _fields(body: bytes) -> WireReader:
    reader = WireReader(body)
    if (version := reader.u8()) != _VERSION:
        raise MalformedMessage(f"a message of ssh-keysign of version {version}, not {_VERSION}")
    return reader


@value
class VouchedLogin:
    """The data that a host signs to vouch for its user (RFC 4252 section 9).

    :ivar algorithm: the signature's, and ``blob`` the host's key.
    :ivar host: the host's name, without the dot that must be at its end.
    :ivar host_user: the user's name there.
    """

    algorithm: str
    blob: bytes
    host: str
    host_user: str

    @classmethod
    def decode(cls, data: bytes) -> VouchedLogin:
        """Return what the data says.

        :raises MalformedMessage: it is something else: the host's key must not sign it.
        """
        reader = WireReader(data)
        session_id, number = reader.string(), reader.u8()
        reader.text()  # the user to log in as
        if len(session_id) not in _SESSION_ID or (
            (number, reader.text(), reader.text()) != (_USERAUTH_REQUEST, _SERVICE, _METHOD)
        ):
            raise MalformedMessage("the data to sign is not a request of hostbased")
        algorithm, blob, host, user = reader.text(), reader.string(), reader.text(), reader.text()
        reader.end()
        if not host.endswith("."):
            raise MalformedMessage("the host's name does not end in a dot")
        return cls(algorithm, blob, host[:-1], user)
