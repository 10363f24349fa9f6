"""The policies of ``nacre serve``: what accounts may do, and the virtual users of the store."""

from __future__ import annotations

import asyncio
import hmac
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from nacre.aio.maybe import Maybe
from nacre.aio.versions import SSH1
from nacre.config.server.config import ServerConfig
from nacre.config.server.rules import ServerRules
from nacre.config.values import service
from nacre.crypto.password import hash_password, needs_rehash, verify_password, verify_unknown
from nacre.daemon.accounts.accounts import (
    DEFAULT_CONFIG,
    Login,
    RecentAccounts,
    account_name,
    virtual_login,
)
from nacre.daemon.accounts.admission import ANY
from nacre.daemon.accounts.authorized.authorities import trusts
from nacre.daemon.accounts.authorized.revoked import refuse_revoked
from nacre.daemon.accounts.candidate import Candidate, Candidates, shown_key
from nacre.daemon.accounts.chroot import refuses_root
from nacre.daemon.accounts.rights import Forwarding
from nacre.daemon.accounts.roots import refusal
from nacre.errors import AccountError, ConfigurationError, UnusableKey
from nacre.keys import PublicKey
from nacre.keys.certificate import Certificate
from nacre.keys.key_options import NO_OPTIONS, KeyOptions, parse_options
from nacre.keys.shown import ShownKey
from nacre.protocol.asks import KeyTerms, Requirement, UserRequirement
from nacre.protocol.options import Profile
from nacre.protocol.requests import Exec, PtyRequest, Request, Subsystem
from nacre.scp.command import parse_scp
from nacre.server.policy import Policy, with_modulus
from nacre.server.session import Session
from nacre.sftp.server.restrictions import INTERNAL
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.daemon.accounts.store import User, UserStore
    from nacre.protocol.tunnel import TunnelMode
    from nacre.server.peer import ServerConnection
    from nacre.tunnels.device import TunnelDevice
    from nacre.tunnels.unix import UnixSockets

_PUBLIC_KEY, _PASSWORD, _INTERACTIVE = "publickey", "password", "keyboard-interactive"

BOTH = "password-publickey"

DEFAULT_RULES = ServerRules(DEFAULT_CONFIG)

REQUIREMENTS: dict[str, Requirement] = {
    "any": ANY,
    "password": (frozenset({_PASSWORD}), frozenset({_INTERACTIVE})),
    "publickey": (frozenset({_PUBLIC_KEY}),),
    BOTH: (
        frozenset({_PUBLIC_KEY, _PASSWORD}),
        frozenset({_PUBLIC_KEY, _INTERACTIVE}),
    ),
}
"""The methods that each ``auth`` of a user requires; the password may be sent by either method."""

_HASHING = 4
"""Passwords hashed at the same time: each takes 19 MiB, and 20 ms of a core."""


