"""The policy of ``nacre serve --users system``: the users are the accounts of this system."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from nacre.aio.maybe import Maybe
from nacre.config.server.rules import ServerRules
from nacre.daemon.accounts.accounts import (
    Account,
    Login,
    find_account,
    system_login,
    without_style,
)
from nacre.daemon.accounts.authorized.files import read_authorized_keys, rights_of
from nacre.daemon.accounts.authorized.hosts import HostSearch
from nacre.daemon.accounts.authorized.search import KeySearch
from nacre.daemon.accounts.candidate import Candidate, shown_key
from nacre.daemon.accounts.policy import DEFAULT_RULES, AccountPolicy
from nacre.daemon.accounts.verifiers import PAMVerifier, ShadowVerifier, Verifier
from nacre.daemon.names import endpoint_words
from nacre.daemon.processes.pam.library import available
from nacre.daemon.processes.pam.messages import Judged, Prompts
from nacre.errors import AccountError, ConnectionLost, DisconnectCode, UnusableKey
from nacre.keys import PublicKey
from nacre.keys.key_options import KeyOptions
from nacre.protocol.asks import (
    Challenge,
    ClientHost,
    KeyTerms,
    PasswordExpired,
    Prompt,
    UserRequirement,
)
from nacre.protocol.options import Profile
from nacre.protocol.requirement import satisfied
from nacre.server.policy import with_modulus
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.daemon.processes.pam.login import PAMLogin
    from nacre.protocol.gssapi import ContextAcceptor
    from nacre.server.peer import Client

T = TypeVar("T")


class SystemPolicy(AccountPolicy):
    """The policy of system accounts: a password or a key is enough, as the configuration allows.

    Needs root's rights. By default passwords of root are refused because too much depends on them.
    """

    def __init__(self, rules: ServerRules = DEFAULT_RULES, profile: Profile = "default") -> None:
        super().__init__(rules, profile)
        uses_pam = rules.base.use_pam and available()
        self._verifier: Verifier = (PAMVerifier if uses_pam else ShadowVerifier)(self.threads)
        self._never = secrets.token_hex(32)  # nobody's password

    async def requirement(self, user: str, connection: Client) -> UserRequirement:
        """Return what the configuration requires, whether the user is known or not."""
        required = await self._in_thread(self._required, user, connection)
        if self.candidate(user, connection).admission.takes_empty:
            outcome = await self._verified(user, "", connection)
            if not outcome.reason:
                required = replace(required, requirement=(frozenset(), *required.requirement))
        return required

    async def _in_thread(self, work: Callable[..., T], user: str, *more: Any) -> T:
        """Call ``work`` with a user who is not logged in, and ``more``: the connection last."""
        return await self.threads.run_for_login(user, more[-1], partial(work, user, *more))

    def _required(self, user: str, connection: Client) -> UserRequirement:
        candidate = self._begin(user, connection)
        requirement = candidate.admission.requirement()
        return candidate.answer(requirement, self._banner(candidate, connection))

    def _begin(self, user: str, connection: Client) -> Candidate:
        try:
            account = find_account(without_style(user))
        except AccountError:
            return self._candidates.begin(user, connection, invalid=True)
        return self._candidates.begin(user, connection, groups=account.group_names, account=account)

    async def password(
        self, user: str, password: str, connection: Client
    ) -> bool | PasswordExpired:
        """Verify the password, and judge the account."""
        outcome = await self._verified(user, password, connection)
        if outcome.expired:
            return PasswordExpired("\n".join(outcome.texts) or outcome.reason)
        return _permits(outcome, user, connection)

    async def change_password(self, user: str, old: str, new: str, connection: Client) -> bool:
        """Change a password that has expired."""
        return _permits(await self._verified(user, old, connection, new), user, connection)

    async def _verified(
        self, user: str, password: str, connection: Client, new: str | None = None
    ) -> Judged:
        candidate = self.candidate(user, connection)
        refusal = await self._refusal(candidate, connection, "password")
        if refusal is None and not (password or candidate.config.permit_empty_passwords):
            refusal = "PermitEmptyPasswords is no"
        if refusal is None:
            return await self._verifier.check(candidate, connection, password, new)
        # It takes as long as a wrong password.
        await self._verifier.check(candidate, connection, self._never)
        return Judged(refusal)

    async def keyboard_interactive(
        self,
        user: str,
        submethods: str,
        responses: tuple[str, ...] | None,
        connection: Client,
    ) -> bool | Challenge:
        """Pass on the prompts of what verifies the user."""
        candidate = self.candidate(user, connection)
        refusal = await self._refusal(candidate, connection, "password")
        if refusal is not None and responses is not None:
            responses = (self._never,) * len(responses)
        asked = await self._verifier.converse(
            candidate, connection, responses, pretended=refusal is not None
        )
        if isinstance(asked, Prompts):
            prompts = tuple(Prompt(text, echo) for text, echo in asked.prompts)
            return Challenge("", "\n".join(asked.texts), prompts)
        granted = _permits(asked if refusal is None else Judged(refusal), user, connection)
        if not granted and asked.texts:
            # The next round has no responses, and no dialogue.
            return Challenge("", "\n".join(asked.texts), ())
        return granted

    async def _judged(self, user: str, connection: Client) -> bool:
        """Tell whether the account of a user who was admitted without a password may be used."""
        candidate = self.candidate(user, connection)
        return _permits(await self._verifier.check(candidate, connection, None), user, connection)

    async def _refusal(self, candidate: Candidate, connection: Client, method: str) -> str | None:
        """Return why the user may not log in by this method, or None."""
        admitted = partial(self._admitted, candidate, connection, method)
        try:
            await self.threads.run_for_login(candidate.user, connection, admitted)
        except AccountError as error:
            return str(error)
        return None

    def _admitted(self, candidate: Candidate, connection: Client, method: str) -> Account:
        """Return the account of a user who may log in by this method. Blocks.

        :raises AccountError: there is none, or the configuration refuses it.
        """
        account, admission = _account(candidate), candidate.admission
        address, host = connection.peer[0], connection.looked_up
        refusal = admission.closed() or admission.refuses_account(account, address, method, host)
        if refusal is not None:
            raise AccountError(refusal)
        return account

    async def public_key(
        self, user: str, key: PublicKey, algorithm: str, signed: bool, connection: Client
    ) -> bool | KeyTerms:
        """Look for what lets the key in; once signed, check the account too."""
        try:
            options = await self._find_key(user, key, connection)
            if options is None:
                return False
            candidate = self.candidate(user, connection)
            options = candidate.joined(options)
            if signed:
                # As in sshd, the last of several methods finds out what is wrong with the account.
                methods = (*connection.methods, "publickey")
                last = satisfied(candidate.admission.requirement(), methods)
                if last and not await self._judged(user, connection):
                    return False
                candidate.take(key, options)
            return candidate.terms(options)
        except (AccountError, UnusableKey) as error:
            connection.record("refused", method="publickey", name=safe(user), reason=str(error))
            return False

    async def _find_key(self, user: str, key: PublicKey, connection: Client) -> KeyOptions | None:
        """Return what a login with the key permits, or None.

        :raises AccountError, UnusableKey: the account, or the key, is refused.
        """
        search, found = await self._in_thread(self._search_files, user, key, connection)
        try:
            found = found or await search.elsewhere(
                partial(self.threads.run_for_login, user, connection)
            )
        finally:
            candidate = self.candidate(user, connection)
            for problem in search.problems:
                if problem not in candidate.told:
                    candidate.told.add(problem)
                    connection.record("skipped", name=safe(user), reason=problem)
        refusal = None if found is None else candidate.admission.refuses_key(search.account, found)
        if refusal is not None:
            raise AccountError(refusal)
        return found

    def _search_files(
        self, user: str, key: PublicKey, connection: Client
    ) -> tuple[KeySearch, KeyOptions | None]:
        candidate = self.candidate(user, connection)
        account = self._admitted(candidate, connection, "publickey")
        candidate.settle(connection.methods)
        if (refusal := candidate.refuses_again(key)) is not None:
            raise AccountError(refusal)
        search = KeySearch(
            shown=shown_key(account.name, key, connection),
            account=account,
            config=candidate.config,
            endpoints=partial(_endpoints, connection),
        )
        return search, search.in_files()

    async def host_based(self, user: str, host: ClientHost, connection: Client) -> bool:
        """Look whether the client's host is trusted to vouch for the user."""
        try:
            await self._in_thread(self._check_host, user, host, connection)
        except AccountError as error:
            connection.record("refused", method="hostbased", name=safe(user), reason=str(error))
            return False
        return await self._judged(user, connection)

    def _check_host(self, user: str, host: ClientHost, connection: Client) -> None:
        candidate = self.candidate(user, connection)
        account = self._admitted(candidate, connection, "hostbased")
        if host.algorithm not in candidate.config.host_signatures(self._profile):
            raise AccountError(f"HostbasedAcceptedAlgorithms does not list {host.algorithm}")
        HostSearch(
            host=host,
            address=connection.peer[0],
            name=connection.host,
            account=account,
            config=candidate.config,
        ).check()

    async def gssapi(self, user: str, context: ContextAcceptor, connection: Client) -> bool:
        """Look whether the principal that the client has proved may use the account."""
        try:
            await self._in_thread(self._check_principal, user, context, connection)
        except AccountError as error:
            connection.record("refused", method="gssapi", name=safe(user), reason=str(error))
            return False
        if not await self._judged(user, connection):
            return False
        self.candidate(user, connection).security = context
        return True

    def _check_principal(self, user: str, context: ContextAcceptor, connection: Client) -> None:
        account = self._admitted(self.candidate(user, connection), connection, "gssapi")
        with rights_of(account):
            allowed = context.is_account(account.name)
        if not allowed:
            raise AccountError(
                f"{context.principal} may not use the account: neither ~/.k5login nor the realm's "
                "local names say so"
            )

    async def rsa_key(self, user: str, modulus: int, connection: Client) -> PublicKey | None:
        """Look in the account's ``authorized_keys``."""
        try:
            return await self._in_thread(self._find_rsa_key, user, modulus, connection)
        except AccountError as error:
            connection.record("refused", method="publickey", name=safe(user), reason=str(error))
            return None

    def authenticated(self, user: str, methods: tuple[str, ...], connection: Client) -> Maybe[None]:
        """Open the user's session of PAM, as sshd does, whatever the connection is for."""
        super().authenticated(user, methods, connection)
        login = self._verifier.login(connection)
        return None if login is None else self._open_session(login, connection)

    async def _open_session(self, login: PAMLogin, connection: Client) -> None:
        """End the connection if there is no session."""
        find = partial(find_account, login.user)
        try:
            account = await self.threads.run(login.user, find)
            outcome = await login.open_session(account.groups)
        except AccountError as error:
            outcome = Judged(str(error))
        if outcome.reason:
            what = "the session can't be opened"
            connection.record("error", what=what, error=safe(outcome.reason))
            connection.fail(
                ConnectionLost(f"{what}: {outcome.reason}"),
                DisconnectCode.BY_APPLICATION,
                "\n".join(outcome.texts) or what,
            )

    async def login(self, user: str, connection: Client) -> Login:
        """Return the account's login, with the options of the user's key."""
        return await self.threads.run(user, partial(self._login, user, connection))

    def _login(self, user: str, connection: Client) -> Login:
        candidate = self.candidate(user, connection)
        account = _account(candidate)
        evidence = candidate.evidence(connection.methods)
        pam = self._verifier.login(connection)
        login = system_login(account, candidate.options, candidate.config, evidence, pam)
        if candidate.config.gssapi_delegate_credentials is False:
            return login
        return replace(login, security=candidate.security)

    def _find_rsa_key(self, user: str, modulus: int, connection: Client) -> PublicKey | None:
        candidate = self.candidate(user, connection)
        account = self._admitted(candidate, connection, "publickey")
        for _, keys in read_authorized_keys(account, candidate.config):
            if (found := with_modulus(keys.rsa1_keys(modulus), modulus)) is not None:
                return found
        return None


def _account(candidate: Candidate) -> Account:
    """Return the account of a user.

    :raises AccountError: there was none when the client named the user.
    """
    if candidate.account is None:
        raise AccountError(f"this system has no account {without_style(candidate.user)!r}")
    return candidate.account


def _permits(outcome: Judged, user: str, connection: Client) -> bool:
    """Tell whether a user is let in; the log gets the reason of a refusal."""
    if outcome.reason:
        reason = safe(outcome.reason)
        connection.record("refused", method="account", name=safe(user), reason=reason)
    return not outcome.reason


def _endpoints(connection: Client) -> dict[str, str]:
    return {
        # sshd's order: the server's end comes first, unlike in its manual.
        "C": f"{endpoint_words(connection.local)} {endpoint_words(connection.peer)}",
        "D": connection.domain or "",
    }
