"""The policies of ``nacre serve``: what accounts may do, and the virtual users of the store."""

from __future__ import annotations

import asyncio
import hmac
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from nacre.aio.versions import SSH1
from nacre.config.server.config import ServerConfig
from nacre.crypto.password import hash_password, needs_rehash, verify_password, verify_unknown
from nacre.daemon.accounts.accounts import Login, RecentAccounts, account_name, virtual_login
from nacre.daemon.accounts.admission import Admission
from nacre.daemon.accounts.rights import Forwarding
from nacre.daemon.accounts.roots import refusal
from nacre.daemon.accounts.store import User, UserStore
from nacre.errors import AccountError
from nacre.keys import PublicKey
from nacre.protocol.asks import Requirement, UserRequirement
from nacre.protocol.requests import Exec, PtyRequest, Request, Subsystem
from nacre.scp.command import parse_scp
from nacre.server.policy import Policy, with_modulus
from nacre.server.session import Session
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.server.peer import ServerConnection

_PUBLIC_KEY, _PASSWORD, _INTERACTIVE = "publickey", "password", "keyboard-interactive"

BOTH = "password-publickey"

DEFAULT_CONFIG = ServerConfig()

REQUIREMENTS: dict[str, Requirement] = {
    "any": (frozenset({_PUBLIC_KEY}), frozenset({_PASSWORD}), frozenset({_INTERACTIVE})),
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

    def __init__(self, config: ServerConfig) -> None:
        self._config = config
        self._admission = Admission(config)
        self._granted: WeakKeyDictionary[Session, Login] = WeakKeyDictionary()
        # As in sshd, the rights to forward are determined once per login.
        self._forwarding: WeakKeyDictionary[ServerConnection, Forwarding] = WeakKeyDictionary()

    async def login(self, user: str, connection: ServerConnection) -> Login:
        """Return what a logged-in user's sessions run as.

        :raises AccountError: the user or the account no longer exists, or may not be used.
        """
        raise NotImplementedError

    async def _may_forward(self, connection: ServerConnection) -> Forwarding:
        found = self._forwarding.get(connection)
        if found is None:
            try:
                login = await self.login(connection.user, connection)
            except AccountError as error:
                connection.record("refused", request="forwarding", reason=str(error))
                login = None
            found = self._forwarding[connection] = Forwarding(login, self._config)
        return found

    async def direct_connection(self, host: str, port: int, connection: ServerConnection) -> bool:
        """Grant what the configuration and the user's key allow."""
        return (await self._may_forward(connection)).may_connect(host, port)

    async def remote_listen(self, host: str, port: int, connection: ServerConnection) -> str | None:
        """Grant what the configuration and the user's key allow."""
        return (await self._may_forward(connection)).where_to_listen(host, port)

    async def agent_forwarding(self, session: Session) -> bool:
        """Grant what the configuration and the user's key allow."""
        return (await self._may_forward(session.connection)).agent

    async def session_request(self, session: Session, request: Request) -> bool:
        """Grant what the user's services allow; the reason of a refusal is logged."""
        try:
            login = await self.login(session.user, session.connection)
        except AccountError as error:
            refusal: str | None = str(error)
        else:
            self._granted[session] = login
            refusal = _refusal(login, request)
        if refusal is not None:
            session.connection.record("refused", request=request.NAME, reason=refusal)
        return refusal is None

    def granted(self, session: Session) -> Login:
        """Return the login with which the session's latest request was decided."""
        return self._granted[session]


def _refusal(login: Login, request: Request) -> str | None:
    if isinstance(request, Subsystem):
        if login.service == "shell":
            return f"{login.name} may use a shell only, and no subsystem"
        if request.name == "sftp":
            return None if login.files is not None else f"{login.name} may use no files"
        return f"there is no subsystem {safe(request.name, 64)}"
    if login.service == "sftp":
        if isinstance(request, Exec) and parse_scp(request.command) is not None:
            return None
        return f"{login.name} may use sftp and scp only"
    if isinstance(request, PtyRequest) and not login.key.pty:
        return f"{login.name} may have no terminal with this key"
    return None


class StorePolicy(AccountPolicy):
    """The policy of virtual users. Unknown and disabled ones look like others, and cost as much."""

    def __init__(
        self,
        store: UserStore,
        run_as: str | None = None,
        *,
        ssh1_strict: bool = False,
        workers: int = 1,
        config: ServerConfig = DEFAULT_CONFIG,
    ) -> None:
        """Prepare; the users are those of ``store``.

        :param run_as: the account of users without one of their own, under root.
        :param ssh1_strict: refuse SSH-1 for users who need both a password and a key.
        :param workers: how many processes like this one share the bound on hashing.
        """
        super().__init__(config)
        self._ssh1_strict = ssh1_strict
        self._store = store
        self._run_as = run_as
        self._accounts = RecentAccounts()
        self._secret = store.secret
        self._hashing = ThreadPoolExecutor(max(1, _HASHING // workers), "password")

    def close(self) -> None:
        """End the threads."""
        self._hashing.shutdown(cancel_futures=True)

    def requirement(self, user: str, connection: ServerConnection) -> UserRequirement:
        """Return what the user's ``auth`` requires; where that is both methods, SSH-1 needs one."""
        policy = self._policy(user)
        if policy == BOTH and connection.protocol == SSH1:
            policy = "any"
        return UserRequirement(self._admission.requirement(REQUIREMENTS[policy]))

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
        closed = self._admission.closed(REQUIREMENTS[user.auth])
        return closed or self._admission.refuses_name(name, address)

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
    ) -> bool:
        """Tell whether the key is one of the user's."""
        known = self._store.has_key(user, key)
        reason = self._refuses(self._store.find(user), user, connection)
        if reason is not None:
            connection.record("refused", method=_PUBLIC_KEY, name=safe(user), reason=reason)
        return known and reason is None

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
        return virtual_login(found, account)