class AccountPolicy(Policy):
    """A policy whose users' sessions run as accounts of this system."""

    def __init__(self, rules: ServerRules, profile: Profile = "default") -> None:
        self._candidates = Candidates(rules, profile)
        self._profile = profile
        self._granted: WeakKeyDictionary[Session, Login] = WeakKeyDictionary()

    @property
    def rules(self) -> ServerRules:
        """The configuration, with its Match blocks."""
        return self._candidates.rules

    async def login(self, user: str, connection: ServerConnection) -> Login:
        """Return what a logged-in user's sessions run as.

        :raises AccountError: the user or the account no longer exists, or may not be used.
        """
        raise NotImplementedError

    def candidate(self, user: str, connection: ServerConnection) -> Candidate:
        """Return what is known of the user of a connection. May block the first time."""
        return self._candidates.find(user, connection) or self._begin(user, connection)

    def _begin(self, user: str, connection: ServerConnection) -> Candidate:
        """Look up the configuration for a user name that is new on the connection."""
        return self._candidates.begin(user, connection)

    def _banner(self, candidate: Candidate, connection: ServerConnection) -> str | None:
        try:
            return self._candidates.banner_of(candidate)
        except ConfigurationError as error:
            connection.record("error", what="a user gets no banner", error=str(error))
            return ""

    def authenticated(
        self, user: str, methods: tuple[str, ...], connection: ServerConnection
    ) -> None:
        """Let the user's configuration hold for the connection."""
        candidate = self._candidates.find(user, connection)
        if candidate is None:
            return
        candidate.settle(methods)
        if candidate.changed:
            config = candidate.config
            connection.accept_env = config.accept_env
            connection.set_keepalive(config.keepalive, config.client_alive_count_max)

    async def _may_forward(self, connection: ServerConnection) -> Forwarding:
        candidate = self.candidate(connection.user, connection)
        if candidate.forwarding is None:
            try:
                login = await self.login(connection.user, connection)
            except AccountError as error:
                connection.record("refused", request="forwarding", reason=str(error))
                login = None
            candidate.forwarding = Forwarding(login, candidate.config)
        return candidate.forwarding

    async def direct_connection(self, host: str, port: int, connection: ServerConnection) -> bool:
        """Grant what the configuration and the user's key allow."""
        return (await self._may_forward(connection)).may_connect(host, port)

    async def remote_listen(self, host: str, port: int, connection: ServerConnection) -> str | None:
        """Grant what the configuration and the user's key allow."""
        return (await self._may_forward(connection)).where_to_listen(host, port)

    async def direct_unix_connection(
        self, path: str, connection: ServerConnection
    ) -> bool | UnixSockets:
        """Grant what the configuration and the user's key allow, with the account's rights."""
        rights = await self._may_forward(connection)
        return rights.unix if rights.may_connect_to(path) else False

    async def remote_unix_listen(
        self, path: str, connection: ServerConnection
    ) -> bool | UnixSockets:
        """Grant what the configuration and the user's key allow, with the account's rights."""
        rights = await self._may_forward(connection)
        return rights.unix if rights.may_listen_at() else False

    async def agent_forwarding(self, session: Session) -> bool:
        """Grant what the configuration and the user's key allow."""
        return (await self._may_forward(session.connection)).agent

    async def tunnel_device(
        self, mode: TunnelMode, unit: int | None, connection: ServerConnection
    ) -> TunnelDevice | None:
        """Open what the configuration, the user's key and the account's rights allow."""
        try:
            return await (await self._may_forward(connection)).open_device(mode, unit)
        except (AccountError, OSError) as error:
            connection.record("refused", request="tunnel", reason=safe(str(error)))
        return None

    async def x11_forwarding(self, session: Session) -> bool:
        """Grant what the configuration and the user's key allow, where there is a xauth."""
        if not (await self._may_forward(session.connection)).x11:
            return False
        program = self.candidate(session.user, session.connection).config.xauth_location
        if program is not None and os.access(program, os.X_OK):
            return True
        reason = f"there is no program {program}: XAuthLocation names xauth"
        session.connection.record("refused", request="x11", reason=reason)
        return False

    async def session_request(self, session: Session, request: Request) -> bool:
        """Grant what the user's services allow; the reason of a refusal is logged."""
        try:
            login = await self.login(session.user, session.connection)
        except AccountError as error:
            reason: str | None = str(error)
        else:
            self._granted[session] = login
            reason = _refusal(login, request)
            if reason is None and login.root is not None:
                reason = await asyncio.to_thread(refuses_root, login.root)
        if reason is not None:
            session.connection.record("refused", request=request.NAME, reason=reason)
        return reason is None

    def granted(self, session: Session) -> Login:
        """Return the login with which the session's latest request was decided."""
        return self._granted[session]


def _refusal(login: Login, request: Request) -> str | None:
    if isinstance(request, PtyRequest):
        if not login.config.permit_tty:
            return "PermitTTY is no"
        if not login.key.pty:
            return f"{login.name} may have no terminal with this key"
    if isinstance(request, Subsystem):
        return _subsystem_refusal(login, request.name)
    if login.service != "sftp":
        return None
    if login.forced is None:
        allowed = isinstance(request, Exec) and parse_scp(request.command) is not None
    else:
        allowed = _is_internal(login.forced)
    return None if allowed else f"{login.name} may use sftp and scp only"


def _subsystem_refusal(login: Login, name: str) -> str | None:
    command = login.subsystem(name)
    if login.service == "shell":
        return f"{login.name} may use a shell only, and no subsystem"
    if command is None:
        return f"there is no subsystem {safe(name, 64)}"
    command = command if login.forced is None else login.forced
    if _is_internal(command):
        return None if login.files is not None else f"{login.name} may use no files"
    confined = login.service == "sftp" or (login.files is not None and login.files.root is not None)
    if confined:
        return f"{login.name} is confined to files, and the subsystem would run a program"
    return None


