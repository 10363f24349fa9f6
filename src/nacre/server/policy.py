"""What a server allows. Each question has a method, and the answer of the base class is no."""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

from nacre.aio.maybe import Maybe, settled
from nacre.errors import UnusableKey
from nacre.keys import PublicKey
from nacre.keys.certificate import Certificate
from nacre.keys.families.rsa1 import RSA1PublicKey
from nacre.keys.key_options import KeyOptions
from nacre.keys.shown import ShownKey
from nacre.protocol.asks import (
    Challenge,
    ClientHost,
    KeyTerms,
    PasswordExpired,
    Prompt,
    UserRequirement,
)
from nacre.protocol.requests import PtyRequest, Request
from nacre.value import value
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.protocol.gssapi import ContextAcceptor
    from nacre.protocol.tunnel import TunnelMode
    from nacre.server.peer import ServerConnection
    from nacre.server.session import Session
    from nacre.tunnels.device import TunnelDevice
    from nacre.tunnels.unix import UnixSockets

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
    """The base of policies: no login succeeds, and a session may use everything that is served.

    Each method may be plain or a coroutine. One that raises has refused; the error is logged. The
    questions are the same for unknown users as for known ones, and a policy should take equally
    long for both.
    """

    def requirement(self, user: str, connection: ServerConnection) -> Maybe[UserRequirement]:
        """Return the methods that ``user``, known or not, must pass: by default any one."""
        return ANY_METHOD

    def password(
        self, user: str, password: str, connection: ServerConnection
    ) -> Maybe[bool | PasswordExpired]:
        """Tell whether this is the user's password."""
        return False

    def change_password(
        self, user: str, old: str, new: str, connection: ServerConnection
    ) -> Maybe[bool | PasswordExpired]:
        """Set a new password if the old one is right; True authenticates the user.

        :returns: ``PasswordExpired`` asks for another new one (RFC 4252 section 8).
        """
        return False

    def public_key(
        self, user: str, key: PublicKey, algorithm: str, signed: bool, connection: ServerConnection
    ) -> Maybe[bool | KeyTerms]:
        """Tell whether the user may log in with ``key``.

        :param key: a key, or a :class:`~nacre.Certificate`: check with its ``refusal`` whether the
            user may use it, that you trust its ``authority``, and its ``critical_options``.
        :param signed: False for the query before a signature (RFC 4252 section 7); True when the
            signature is verified.
        """
        return False

    def host_based(self, user: str, host: ClientHost, connection: ServerConnection) -> Maybe[bool]:
        """Tell whether ``user`` may log in because a host vouches for its own user.

        The host's signature is verified. Check that the key is the one of a host that you trust,
        that ``host.algorithm`` is strong enough, and that its user may be ``user``. A policy whose
        :meth:`requirement` does not list ``hostbased`` is not asked.
        """
        return False

    def gssapi(
        self, user: str, context: ContextAcceptor, connection: ServerConnection
    ) -> Maybe[bool]:
        """Tell whether ``user`` may log in whose client has proved a name by Kerberos.

        :param context: compare its ``principal``, with the realm, with those of the user. A policy
            whose :meth:`requirement` lists neither ``gssapi-with-mic`` nor ``gssapi-keyex`` is not
            asked.
        """
        return False

    def rsa_key(
        self, user: str, modulus: int, connection: ServerConnection
    ) -> Maybe[PublicKey | None]:
        """Return the user's RSA1 key with ``modulus``, by which SSH-1 names a key, or None.

        :meth:`public_key` is called too, after the client has proved that it has the private key.
        """
        return None

    def keyboard_interactive(
        self,
        user: str,
        submethods: str,
        responses: tuple[str, ...] | None,
        connection: ServerConnection,
    ) -> Maybe[bool | Challenge]:
        """Return the next challenge or the outcome: by default one prompt for the password.

        :param responses: the answers to the last challenge, or None at the start.
        """
        return self._prompt_for_password(user, responses, connection)

    async def _prompt_for_password(
        self, user: str, responses: tuple[str, ...] | None, connection: ServerConnection
    ) -> bool | Challenge:
        if responses is None:
            return Challenge("", "", (Prompt("Password: ", False),))
        if len(responses) != 1:
            return False
        return await settled(self.password(user, responses[0], connection)) is True

    def authenticated(
        self, user: str, methods: tuple[str, ...], connection: ServerConnection
    ) -> Maybe[None]:
        """Take note that the user is logged in; no session is served before this returns."""

    def direct_connection(self, host: str, port: int, connection: ServerConnection) -> Maybe[bool]:
        """Tell whether the user may connect through this server to ``host``, not yet resolved."""
        return False

    def remote_listen(
        self, host: str, port: int, connection: ServerConnection
    ) -> Maybe[str | None]:
        """Return the address on which this server listens for the user, or None to refuse.

        :param host: the address in the client's request; "" and "localhost" among others.
        :param port: 0 lets the system choose.
        :returns: "localhost" for the loopback interfaces only, "" for all addresses, or a name.
        """
        return None

    def direct_unix_connection(
        self, path: str, connection: ServerConnection
    ) -> Maybe[bool | UnixSockets]:
        """Tell whether the user may connect through this server to the Unix socket ``path``.

        :returns: True connects with the rights of this process; what is returned in place of it
            makes the connection.
        """
        return False

    def remote_unix_listen(
        self, path: str, connection: ServerConnection
    ) -> Maybe[bool | UnixSockets]:
        """Tell whether this server listens on the Unix socket ``path`` for the user.

        :returns: as :meth:`direct_unix_connection`: True makes a socket that only the account of
            this process may connect to, and only where no file of that name is.
        """
        return False

    def agent_forwarding(self, session: Session) -> Maybe[bool]:
        """Tell whether the session may use the client's agent; see :meth:`Session.agent_socket`."""
        return False

    def tunnel_device(
        self, mode: TunnelMode, unit: int | None, connection: ServerConnection
    ) -> Maybe[TunnelDevice | None]:
        """Return an open device to join to one of the client's, or None to refuse.

        Whoever has it sends packets of any address into the network of this host. The device is
        closed with its channel.

        :param mode: ``point-to-point`` for packets of IP, ``ethernet`` for frames.
        :param unit: the number of the device that the client wants; None for any.
        """
        return None

    def x11_forwarding(self, session: Session) -> Maybe[bool]:
        """Tell whether the session's programs may use the client's display.

        See :attr:`Session.x11`.
        """
        return False

    def session_request(self, session: Session, request: Request) -> Maybe[bool]:
        """Tell whether a shell, command, subsystem or terminal is allowed: by default, if served.

        See :meth:`Session.serves`.
        """
        return session.serves(request)


