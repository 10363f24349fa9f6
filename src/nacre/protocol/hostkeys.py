"""A server's announcement of all its host keys, and its proof that it has them.

``PROTOCOL`` of OpenSSH, section 2.5: after the login the server announces its keys in a global
request without a reply. The client asks for a proof of those that are new to it: the server signs
the session's id with each.
"""

from __future__ import annotations

from collections.abc import Iterable

from nacre.errors import MalformedMessage
from nacre.wire.codec import Buffer, WireReader, string

ANNOUNCE = "hostkeys-00@openssh.com"
"""The server's global request; its data are the keys' blobs."""

PROVE = "hostkeys-prove-00@openssh.com"
"""The client's global request for proofs; its data are the keys' blobs, the reply's the proofs."""


def join(parts: Iterable[bytes]) -> bytes:
    """Return the data of either request or of the reply: blobs, or signatures in wire form."""
    return b"".join(map(string, parts))


def split(data: Buffer, most: int) -> list[bytes]:
    """Return the parts that :func:`join` joined.

    :param most: how many there may be.
    :raises MalformedMessage: there are more, or the data is cut off.
    """
    reader = WireReader(data)
    parts: list[bytes] = []
    while reader.remaining:
        if len(parts) == most:
            raise MalformedMessage(f"more than {most} host keys")
        parts.append(reader.string())
    return parts


def signed(session_id: bytes, blob: bytes) -> bytes:
    """Return what the host key ``blob`` signs to prove that the server has it."""
    return join((PROVE.encode("ascii"), session_id, blob))