def _is_internal(command: str) -> bool:
    return command.split()[:1] == [INTERNAL]


class StorePolicy(AccountPolicy):
    """The policy of virtual users. Unknown and disabled ones look like others, and cost as much."""

    def __init__(
        self,
        store: UserStore,
        run_as: str | None = None,
        *,
        ssh1_strict: bool = False,
        workers: int = 1,
        rules: ServerRules = DEFAULT_RULES,
        profile: Profile = "default",
    ) -> None:
        """Prepare; the users are those of ``store``.

        :param run_as: the account of users without one of their own, under root.
        :param ssh1_strict: refuse SSH-1 for users who need both a password and a key.
        :param profile: the algorithms that lists with ``+``, ``-`` or ``^`` change.
        :param workers: how many processes like this one share the bound on hashing.
        """
        super().__init__(rules, profile)
        self._ssh1_strict = ssh1_strict
        self._store = store
        self._run_as = run_as
        self._accounts = RecentAccounts()
        self._secret = store.secret
        self._hashing = ThreadPoolExecutor(max(1, _HASHING // workers), "password")

    def close(self) -> None:
        """End the threads."""
        self._hashing.shutdown(cancel_futures=True)

    def requirement(self, user: str, connection: ServerConnection) -> Maybe[UserRequirement]:
        """Return what the user's ``auth`` requires; where that is both methods, SSH-1 needs one."""
        candidate = self._begin(user, connection)
        policy = self._policy(user)
        if policy == BOTH and connection.protocol == SSH1:
            policy = "any"
        requirement = candidate.admission.requirement(REQUIREMENTS[policy])
        if candidate.config.banner == self.rules.base.banner:
            return candidate.answer(requirement, None)
        return self._with_banner(candidate, requirement, connection)

    async def _with_banner(
        self, candidate: Candidate, requirement: Requirement, connection: ServerConnection
    ) -> UserRequirement:
        banner = await asyncio.to_thread(self._banner, candidate, connection)
        return candidate.answer(requirement, banner)

    def _begin(self, user: str, connection: ServerConnection) -> Candidate:
        return self._candidates.begin(user, connection, invalid=self._find(user) is None)

    def _refuses(self, user: User | None, name: str, connection: ServerConnection) -> str | None:
        """Return why the user may not log in, whatever the client shows, or None.

        The reason is for the log; to the client it is a wrong secret.
        """
        if user is None:
            return "unknown user"
        if user.disabled:
            return "the user is disabled"
        if self._ssh1_strict and connection.protocol == SSH1 and user.auth == BOTH:
            return "the user's policy needs SSH-2"
        address = str(connection.peer[0])
        admission = self.candidate(name, connection).admission
        closed = admission.closed(REQUIREMENTS[user.auth])
        return closed or admission.refuses_name(name, address, connection.looked_up)

    def _policy(self, name: str) -> str:
        user = self._store.find(name)
        policies = self._store.policies()
        if user is not None and not user.disabled:
            return user.auth
        # An unknown user gets what some users have, the same each time, so that a probe learns
        # nothing.
        digest = hmac.digest(self._secret, name.encode("utf-8", "surrogateescape"), "sha256")
        return policies[digest[0] % len(policies)] if policies else "any"

    def _find(self, name: str) -> User | None:
        user = self._store.find(name)
        return None if user is None or user.disabled else user

    async def password(self, user: str, password: str, connection: ServerConnection) -> bool:
        """Verify the password in a worker thread, taking equally long for unknown users."""
        found = self._store.find(user)
        reason = self._refuses(found, user, connection)
        if reason is None and found is not None and found.password is None:
            reason = "the user has no password"
        stored = found if reason is None else None
        loop = asyncio.get_running_loop()
        right = await loop.run_in_executor(self._hashing, self._verify, stored, password)
        if not right:
            reason = reason or "wrong password"
            connection.record("refused", method=_PASSWORD, name=safe(user), reason=reason)
        return right

    def _verify(self, user: User | None, password: str) -> bool:
        given = password.encode("utf-8", "surrogateescape")
        if user is None or user.password is None:
            return verify_unknown(given)
        if not verify_password(user.password, given):
            return False
        if needs_rehash(user.password):
            self._store.replace_hash(user.name, user.password, hash_password(given, os.urandom))
        return True

    def public_key(
        self, user: str, key: PublicKey, algorithm: str, signed: bool, connection: ServerConnection
    ) -> Maybe[bool | KeyTerms]:
        """Tell whether the key is one of the user's, or its certificate of a trusted authority."""
        candidate = self.candidate(user, connection)
        candidate.settle(connection.methods)
        find = partial(self._find_key, shown_key(user, key, connection), candidate, connection)

        def conclude(options: KeyOptions | None, reason: str | None) -> bool | KeyTerms:
            if reason is not None:
                connection.record("refused", method=_PUBLIC_KEY, name=safe(user), reason=reason)
            if options is None:
                return False
            if signed:
                candidate.take(key, options)
            return candidate.terms(options)

        async def conclude_later() -> bool | KeyTerms:
            return conclude(*await asyncio.to_thread(find))

        return conclude_later() if _reads_files(candidate.config, key) else conclude(*find())

    def _find_key(
        self, shown: ShownKey, candidate: Candidate, connection: ServerConnection
    ) -> tuple[KeyOptions | None, str | None]:
        """Return what the key permits, or None, and what the log is told of a refusal.

        Blocks if files are read.
        """
        config, key = candidate.config, shown.key
        stored = self._store.key_options(shown.user, shown.listed)
        user = self._store.find(shown.user)
        reason = self._refuses(user, shown.user, connection) or candidate.refuses_again(key)
        if reason is not None:
            return None, reason
        reasons = []
        try:
            if config.revoked_keys is not None:
                refuse_revoked(key, config.revoked_keys)
        except AccountError as error:
            return None, str(error)
        # As in sshd, an authority may be trusted for what the user's own key of it refuses.
        for look in (partial(_by_stored, stored), _by_authority):
            try:
                found = look(shown, config)
                if found is not None:
                    return candidate.joined(found), None
            except (AccountError, UnusableKey) as error:
                reasons.append(str(error))
        return None, "; ".join(reasons) or None

    async def rsa_key(
        self, user: str, modulus: int, connection: ServerConnection
    ) -> PublicKey | None:
        """Return the one of the user's keys that has ``modulus``."""
        return await asyncio.to_thread(self._find_rsa_key, user, modulus)

    def _find_rsa_key(self, name: str, modulus: int) -> PublicKey | None:
        if self._find(name) is None:
            return None
        return with_modulus((one.key for one in self._store.keys(name)), modulus)

    async def login(self, user: str, connection: ServerConnection) -> Login:
        """Return what the user's sessions run as now; the user may have been removed."""
        found = self._find(user)
        if found is None:
            raise AccountError(f"{safe(user, 64)} was removed or disabled")
        account = await self._accounts.find(account_name(found, self._run_as))
        if found.service == "sftp":
            reason = await asyncio.to_thread(refusal, found, account, self._store.directory)
            if reason is not None:
                raise AccountError(reason)
        candidate = self.candidate(user, connection)
        if candidate.config.chroot_directory is not None:
            raise AccountError(
                "ChrootDirectory is for accounts of this system; this user has a root of the store"
            )
        evidence = candidate.evidence(connection.methods)
        return virtual_login(found, account, candidate.options, candidate.config, evidence)


def _by_stored(stored: str | None, shown: ShownKey, config: ServerConfig) -> KeyOptions | None:
    """Return what a key of the store permits.

    :param stored: its options; None if the user has no such key.
    :raises UnusableKey: a condition does not hold.
    """
    options = NO_OPTIONS if not stored else parse_options(stored, service)
    fits = stored is not None and shown.fits(shown.listed, options)
    return shown.by_line(options) if fits else None


def _by_authority(shown: ShownKey, config: ServerConfig) -> KeyOptions | None:
    """Return what a certificate of a trusted authority permits. Blocks.

    :raises AccountError, UnusableKey: the authorities can't be read, or a condition does not hold.
    """
    authorities = config.trusted_user_ca_keys if isinstance(shown.key, Certificate) else None
    if authorities is None or not trusts(authorities, shown.listed):
        return None
    return shown.by_authority()


def _reads_files(config: ServerConfig, key: PublicKey) -> bool:
    """Tell whether files are read to judge a key."""
    authorities = config.trusted_user_ca_keys is not None and key.plain is not key
    return config.revoked_keys is not None or authorities
