"""Logins for which this host vouches: HostbasedAuthentication in ssh_config(5).

Only root can read the keys of the host. ssh-keysign(8), which has root's rights, signs with them.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from nacre.errors import KeyFormatError, MalformedMessage, UnusableKey
from nacre.keys.agents.keysign import HostSignatureRequest, decode_reply
from nacre.keys.base import PublicKey
from nacre.keys.files import load_public
from nacre.protocol.asks import ClientHost, TryHostBased
from nacre.wire.text import safe

KEYSIGN = (
    "/usr/lib/openssh/ssh-keysign",
    "/usr/libexec/openssh/ssh-keysign",
    "/usr/libexec/ssh-keysign",
    "/usr/lib/ssh/ssh-keysign",
)
"""Where systems have ssh-keysign; the first that is there counts."""

HOST_KEYS = "/etc/ssh"

_KINDS = ("ecdsa", "ed25519", "rsa")
_MOST_KEY = 64 * 1024
_PATIENCE = 30
"""Seconds for a signature."""


class HostVouching:
    """The keys of this host, to be tried one after another."""

    def __init__(
        self,
        carrier: Callable[[], socket.socket | None],
        algorithms: Sequence[str],
        notice: Callable[[str], None],
    ) -> None:
        """Prepare.

        :param carrier: returns the socket of the connection; None if something else carries it.
        :param algorithms: the signature algorithms to use, in order.
        :param notice: gets text for the human.
        """
        self._carrier = carrier
        self._algorithms = algorithms
        self._notice = notice
        self._left: list[ClientHost] | None = None
        self._tried: set[PublicKey] = set()

    async def next(self) -> TryHostBased | None:
        """Return the next host key to try, or None."""
        if self._left is None:
            self._left = await asyncio.to_thread(self._find)
        if not self._left:
            return None
        host = self._left.pop(0)
        self._tried.add(host.key)
        return TryHostBased(host)

    def has_tried(self, key: PublicKey) -> bool:
        """Return whether this is a host key that was tried."""
        return key in self._tried

    def _find(self) -> list[ClientHost]:
        user = pwd.getpwuid(os.getuid()).pw_name
        name = local_name(self._carrier())
        left = list(_public_keys())
        if not left:
            self._notice(
                f"HostbasedAuthentication: there are no public keys of hosts in {HOST_KEYS}"
            )
        found = []
        for algorithm in self._algorithms:
            for key in left:
                if algorithm in key.signature_algorithms:
                    found.append(ClientHost(f"{name}.", user, key, algorithm))
                    left.remove(key)
                    break
        return found

    async def sign(self, data: bytes) -> bytes:
        """Return the signature that ssh-keysign makes.

        :raises UnusableKey: it makes none; it has told the user why.
        """
        program = await asyncio.to_thread(_program)
        carrier = self._carrier()
        nothing = os.open(os.devnull, os.O_RDONLY)
        descriptor = nothing if carrier is None else carrier.fileno()
        try:
            return await _asked(program, descriptor, data)
        except (OSError, MalformedMessage, TimeoutError) as error:
            raise UnusableKey(f"{program} has made no signature: {safe(str(error))}") from error
        finally:
            os.close(nothing)


async def _asked(program: str, descriptor: int, data: bytes) -> bytes:
    process = await asyncio.create_subprocess_exec(
        program,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        pass_fds=(descriptor,),
    )
    try:
        request = HostSignatureRequest(descriptor, data).encode()
        output, _ = await asyncio.wait_for(process.communicate(request), _PATIENCE)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return decode_reply(output)


def _program() -> str:
    """Return the path of ssh-keysign.

    :raises UnusableKey: there is none.
    """
    for path in KEYSIGN:
        if os.path.exists(path):
            return path
    raise UnusableKey(f"HostbasedAuthentication: there is no {KEYSIGN[0]}: install it")


def _public_keys() -> Iterator[PublicKey]:
    """Yield the certificates, then the plain keys, of this host."""
    for suffix in ("-cert.pub", ".pub"):
        for kind in _KINDS:
            path = f"{HOST_KEYS}/ssh_host_{kind}_key{suffix}"
            with suppress(OSError, KeyFormatError), open(path, "rb") as file:
                yield load_public(file.read(_MOST_KEY))[0]


def local_name(carrier: socket.socket | None) -> str:
    """Return the name of this host's address on a connection, or else the host's own. Blocks."""
    if carrier is not None and carrier.family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):  # of which the errors of name servers are
            return socket.getnameinfo(carrier.getsockname(), socket.NI_NAMEREQD)[0]
    return socket.gethostname()
