"""An agent for one login: from a host that has the files to the next host.

The host that hands files on must log in to the next one, and gets no key for it. It gets an agent
that holds the key of the login from here, restricted to that one way (``restrict-destination`` and
``session-bind`` of OpenSSH, ``PROTOCOL.agent``): it signs for a login from the one host to the
other, as the same user, for as long as the copy takes.
"""

from __future__ import annotations

from nacre.agent.keyring import AgentClient
from nacre.agent.memory import ClientKeyring, HeldIdentity, MemoryKeyring
from nacre.agent.security_keys import is_security_key
from nacre.client.connection import Connection
from nacre.client.userkeys import UserKey
from nacre.errors import UnusableKey
from nacre.keys.agents.constraints import Constraints
from nacre.keys.agents.destinations import (
    DestinationConstraint,
    DestinationEnd,
    DestinationKey,
)
from nacre.keys.base import PrivateKey, PublicKey, RemoteKey


def lendable(connection: Connection) -> UserKey | None:
    """Return the key that another login to the same host can be made with, or None.

    A login by a password has none, and a security key wants to be touched for each login.
    """
    key = connection.login_key
    known = connection.server_host_key is not None
    return key if known and key is not None and not is_security_key(key.public) else None


class LentKeyring(MemoryKeyring):
    """A key for a login from one host to another one.

    :param key: signs the login.
    :param start: the connection to the host that the agent is forwarded to.
    :param end: the connection to the host that it logs in to, as the user of this one. Both hosts
        have host keys that were trusted here.
    """

    def __init__(self, key: UserKey, start: Connection, end: Connection) -> None:
        super().__init__()
        self._key = key
        nearer, further = start.server_host_key, end.server_host_key
        assert nearer is not None
        assert further is not None
        here = DestinationEnd(start.host, (_known(nearer),))
        # There it shows its plain key: that alone is in the list of known hosts.
        there = DestinationEnd(end.host, (DestinationKey(further.plain),), _literal(end.user))
        hops = DestinationConstraint(DestinationEnd(), here), DestinationConstraint(here, there)
        self.add(RemoteKey(key.public), Constraints(destinations=hops))

    def for_client(self, client: AgentClient) -> ClientKeyring:
        """Return it as the host sees it: it can sign, and change nothing."""
        return _LentClient(self)

    async def sign_with(
        self, one: HeldIdentity, data: bytes, algorithm: str, purpose: str = ""
    ) -> bytes:
        """Sign a login that is permitted."""
        return await self._key.sign(data, algorithm)


class _LentClient(ClientKeyring):
    # With a key of its own added, a host could have the lent one sign what it is not for.
    def add(self, key: PrivateKey, constraints: Constraints) -> None:
        raise UnusableKey("a host that files are handed on from adds no keys")


def _known(key: PublicKey) -> DestinationKey:
    """Return a host's key, or that of the authority of its certificate, as destinations have it."""
    from nacre.keys.certificate import Certificate

    if isinstance(key, Certificate):
        return DestinationKey(key.authority, is_authority=True)
    return DestinationKey(key)


def _literal(user: str) -> str:
    """Return a name as a pattern that is for this name alone.

    :raises UnusableKey: there is no such pattern.
    """
    if set(user) & set("*?!,"):
        raise UnusableKey(f"no pattern is for the user {user} alone")
    return user
