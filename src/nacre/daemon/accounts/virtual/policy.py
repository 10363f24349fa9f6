"""The policy of virtual users: those of the store, or of a directory elsewhere."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable
from functools import partial
from io import FileIO
from typing import TYPE_CHECKING

from nacre.aio.maybe import Maybe, settled
from nacre.aio.versions import SSH1
from nacre.config.server.config import ServerConfig
from nacre.config.server.rules import ServerRules
from nacre.config.values import service
from nacre.daemon.accounts.accounts import (
    Login,
    RecentAccounts,
    account_name,
    virtual_login,
)
from nacre.daemon.accounts.authorized.authorities import trusts
from nacre.daemon.accounts.authorized.own import OwnAuthority
from nacre.daemon.accounts.authorized.revoked import refuse_revoked
from nacre.daemon.accounts.candidate import Candidate, shown_key
from nacre.daemon.accounts.policy import DEFAULT_RULES, AccountPolicy
from nacre.daemon.accounts.virtual.connection_counts import ConnectionCounts
from nacre.daemon.accounts.virtual.dialogues import EXPIRED, Dialogues
from nacre.daemon.accounts.virtual.file_key import read_file_key
from nacre.daemon.accounts.virtual.requirements import (
    BOTH,
    VOUCHED,
    needs_code,
    own_requirement,
)
from nacre.daemon.accounts.virtual.roots import refusal
from nacre.daemon.accounts.virtual.shared_users import users_of
from nacre.daemon.accounts.virtual.users import UNKNOWN_USER, VirtualUsers
from nacre.daemon.authority.issuing import certify_login
from nacre.daemon.store.shared import shared_directory, written_trees
from nacre.daemon.store.values import LedgerKey, usage_directory
from nacre.errors import (
    AccountError,
    ConnectionLost,
    DisconnectCode,
    NacreError,
    StateError,
)
from nacre.keys import PublicKey
from nacre.keys.certificate import Certificate
from nacre.keys.key_options import NO_OPTIONS, KeyOptions, parse_options
from nacre.keys.shown import ShownKey
from nacre.protocol.asks import Challenge, KeyTerms, PasswordExpired, UserRequirement
from nacre.protocol.options import Profile
from nacre.protocol.requirement import Requirement
from nacre.server.policy import with_modulus
from nacre.sftp.filesystems.quota.ledger import open_ledger
from nacre.sftp.filesystems.quota.limits import limits_of
from nacre.sftp.filesystems.quota.shared import open_shared
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.daemon.nodes.lease import NodeLease
    from nacre.daemon.store.store import UserStore
    from nacre.daemon.store.values import User
    from nacre.server.peer import Client

_PUBLIC_KEY, _PASSWORD, _INTERACTIVE = "publickey", "password", "keyboard-interactive"

_NOT_NOW = "the server can't serve this user now"


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
        counts: ConnectionCounts | None = None,
        trust_own_ca: bool = False,
        users: VirtualUsers | None = None,
    ) -> None:
        """Prepare; ``store`` has second factors, certificates and, by default, the users.

        :param run_as: the account of users without one of their own, under root.
        :param ssh1_strict: refuse SSH-1 for users who need both a password and a key.
        :param profile: the algorithms that lists with ``+``, ``-`` or ``^`` change.
        :param workers: how many processes like this one share the bound on hashing.
        :param counts: counts the connections of users, for all policies of the server.
        :param trust_own_ca: let in who has a certificate of the state directory's own authority.
        :param users: those who are not in the store.
        """
        super().__init__(rules, profile)
        self._ssh1_strict = ssh1_strict
        self._store = store
        self._run_as = run_as
        self._counts = counts or ConnectionCounts()
        self._accounts = RecentAccounts(self.threads)
        self._authority = OwnAuthority(store.directory, trusted=trust_own_ca)
        self._secret = store.secret
        self._stored = users_of(store, workers)
        self._users = users or self._stored
        self._dialogues = Dialogues(store, self, self.threads)

    def close(self) -> None:
        """End the threads."""
        super().close()
        self._stored.close()
        self._users.close()

    def requirement(self, user: str, connection: Client) -> Maybe[UserRequirement]:
        """Return what the user's ``auth`` requires; where that is both methods, SSH-1 needs one."""
        looking = self._users.look_up(user, connection)
        if looking is None:
            return self._requirement(user, connection)
        return self._requirement_later(looking, user, connection)

    async def _requirement_later(
        self, looking: Awaitable[None], user: str, connection: Client
    ) -> UserRequirement:
        await looking
        return await settled(self._requirement(user, connection))

    async def _look_up(self, user: str, connection: Client, *, again: bool = False) -> None:
        """Look a user up, which a gate that was taken over may not have had done."""
        looking = self._users.look_up(user, connection, again=again)
        if looking is not None:
            await looking

    def _requirement(self, user: str, connection: Client) -> Maybe[UserRequirement]:
        found = self._find(user, connection)
        candidate = self._begin_with(found, user, connection)
        self._dialogues.forget(connection)
        policy = self._policy(user, found)
        if policy == BOTH and connection.protocol == SSH1:
            policy = "any"
        requirement = candidate.admission.requirement(own_requirement(policy, candidate))
        if candidate.config.banner == self.rules.base.banner:
            return candidate.answer(requirement, None)
        return self._with_banner(candidate, requirement, connection)

    async def _with_banner(
        self, candidate: Candidate, requirement: Requirement, connection: Client
    ) -> UserRequirement:
        banner = await self.threads.run_for_login(
            candidate.user, connection, partial(self._banner, candidate, connection)
        )
        return candidate.answer(requirement, banner)

    def _begin(self, user: str, connection: Client) -> Candidate:
        return self._begin_with(self._find(user, connection), user, connection)

    def _begin_with(self, found: User | None, user: str, connection: Client) -> Candidate:
        candidate = self._candidates.begin(user, connection, invalid=found is None)
        enrolled = self._users.enrolled(user, connection)  # looked up for all, which takes as long
        if found is not None and connection.protocol != SSH1:
            candidate.needs_code = needs_code(found, enrolled)
        return candidate

    def _refuses(self, user: User | None, name: str, connection: Client) -> str | None:
        """Return why the user may not log in, whatever the client shows, or None.

        The reason is for the log; to the client it is a wrong secret.
        """
        if user is None:
            return self._users.absence(name, connection)
        candidate = self.candidate(name, connection)
        address = _address(candidate, connection)
        if (reason := user.refusal(address=address, host=connection.looked_up)) is not None:
            return reason
        if self._ssh1_strict and connection.protocol == SSH1 and user.auth == BOTH:
            return "the user's policy needs SSH-2"
        if connection.protocol == SSH1 and needs_code(user, self.enrolled(name, connection)):
            return "the user's second factor needs SSH-2"
        admission = candidate.admission
        closed = admission.closed(own_requirement(user.auth, candidate))
        return closed or admission.refuses_name(name, address, connection.looked_up)

    def _policy(self, name: str, user: User | None) -> str:
        # An unknown user gets what some users have, the same each time, so that a probe learns
        # nothing. It is drawn for known users too, which takes as long.
        digest = hmac.digest(self._secret, name.encode("utf-8", "surrogateescape"), "sha256")
        policies = self._users.policies()
        drawn = policies[digest[0] % len(policies)] if policies else "any"
        return drawn if user is None else user.auth

    def _find(self, name: str, connection: Client) -> User | None:
        user = self._users.find(name, connection)
        return None if user is None or user.disabled else user

    async def password(
        self, user: str, password: str, connection: Client
    ) -> bool | PasswordExpired:
        """Verify the password in a worker thread, taking equally long for unknown users."""
        found = await self.verified(user, password, connection)
        if found is None:
            return False
        if found.password_expired() and not self._changes_later(user, connection):
            return PasswordExpired(EXPIRED)
        return True

    async def change_password(
        self, user: str, old: str, new: str, connection: Client
    ) -> bool | PasswordExpired:
        """Change a password that has expired."""
        found = await self.verified(user, old, connection)
        if found is None:
            return False
        if not found.password_expired() or self._changes_later(user, connection):
            reason = "the password may not be changed now"
            connection.record("refused", method=_PASSWORD, name=safe(user), reason=reason)
            return False
        unfit = await self.set_password(found, new, connection)
        return True if unfit is None else PasswordExpired(f"{EXPIRED} This one can't be: {unfit}")

    def _changes_later(self, user: str, connection: Client) -> bool:
        """Tell whether the second factor comes first: the password alone must not change itself."""
        needs_code = self.candidate(user, connection).needs_code
        return needs_code and _INTERACTIVE not in connection.methods

    async def keyboard_interactive(
        self,
        user: str,
        submethods: str,
        responses: tuple[str, ...] | None,
        connection: Client,
    ) -> bool | Challenge:
        """Ask for the password, the code of the second factor, and a new password."""
        await self._look_up(user, connection)
        candidate = self.candidate(user, connection)
        own = self._users.converse(candidate, responses, connection)
        if own is not None:
            outcome = await own
            if outcome is True:  # who the user is, is known only now
                return self.admitted(user, connection) is not None
            return outcome
        found = self._find(user, connection)
        auth = "password" if found is None else found.auth
        return await self._dialogues.step(candidate, auth, responses, connection)

    async def verified(self, user: str, password: str, connection: Client) -> User | None:
        """Return the user if this is the password, and the user may log in. Log a refusal."""
        await self._look_up(user, connection)
        candidate = self.candidate(user, connection)
        found = self._users.find(user, connection)
        reason = self._refuses(found, user, connection)
        asked = found if reason is None else None
        verdict = await self._users.verify(asked, user, password, connection)
        reason = reason or verdict.refusal
        if reason is None:
            candidate.password = verdict.hashed
            return found
        connection.record("refused", method=_PASSWORD, name=safe(user), reason=reason)
        return None

    async def vouched(self, user: str, password: str, connection: Client) -> bool:
        """Tell whether the API has given the user this one-time password. Log a refusal."""
        candidate = self.candidate(user, connection)
        address = None
        if self._users is self._stored:  # others have no sessions at the API
            redeem = partial(self._store.passwords.redeem, user, password)
            address = await self.threads.run_for_login(user, connection, redeem)
        if address is None:
            reason = "an unknown, used or expired one-time password"
            connection.record("refused", method=_INTERACTIVE, name=safe(user), reason=reason)
            return False
        connection.record("vouched", name=safe(user), address=safe(address, 64))
        candidate.address = address
        return True

    def enrolled(self, user: str, connection: Client) -> bool:
        """Tell whether the user has a second factor."""
        return self._users.enrolled(user, connection)

    def admitted(self, user: str, connection: Client) -> User | None:
        """Return the user, who may log in, or None. Log a refusal."""
        found = self._users.find(user, connection)
        reason = self._refuses(found, user, connection)
        if reason is None:
            return found
        connection.record("refused", method=_INTERACTIVE, name=safe(user), reason=reason)
        return None

    async def set_password(self, user: User, new: str, connection: Client) -> str | None:
        """Set a new password, or return for the user why not."""
        loop = asyncio.get_running_loop()
        shown = self.candidate(user.name, connection).password
        given = new.encode("utf-8", "surrogateescape")
        change = partial(self._store.passwords.change_own, user, shown, given)
        reason = await loop.run_in_executor(self._stored.hashing, change)
        if reason is None:
            connection.record("changed", name=safe(user.name), what="password")
            await self._look_up(user.name, connection)  # what follows asks for the new one
        else:
            connection.record("refused", method=_PASSWORD, name=safe(user.name), reason=reason)
        return reason

    def public_key(
        self, user: str, key: PublicKey, algorithm: str, signed: bool, connection: Client
    ) -> Maybe[bool | KeyTerms]:
        """Tell whether the key is one of the user's, or its certificate of a trusted authority."""
        looking = self._users.look_up(user, connection, key=key)
        if looking is None:
            return self._public_key(user, key, signed, connection)
        return self._public_key_later(looking, user, key, signed, connection)

    async def _public_key_later(
        self,
        looking: Awaitable[None],
        user: str,
        key: PublicKey,
        signed: bool,
        connection: Client,
    ) -> bool | KeyTerms:
        await looking
        return await settled(self._public_key(user, key, signed, connection))

    def _public_key(
        self, user: str, key: PublicKey, signed: bool, connection: Client
    ) -> Maybe[bool | KeyTerms]:
        candidate = self.candidate(user, connection)
        candidate.settle(connection.methods)
        shown = shown_key(user, key, connection)
        stored = self._users.key_options(shown, connection)
        find = partial(self._find_key, shown, stored, candidate, connection)

        def conclude(options: KeyOptions | None, reason: str | None) -> bool | KeyTerms:
            if reason is not None:
                connection.record("refused", method=_PUBLIC_KEY, name=safe(user), reason=reason)
            if options is None:
                return False
            if signed:
                candidate.take(key, options)
            return candidate.terms(options)

        async def conclude_later() -> bool | KeyTerms:
            return conclude(*await self.threads.run_for_login(user, connection, find))

        # Options may name services, which the system looks up.
        blocks = stored or key.plain is not key or candidate.config.revoked_keys is not None
        return conclude_later() if blocks else conclude(*find())

    def _find_key(
        self,
        shown: ShownKey,
        stored: str | None,
        candidate: Candidate,
        connection: Client,
    ) -> tuple[KeyOptions | None, str | None]:
        """Return what the key permits, or None, and what the log is told of a refusal.

        Blocks if files are read, or options.

        :param stored: the options of the user's key, or None.
        """
        config, key = candidate.config, shown.key
        user = self._users.find(shown.user, connection)
        reason = self._refuses(user, shown.user, connection) or candidate.refuses_again(key)
        if reason is not None:
            return None, reason
        reasons = []
        try:
            if config.revoked_keys is not None:
                refuse_revoked(key, config.revoked_keys)
            self._authority.refuse_revoked(key)
        except NacreError as error:
            return None, str(error)
        # As in sshd, an authority may be trusted for what the user's own key of it refuses.
        looks = (partial(_by_stored, stored), _by_authority, self._by_own_authority)
        # Those do not say which groups a user is in of whom nothing else is known.
        vouched = user is not None and user.auth in VOUCHED
        for look in looks[: 1 if vouched else None]:
            try:
                found = look(shown, config)
                if found is not None:
                    return candidate.joined(found), None
            except NacreError as error:
                reasons.append(str(error))
        return None, "; ".join(dict.fromkeys(reasons)) or None

    def _by_own_authority(self, shown: ShownKey, config: ServerConfig) -> KeyOptions | None:
        """Return what a certificate of this server's own authority permits. Blocks.

        :raises UnusableKey: a condition does not hold.
        """
        return shown.by_authority() if self._authority.trusts(shown.key) else None

    async def rsa_key(self, user: str, modulus: int, connection: Client) -> PublicKey | None:
        """Return the one of the user's keys that has ``modulus``."""
        await self._look_up(user, connection)
        find = partial(self._find_rsa_key, user, modulus, connection)
        return await self.threads.run_for_login(user, connection, find)

    def _find_rsa_key(self, name: str, modulus: int, connection: Client) -> PublicKey | None:
        if self._find(name, connection) is None:
            return None
        return with_modulus(self._users.keys(name, connection), modulus)

    def authenticated(self, user: str, methods: tuple[str, ...], connection: Client) -> Maybe[None]:
        """Count the connection, or end it if the user has as many as may be."""
        found = self._find(user, connection)
        most = None if found is None else found.max_sessions or None
        if self.lease is not None:
            if most is not None:
                return self._enter(self.lease, user, methods, most, connection)
            return super().authenticated(user, methods, connection)
        place = self._counts.enter(user, most)
        if place is None:
            _refuse_more(most, connection)
            return None
        # A task of the connection is cancelled at its end, whatever that is.
        counted = connection.spawn(_until_cancelled())
        counted.add_done_callback(lambda _: self._counts.leave(user, place))
        return super().authenticated(user, methods, connection)

    async def _enter(
        self,
        lease: NodeLease,
        user: str,
        methods: tuple[str, ...],
        most: int,
        connection: Client,
    ) -> None:
        """Count the connection over all nodes, or end it."""
        try:
            if await lease.enter(connection, user, methods, most):
                await settled(super().authenticated(user, methods, connection))
            else:
                _refuse_more(most, connection)
        except StateError as error:
            connection.record("refused", request="connection", reason=str(error))
            connection.fail(error, DisconnectCode.BY_APPLICATION, _NOT_NOW)

    async def login(self, user: str, connection: Client) -> Login:
        """Return what the user's sessions run as now; the user may have been removed."""
        await self._look_up(user, connection, again=True)
        found = self._find(user, connection)
        if found is None:
            raise AccountError(self._gone(user, connection))
        candidate = self.candidate(user, connection)
        address = _address(candidate, connection)
        if (reason := found.refusal(address=address, host=connection.looked_up)) is not None:
            raise AccountError(reason)
        account = await self._accounts.find(account_name(found, self._run_as))
        limited = bool(limits_of(found))
        if found.service == "sftp" or found.rights or found.folders or found.root or limited:
            check = partial(refusal, found, account, self._store.directory)
            reason = await self.threads.run(user, check)
            if reason is not None:
                raise AccountError(reason)
        if candidate.config.chroot_directory is not None:
            raise AccountError(
                "ChrootDirectory is for accounts of this system; this user has a root of the store"
            )
        key = None
        if found.file_key is not None:
            key = await self.threads.run(user, partial(read_file_key, found.file_key))
        evidence = candidate.evidence(connection.methods)
        return virtual_login(found, account, candidate.options, candidate.config, evidence, key)

    async def ledger(self, user: str, connection: Client, group: str | None) -> FileIO:
        """Return the ledger of a user or of a group, opened anew for one session."""
        ledgers = None if self.lease is None else self.lease.ledgers
        work = partial(open_ledger, usage_directory(self._store.directory), user)
        if ledgers is not None:
            work = partial(ledgers.open, LedgerKey("user", user))
        if group is not None:
            found = self._find(user, connection)
            if found is None or all(one.group != group for one in found.shared):
                raise AccountError(f"{safe(user, 64)} shares no limits of a group of this name")
            account = await self._accounts.find(account_name(found, self._run_as))
            trees = written_trees(found, account.home) or ()
            work = partial(open_shared, shared_directory(self._store.directory), group, trees)
            if ledgers is not None:
                work = partial(ledgers.open, LedgerKey("group", group), trees)
        return await self.threads.run(user, work, FileIO.close)

    def _gone(self, name: str, connection: Client) -> str:
        """Return why a user who has logged in is none any more."""
        absence = self._users.absence(name, connection)
        if absence == UNKNOWN_USER or self._users.find(name, connection) is not None:
            return f"{safe(name, 64)} was removed or disabled"
        return absence

    async def certify(self, user: str, connection: Client, key: PublicKey | None) -> Certificate:
        """Certify a key in a thread; what the user may get is looked up anew."""
        candidate = self.candidate(user, connection)
        try:
            if self._users is not self._stored:
                raise AccountError("certificates are issued to the users of the store alone")
            if self._store.lookups is not None:
                raise AccountError(
                    "a store that several servers share issues no certificates at logins, because "
                    "a server could not revoke those of another one"
                )
            work = partial(self._certify, user, connection, key, candidate)
            made = await self.threads.run(user, work)
        except NacreError as error:
            connection.record("refused", request="certificate", reason=safe(str(error)))
            raise
        connection.record(
            "certificate",
            serial=made.serial,
            key_id=safe(made.key_id),
            principals=safe(",".join(made.principals)),
            key=made.fingerprint(),
            until=made.valid_before,
        )
        return made

    def _certify(
        self, name: str, connection: Client, key: PublicKey | None, candidate: Candidate
    ) -> Certificate:
        """Certify a key. Blocks."""
        found, config = self._find(name, connection), candidate.config
        if found is None:
            raise AccountError(self._gone(name, connection))
        address = _address(candidate, connection)
        if (reason := found.refusal(address=address, host=connection.looked_up)) is not None:
            raise AccountError(reason)
        if config.force_command is not None:
            raise AccountError("ForceCommand runs another command, also in place of this one")
        if key is not None and config.revoked_keys is not None:
            refuse_revoked(key, config.revoked_keys)
        bits = config.limits().user_rsa_bits
        shown = candidate.keys
        return certify_login(self._store, found, key, shown, connection.methods, rsa_bits=bits)


def _address(candidate: Candidate, connection: Client) -> str:
    """Return the address of the user's client, which may be behind the console."""
    return str(connection.peer[0]) if candidate.address is None else candidate.address


def _refuse_more(most: int | None, connection: Client) -> None:
    """End the connection of a user who has as many as may be."""
    connection.record("refused", request="connection", reason=f"max_sessions is {most}")
    connection.fail(
        ConnectionLost(f"the user has {most} connections already, which is max_sessions"),
        DisconnectCode.TOO_MANY_CONNECTIONS,
        f"you have {most} connections to this server already, and may have no more: "
        "end one of them, and try again",
    )


async def _until_cancelled() -> None:
    await asyncio.Event().wait()


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
