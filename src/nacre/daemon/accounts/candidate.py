"""Who logs in over a connection: the configuration that holds for them, and what they have shown.

The configuration is looked up once for each user name of a connection (Match in sshd_config(5)), so
a file that changes meanwhile counts for the next connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from nacre.config.server.config import ServerConfig
from nacre.config.server.rules import Connecting, ServerRules
from nacre.daemon.accounts.accounts import without_style
from nacre.daemon.accounts.admission import Admission
from nacre.daemon.names import name_of
from nacre.errors import ConfigurationError
from nacre.keys import PublicKey
from nacre.keys.key_options import NO_OPTIONS, KeyOptions
from nacre.keys.shown import ShownKey
from nacre.protocol.asks import KeyTerms, UserRequirement
from nacre.protocol.options import Profile
from nacre.protocol.requirement import Requirement
from nacre.server.peer import ConnectionTerms

if TYPE_CHECKING:
    from nacre.daemon.accounts.accounts import Account
    from nacre.daemon.accounts.rights import Forwarding
    from nacre.protocol.gssapi import ContextAcceptor
    from nacre.server.peer import Client

_BANNER_BYTES = 1 << 20
_SHOWN = {"keyboard-interactive": "keyboard-interactive/pam"}


@dataclass(slots=True)
class Candidate:
    """A user of a connection, known or not, before and after the login.

    :ivar config: the configuration for this user on this connection.
    :ivar account: the system's account of this name, looked up once for a connection, as in sshd: a
        module of nsswitch.conf(5) may take fifty system calls. None for a virtual user, and if
        there is none.
    :ivar changed: whether it differs from the one for users of whom nothing is known.
    :ivar admission: who may log in by it, and how.
    :ivar signatures: the signature algorithms of the user's keys; None for the server's.
    :ivar ca_signatures: those of the authorities of the user's certificates; None likewise.
    :ivar keys: the keys that the user has logged in with, in order.
    :ivar options: what the lines of these keys permit.
    :ivar forwarding: the rights to forward, determined when they are first needed, as in sshd.
    :ivar security: the security context that the user has logged in by, or None.
    :ivar needs_code: whether the login takes the code of a second factor.
    :ivar password: the hash of the password that the user has shown; only this one may be changed.
    :ivar address: the client's address as the API has it, which has vouched for the user; None for
        that of the connection.
    :ivar told: what was logged of lines that were skipped, so that each is logged once.
    """

    user: str
    config: ServerConfig
    changed: bool
    admission: Admission
    account: Account | None = None
    signatures: tuple[str, ...] | None = None
    ca_signatures: tuple[str, ...] | None = None
    keys: list[PublicKey] = field(default_factory=list)
    options: KeyOptions = NO_OPTIONS
    forwarding: Forwarding | None = None
    security: ContextAcceptor | None = None
    needs_code: bool = False
    password: str | None = field(default=None, repr=False)
    address: str | None = None
    told: set[str] = field(default_factory=set)
    _shown: tuple[PublicKey, KeyOptions] | None = None

    def take(self, key: PublicKey, options: KeyOptions) -> None:
        """Note that the user has shown to have ``key``. It counts once its attempt has succeeded.

        That may still fail: a security key must attest what :meth:`terms` ask for.

        :param options: what :meth:`joined` has returned.
        """
        self._shown = key, options

    def settle(self, methods: tuple[str, ...]) -> None:
        """Count the key that was shown last, if its attempt has succeeded.

        :param methods: the methods that have succeeded, in order.
        """
        if self._shown is not None and methods.count("publickey") > len(self.keys):
            key, self.options = self._shown
            self.keys.append(key)
        self._shown = None

    def joined(self, options: KeyOptions) -> KeyOptions:
        """Return what a login permits that a further key with these options completes.

        :raises UnusableKey: the key permits another command than those before.
        """
        return self.options.and_also(options) if self.keys else options

    def terms(self, options: KeyOptions) -> KeyTerms:
        """Return what a key with these options must attest (PubkeyAuthOptions)."""
        asked = self.config.pubkey_auth_options
        return KeyTerms(
            touch_required=options.touch_required or "touch-required" in asked,
            verify_required=options.verify_required or "verify-required" in asked,
        )

    def refuses_again(self, key: PublicKey) -> str | None:
        """Return why a key does not count, or None: each counts once for a login.

        A certificate counts as its key.
        """
        used = any(key.plain == one.plain for one in self.keys)
        return "the key was used for this login already" if used else None

    def answer(self, requirement: Requirement, banner: str | None) -> UserRequirement:
        """Return what the engine needs to know of the user."""
        limits = self.config.limits() if self.changed else None
        return UserRequirement(requirement, banner, limits, self.signatures, self.ca_signatures)

    def evidence(self, methods: tuple[str, ...]) -> str:
        """Return a line for each method of the login (ExposeAuthInfo in sshd_config(5))."""
        keys = iter(self.keys)
        lines = []
        for method in methods:
            key = next(keys, None) if method == "publickey" else None
            lines.append(_SHOWN.get(method, method) if key is None else f"{method} {key}")
        return "".join(f"{line}\n" for line in lines)


class Candidates:
    """The users of all connections.

    :ivar rules: the configuration, with its Match blocks.
    """

    def __init__(self, rules: ServerRules, profile: Profile = "default") -> None:
        """Prepare.

        :param profile: the algorithms that lists with ``+``, ``-`` or ``^`` change.
        """
        self.rules = rules
        self._profile = profile
        self._known: WeakKeyDictionary[Client, Candidate] = WeakKeyDictionary()

    def begin(
        self,
        user: str,
        connection: Client,
        *,
        invalid: bool = False,
        groups: Callable[[], tuple[str, ...]] = tuple,
        account: Account | None = None,
    ) -> Candidate:
        """Look up the configuration for ``user``. Blocks if ``groups`` does.

        :param invalid: whether there is no such user.
        :param groups: returns the names of the user's groups, if the configuration asks for them.
        :param account: the system's account of this name, for :attr:`Candidate.account`.
        """
        who = Connecting(
            user=without_style(user),
            invalid_user=invalid,
            groups=groups,
            address=plain_address(connection.peer[0]),
            host=lambda: connection.host,
            rdomain=connection.domain if "rdomain" in self.rules.criteria else None,
            local_address=plain_address(connection.local[0]),
            local_port=connection.local[1],
        )
        config = self.rules.lookup(who)
        changed = config is not self.rules.base
        if self.rules.criteria:
            # The host keys are those of all connections.
            sign = connection.terms.sign_host
            connection.terms = ConnectionTerms.of(config, name_of, sign)
        accepted = config.accepted(self._profile) if self.rules.varies else (None, None)
        found = Candidate(user, config, changed, Admission(config), account, *accepted)
        self._known[connection] = found
        return found

    def find(self, user: str, connection: Client) -> Candidate | None:
        """Return the candidate if it is still this user."""
        found = self._known.get(connection)
        return found if found is not None and found.user == user else None

    def banner_of(self, candidate: Candidate) -> str | None:
        """Return the text of a banner that is not the server's, or None. Blocks.

        :raises ConfigurationError: its file can't be read.
        """
        path = candidate.config.banner
        if path == self.rules.base.banner:
            return None
        if path is None:
            return ""
        try:
            with path.open("rb") as file:
                return file.read(_BANNER_BYTES).decode(errors="replace")
        except OSError as error:
            raise ConfigurationError(f"Banner: can't read {path}: {error.strerror}") from error


def shown_key(user: str, key: PublicKey, connection: Client) -> ShownKey:
    """Return what a client shows: the key, for whom, from where, and now."""
    return ShownKey(
        key=key,
        user=user,
        address=connection.peer[0],
        host=connection.looked_up,
        now=time.time(),
    )


@lru_cache(256)
def plain_address(address: str) -> str:
    """Return an address, an IPv4 address that is written as an IPv6 one as IPv4."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address  # the path of a socket
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return address if mapped is None else str(mapped)
