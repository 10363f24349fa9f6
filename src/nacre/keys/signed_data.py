"""What an agent can tell of the data that it is asked to sign: whether it is for a login."""

from __future__ import annotations

from nacre.errors import MalformedMessage
from nacre.keys.base import PublicKey
from nacre.keys.key import decode_public
from nacre.value import value
from nacre.wire.codec import WireReader

_USERAUTH_REQUEST = 50
_SERVICE = "ssh-connection"
_PUBLICKEY = "publickey"
_HOSTBOUND = "publickey-hostbound-v00@openssh.com"
_SSHSIG = b"SSHSIG"


@value
class SignedLogin:
    """The data that a client signs to log in with a key (RFC 4252 section 7).

    :ivar session_id: the session's identifier.
    :ivar user: the user to log in as.
    :ivar host_key: the server's key, if the request is ``publickey-hostbound-v00@openssh.com``.
    """

    session_id: bytes
    user: str
    host_key: PublicKey | None


def decode_login(data: bytes, key: PublicKey) -> SignedLogin:
    """Return what a request for a login with ``key`` says.

    :raises MalformedMessage: the data is something else, or for another key.
    :raises KeyFormatError: the server's key in it can't be used.
    """
    reader = WireReader(data)
    session_id = reader.string()
    number, user = reader.u8(), reader.text()
    service, method = reader.text(), reader.text()
    signed, algorithm, blob = reader.u8(), reader.text(), reader.string()
    if (number, service, signed) != (_USERAUTH_REQUEST, _SERVICE, 1) or (
        method not in (_PUBLICKEY, _HOSTBOUND)
    ):
        raise MalformedMessage("the data to sign is not a request for a login with a key")
    if blob != key.blob or algorithm not in key.signature_algorithms:
        raise MalformedMessage("the data to sign is a login with another key or algorithm")
    host_key = decode_public(reader.string()) if method == _HOSTBOUND else None
    reader.end()
    return SignedLogin(session_id, user, host_key)


def is_sshsig(data: bytes) -> bool:
    """Return whether the data is that of an SSHSIG signature (``PROTOCOL.sshsig``)."""
    if not data.startswith(_SSHSIG):
        return False
    reader = WireReader(data, len(_SSHSIG))
    try:
        for _ in ("namespace", "reserved", "hash", "digest"):
            reader.string()
        reader.end()
    except MalformedMessage:
        return False
    return True
