"""What decides on the host keys of a connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from nacre.keys.base import PublicKey
from nacre.value import value


@value
class HostKeyAnnouncement:
    """What a server says of its host keys after the login (PROTOCOL of OpenSSH, section 2.5).

    :ivar keys: the data of its request.
    :ivar shown: the key with which it has proved who it is.
    :ivar session_id: the session's id, which a proof signs.
    :ivar algorithms: the host key algorithms that this side accepts.
    :ivar prove: sends a request for proofs with this data; returns the reply's data, or None if the
        server refuses it.
    """

    keys: bytes
    shown: PublicKey
    session_id: bytes
    algorithms: tuple[str, ...]
    prove: Callable[[bytes], Awaitable[bytes | None]]


class HostKeyCheck(Protocol):
    """Decides whether a server's host key is trusted.

    A method ``async announced(host, port, address, announcement)``, if there is one, gets what the
    server says of its other host keys after the login; it raises nothing.
    """

    def algorithms(self, host: str, port: int, offered: tuple[str, ...]) -> tuple[str, ...]:
        """Return ``offered``, with the algorithms of the host's known keys first."""

    async def check(self, host: str, port: int, address: str, key: PublicKey) -> None:
        """Return if ``key`` is trusted for ``host``.

        :param address: the IP address of the connection; empty if there is none.
        :raises HostKeyError: it is not trusted.
        """
