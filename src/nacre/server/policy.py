"""What a server allows: every question has a method, and every answer is no until it says yes."""

from __future__ import annotations

import hmac
import os
from collections.abc import Awaitable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from nacre.keys import PublicKey
from nacre.keys.rsa1 import RSA1PublicKey
from nacre.protocol.asks import Challenge, PasswordExpired, Prompt, UserRequirement
from nacre.protocol.requests import Exec, Request, Subsystem
from nacre.scp.command import parse_scp
from nacre.server.peer import Maybe

if TYPE_CHECKING:
    from nacre.server.peer import ServerConnection
    from nacre.server.session import Session

T = TypeVar("T")

ANY_METHOD = UserRequirement(
    (
        frozenset({"publickey"}),
        frozenset({"password"}),
        frozenset({"keyboard-interactive"}),
    )
)
"""Any one method is enough."""


class Policy:
    """The base of policies: nobody gets in, and who gets in may have all that is served.

    A method that raises has said no; the error is logged. Unknown users get the same questions as
    known ones, and a policy should take the same time for both.
    """

    def requirement(self, user: str, connection: ServerConnection) -> Maybe[UserRequirement]:
        """Say what ``user``, known or not, must show: by default any one method."""
        return ANY_METHOD

    def password(
        self, user: str, password: str, connection: ServerConnection
    ) -> Maybe[bool | PasswordExpired]:
        """Tell whether this is the user's password."""
        return False

    def change_password(
        self, user: str, old: str, new: str, connection: ServerConnection
    ) -> Maybe[bool]:
        """Set a new password, if the old one is right; True lets the user in."""
        return False

    def public_key(
        self, user: str, key: PublicKey, algorithm: str, signed: bool, connection: ServerConnection
    ) -> Maybe[bool]:
        """Tell whether the user may log in with ``key``.

        :param signed: False for a question in advance; True when the signature is verified.
        """
        return False

    def rsa_key(
        self, user: str, modulus: int, connection: ServerConnection
    ) -> Maybe[PublicKey | None]:
        """Return which of the user's RSA1 keys has ``modulus``: SSH-1 names keys so.

        :meth:`public_key` is asked as well, once the client has shown that it has the private half.
        """
        return None

    async def keyboard_interactive(
        self,
        user: str,
        submethods: str,
        responses: tuple[str, ...] | None,
        connection: ServerConnection,
    ) -> bool | Challenge:
        """Begin (``responses`` is None) or go on: by default one prompt for the password."""
        if responses is None:
            return Challenge("", "", (Prompt("Password: ", False),))
        if len(responses) != 1:
            return False
        return await settled(self.password(user, responses[0], connection)) is True

    def authenticated(
        self, user: str, methods: tuple[str, ...], connection: ServerConnection
    ) -> Maybe[None]:
        """Note that the user is in."""

    def direct_connection(self, host: str, port: int, connection: ServerConnection) -> Maybe[bool]:
        """Tell whether the user may connect through this server to ``host``, as it was written."""
        return False

    def remote_listen(
        self, host: str, port: int, connection: ServerConnection
    ) -> Maybe[str | None]:
        """Return where this server listens for the user, or None for no.

        :param host: what the client asked for; "" and "localhost" among others.
        :param port: 0 lets the system choose.
        :returns: the address: "localhost" is reachable from this host alone, "" from everywhere.
        """
        return None

    def agent_forwarding(self, session: Session) -> Maybe[bool]:
        """Tell whether the session may use the client's agent; see :meth:`Session.agent_socket`."""
        return False

    def session_request(self, session: Session, request: Request) -> Maybe[bool]:
        """Tell whether a shell, command, subsystem or terminal is allowed: what there is to serve.

        With files (``listen(sftp=…)``) that is the subsystem ``sftp``, and with a handler all but
        subsystems.
        """
        settings = session.connection.settings
        if isinstance(request, Subsystem):
            return request.name == "sftp" and settings.sftp is not None
        if settings.handler is not None:
            return True
        if not isinstance(request, Exec) or settings.sftp is None:
            return False
        return parse_scp(request.command) is not None


async def settled(value: Maybe[T]) -> T:
    """Return what a method of a policy said, whether it is a coroutine or not."""
    return await value if isinstance(value, Awaitable) else value


Secret: TypeAlias = str | PublicKey


class Users(Policy):
    """A policy for programs with a handful of users, each with passwords or public keys.

    ::

        Users({"alice": "her password", "bob": [bobs_key, "his password"]})

    Any one of them lets a user in. All users, unknown ones too, are offered the same methods.
    """

    def __init__(self, users: Mapping[str, Secret | Iterable[Secret]]) -> None:
        self._nobodys = os.urandom(32)
        self._passwords: dict[str, list[bytes]] = {}
        self._keys: dict[str, frozenset[PublicKey]] = {}
        for user, secrets in users.items():
            every = [secrets] if isinstance(secrets, (str, PublicKey)) else list(secrets)
            self._passwords[user] = [s.encode() for s in every if isinstance(s, str)]
            self._keys[user] = frozenset(s for s in every if isinstance(s, PublicKey))
        methods = ["publickey"] if any(self._keys.values()) else []
        if any(self._passwords.values()) or not methods:
            methods += ["password", "keyboard-interactive"]
        self._requirement = UserRequirement(tuple(frozenset({method}) for method in methods))

    def requirement(self, user: str, connection: ServerConnection) -> UserRequirement:
        """Say the same for every user."""
        return self._requirement

    def password(self, user: str, password: str, connection: ServerConnection) -> bool:
        """Compare with each of the user's passwords, in constant time."""
        given = password.encode("utf-8", "surrogateescape")
        # Who has none is compared with a secret that nobody knows, and takes as long.
        known = self._passwords.get(user) or [self._nobodys]
        return sum(hmac.compare_digest(given, one) for one in known) > 0

    def public_key(
        self, user: str, key: PublicKey, algorithm: str, signed: bool, connection: ServerConnection
    ) -> bool:
        """Tell whether ``key`` is one of the user's."""
        return key in self._keys.get(user, frozenset())

    def rsa_key(self, user: str, modulus: int, connection: ServerConnection) -> PublicKey | None:
        """Look among the user's keys."""
        return with_modulus(self._keys.get(user, frozenset()), modulus)


def with_modulus(keys: Iterable[PublicKey], modulus: int) -> PublicKey | None:
    """Return the RSA1 key among ``keys`` that has ``modulus``, or None."""
    for key in keys:
        if isinstance(key, RSA1PublicKey) and key.verifier.n == modulus:
            return key
    return None