@value
class CertificateAuthority:
    """A secret of :class:`Users`: the holder of any certificate by this authority is let in.

    :ivar key: the key that signs the certificates.
    :ivar principals: the names of which a certificate must have one; empty for the user's name.
    """

    key: PublicKey
    principals: tuple[str, ...] = ()


Secret: TypeAlias = str | PublicKey | CertificateAuthority


class Users(Policy):
    """A policy for programs with a few users, each with passwords, public keys or authorities.

    ::

        Users({"alice": "her password", "bob": [bobs_key, CertificateAuthority(ca_key)]})

    Any one of a user's secrets is enough. The same methods are offered to all users, known or not.
    A certificate must be valid for the client's address now, and one with ``force-command`` is
    refused, since only the program knows its commands; without ``permit-pty`` it gives no terminal.
    A subclass that grants forwarding looks at the extensions of :meth:`certificate`.
    """

    def __init__(self, users: Mapping[str, Secret | Iterable[Secret]]) -> None:
        self._unknown = os.urandom(32)
        self._passwords: dict[str, list[bytes]] = {}
        self._keys: dict[str, frozenset[PublicKey]] = {}
        self._authorities: dict[str, dict[PublicKey, tuple[str, ...]]] = {}
        self._shown: WeakKeyDictionary[ServerConnection, Certificate] = WeakKeyDictionary()
        for user, secrets in users.items():
            listed = [secrets] if isinstance(secrets, Secret) else list(secrets)
            if wrong := [s for s in listed if not isinstance(s, Secret)]:
                raise TypeError(
                    "a user's secret must be a password as str, a PublicKey or a "
                    f"CertificateAuthority, not {type(wrong[0]).__name__}"
                )
            self._passwords[user] = [s.encode() for s in listed if isinstance(s, str)]
            self._keys[user] = frozenset(s for s in listed if isinstance(s, PublicKey))
            self._authorities[user] = {
                s.key: s.principals or (user,)
                for s in listed
                if isinstance(s, CertificateAuthority)
            }
        with_keys = any(self._keys.values()) or any(self._authorities.values())
        methods = ["publickey"] if with_keys else []
        if any(self._passwords.values()) or not methods:
            methods += ["password", "keyboard-interactive"]
        self._requirement = UserRequirement(tuple(frozenset({method}) for method in methods))

    def requirement(self, user: str, connection: ServerConnection) -> UserRequirement:
        """Return the same for every user."""
        return self._requirement

    def password(self, user: str, password: str, connection: ServerConnection) -> bool:
        """Compare with each of the user's passwords, in constant time."""
        given = password.encode("utf-8", "surrogateescape")
        # A user without a password is compared with a random secret, which takes equally long.
        known = self._passwords.get(user) or [self._unknown]
        return sum(hmac.compare_digest(given, one) for one in known) > 0

    def public_key(
        self, user: str, key: PublicKey, algorithm: str, signed: bool, connection: ServerConnection
    ) -> bool | KeyTerms:
        """Tell whether ``key`` is one of the user's, or a valid certificate by an authority."""
        if not isinstance(key, Certificate):
            return key in self._keys.get(user, frozenset())
        names = self._authorities.get(user, {}).get(key.authority)
        if names is None:
            return False
        shown = ShownKey(
            key=key,
            user=user,
            address=connection.peer[0],
            host=connection.looked_up,
            now=time.time(),
        )
        try:
            options = shown.by_line(KeyOptions(cert_authority=True, principals=names))
            if options.command is not None:
                raise UnusableKey("the certificate has force-command")
        except UnusableKey as error:
            connection.record("refused", method="publickey", name=safe(user), reason=str(error))
            return False
        if signed:
            self._shown[connection] = key
        return KeyTerms(
            touch_required=options.touch_required, verify_required=options.verify_required
        )

    def certificate(self, connection: ServerConnection) -> Certificate | None:
        """Return the certificate that the client has shown, or None."""
        return self._shown.get(connection)

    def session_request(self, session: Session, request: Request) -> Maybe[bool]:
        """Refuse a terminal that the user's certificate does not permit, else as the base does."""
        shown = self.certificate(session.connection)
        if isinstance(request, PtyRequest) and shown and "permit-pty" not in shown.extensions:
            return False
        return super().session_request(session, request)

    def rsa_key(self, user: str, modulus: int, connection: ServerConnection) -> PublicKey | None:
        """Return the one of the user's keys that has ``modulus``."""
        return with_modulus(self._keys.get(user, frozenset()), modulus)


def with_modulus(keys: Iterable[PublicKey], modulus: int) -> PublicKey | None:
    """Return the RSA1 key among ``keys`` that has ``modulus``, or None."""
    for key in keys:
        if isinstance(key, RSA1PublicKey) and key.verifier.n == modulus:
            return key
    return None
