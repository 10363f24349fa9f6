"""Logins to the SSH server in the names of users: for their files, and for their shells.

The API gives a session of a user a password for one login. So nothing here decides what a user may
do: the server does, as for any client of SSH.
"""

from __future__ import annotations

from collections.abc import Sequence

from nacre.client.connect import connect
from nacre.client.connection import Connection
from nacre.client.identities import Identities
from nacre.client.secrets import KEYBOARD_INTERACTIVE
from nacre.console.web.browsers import BrowserSession
from nacre.console.web.calls import APIRefused, ConsoleAPI, path_of
from nacre.crypto.signatures.certified import plain
from nacre.errors import HostKeyError
from nacre.keys import PublicKey

_PATIENCE = 20.0
"""Seconds for a login."""

_KEEPALIVE = 15.0
"""Seconds of silence after which the server is probed."""

_RSA = "ssh-rsa"

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where a server is reached that listens on all addresses."""


class PinnedHostKeys:
    """Trusts the host keys that the API names, and no others.

    :param lines: the keys, a type and base64 each.
    """

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = frozenset(lines)
        self._types = frozenset(line.partition(" ")[0] for line in lines)

    def algorithms(self, host: str, port: int, offered: tuple[str, ...]) -> tuple[str, ...]:
        """Return ``offered``, with the algorithms of the known keys first."""

        def other(name: str) -> bool:
            found = plain(name)
            return (_RSA if found.startswith("rsa-sha2-") else found) not in self._types

        return tuple(sorted(offered, key=other))

    async def check(self, host: str, port: int, address: str, key: PublicKey) -> None:
        """Trust a known key.

        :raises HostKeyError: it is none.
        """
        if str(key.plain) not in self._lines:
            raise HostKeyError("the server has another host key than the API says")


class SSHLogins:
    """Logs in to the SSH server.

    :param address: where it is; None for where the API says.
    """

    def __init__(self, api: ConsoleAPI, address: tuple[str, int] | None = None) -> None:
        self._api = api
        self._address = address

    async def log_in(self, session: BrowserSession) -> Connection:
        """Return a connection of the user of a session.

        :raises APIRefused: the API gives the session no login, or does not say where the server is.
        :raises NacreError, OSError: the server can't be reached, or refuses the login.
        """
        login = await self._api.call(session.token, "POST", path_of("own", "logins"))
        host, port = self._address or _first(login["addresses"])
        name = login["name"]
        answers = Identities(
            name, host, password=login["password"], methods=(KEYBOARD_INTERACTIVE,), files=()
        )
        trust = PinnedHostKeys(login["host_keys"])
        return await connect(
            host,
            port,
            user=name,
            credentials=answers,
            trust=trust,
            timeout=_PATIENCE,
            keepalive=_KEEPALIVE,
            config=None,
        )


def _first(addresses: Sequence[str]) -> tuple[str, int]:
    """Return the first address and port.

    :raises APIRefused: there is none.
    """
    for one in addresses:
        host, _, port = one.rpartition(":")
        host = host.strip("[]")
        if port.isdecimal():
            return _ANY.get(host, host), int(port)
    raise APIRefused(503, "the API does not say where the SSH server is: give the console --ssh")
