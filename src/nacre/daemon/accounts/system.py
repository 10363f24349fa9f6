"""The policy of ``nacre serve --users system``: the users are the accounts of this system."""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nacre.config.server.rules import ServerRules
from nacre.daemon.accounts import pam, shadow
from nacre.daemon.accounts.accounts import (
    Account,
    Login,
    find_account,
    system_login,
    without_style,
)
from nacre.daemon.accounts.authorized.files import read_authorized_keys
from nacre.daemon.accounts.authorized.hosts import HostSearch
from nacre.daemon.accounts.authorized.search import KeySearch
from nacre.daemon.accounts.candidate import Candidate, shown_key
from nacre.daemon.accounts.padding import denied_late
from nacre.daemon.accounts.policy import DEFAULT_RULES, AccountPolicy
from nacre.daemon.names import endpoint_words
from nacre.errors import AccountError, UnusableKey
from nacre.keys import PublicKey
from nacre.keys.key_options import KeyOptions
from nacre.protocol.asks import ClientHost, KeyTerms, UserRequirement
from nacre.protocol.options import Profile
from nacre.server.policy import with_modulus
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.server.peer import ServerConnection

_NOLOGIN = Path("/etc/nologin")
_WAITING = 32
"""Threads for PAM, which sleeps for seconds after a wrong password; other logins must not wait."""


class SystemPolicy(AccountPolicy):
    """The policy of system accounts: a password or a key is enough, as the configuration allows.

    Needs root's rights. By default passwords of root are refused because too much depends on them.
    """

    def __init__(self, rules: ServerRules = DEFAULT_RULES, profile: Profile = "default") -> None:
        super().__init__(rules, profile)
        self._refusal = pam.refusal if pam.available() else shadow.refusal
        self._threads = ThreadPoolExecutor(_WAITING, "account")
        self._never = secrets.token_hex(32)  # nobody's password

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def requirement(self, user: str, connection: ServerConnection) -> UserRequirement:
        """Return what the configuration requires, whether the user is known or not."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._required, user, connection)

    def _required(self, user: str, connection: ServerConnection) -> UserRequirement:
        candidate = self._begin(user, connection)
        requirement = candidate.admission.requirement()
        if candidate.admission.takes_empty and self._look(user, "", connection) is None:
            requirement = (frozenset(), *requirement)
        return candidate.answer(requirement, self._banner(candidate, connection))

    def _begin(self, user: str, connection: ServerConnection) -> Candidate:
        try:
            account = find_account(without_style(user))
        except AccountError:
            return self._candidates.begin(user, connection, invalid=True)
        return self._candidates.begin(user, connection, groups=account.group_names)

    async def password(self, user: str, password: str, connection: ServerConnection) -> bool:
        """Ask PAM, or the shadow file where there is no PAM."""
        return await denied_late(self._permits(user, password, connection), user)

    async def _permits(self, user: str, password: str | None, connection: ServerConnection) -> bool:
        """Tell whether the account is valid, and the password right unless that is None."""
        loop = asyncio.get_running_loop()
        refusal = await loop.run_in_executor(self._threads, self._look, user, password, connection)
        if refusal is not None:
            connection.record("refused", method="account", name=safe(user), reason=refusal)
        return refusal is None

    def _look(self, user: str, password: str | None, connection: ServerConnection) -> str | None:
        candidate, host = self.candidate(user, connection), str(connection.peer[0])
        empty = candidate.config.permit_empty_passwords
        method = "publickey" if password is None else "password"
        try:
            account = self._admitted(candidate, connection, method)
            if password == "" and not empty:
                raise AccountError("PermitEmptyPasswords is no")
        except AccountError as error:
            if password is not None:
                self._refusal(user, self._never, host)  # takes as long as a wrong password
            return str(error)
        refusal = self._refusal(account.name, password, host, empty=empty)
        if refusal is None and account.uid != 0 and _NOLOGIN.exists():
            return f"{_NOLOGIN} exists"
        return refusal

    def _admitted(self, candidate: Candidate, connection: ServerConnection, method: str) -> Account:
        """Return the account of a user who may log in by this method. Blocks.

        :raises AccountError: there is none, or the configuration refuses it.
        """
        account = find_account(without_style(candidate.user))
        admission = candidate.admission
        address, host = connection.peer[0], connection.looked_up
        refusal = admission.closed() or admission.refuses_account(account, address, method, host)
        if refusal is not None:
            raise AccountError(refusal)
        return account

    async def public_key(
        self, user: str, key: PublicKey, algorithm: str, signed: bool, connection: ServerConnection
    ) -> bool | KeyTerms:
        """Look for what lets the key in; once signed, check the account too."""
        return await denied_late(self._opens(user, key, signed, connection), user)

    async def _opens(
        self, user: str, key: PublicKey, signed: bool, connection: ServerConnection
    ) -> bool | KeyTerms:
        try:
            options = await self._find_key(user, key, connection)
            if options is None:
                return False
            candidate = self.candidate(user, connection)
            options = candidate.joined(options)
            if signed:
                if not await self._permits(user, None, connection):
                    return False
                candidate.take(key, options)
            return candidate.terms(options)
        except (AccountError, UnusableKey) as error:
            connection.record("refused", method="publickey", name=safe(user), reason=str(error))
            return False

    async def _find_key(
        self, user: str, key: PublicKey, connection: ServerConnection
    ) -> KeyOptions | None:
        """Return what a login with the key permits, or None.

        :raises AccountError, UnusableKey: the account, or the key, is refused.
        """
        loop = asyncio.get_running_loop()
        search, found = await loop.run_in_executor(
            self._threads, self._search_files, user, key, connection
        )
        try:
            found = found or await search.elsewhere()
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
        self, user: str, key: PublicKey, connection: ServerConnection
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

    async def host_based(self, user: str, host: ClientHost, connection: ServerConnection) -> bool:
        """Look whether the client's host is trusted to vouch for the user."""
        return await denied_late(self._vouched(user, host, connection), user)

    async def _vouched(self, user: str, host: ClientHost, connection: ServerConnection) -> bool:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._threads, self._check_host, user, host, connection)
        except AccountError as error:
            connection.record("refused", method="hostbased", name=safe(user), reason=str(error))
            return False
        return await self._permits(user, None, connection)

    def _check_host(self, user: str, host: ClientHost, connection: ServerConnection) -> None:
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

    async def rsa_key(
        self, user: str, modulus: int, connection: ServerConnection
    ) -> PublicKey | None:
        """Look in the account's ``authorized_keys``."""
        return await denied_late(self._rsa_key(user, modulus, connection), user)

    async def _rsa_key(
        self, user: str, modulus: int, connection: ServerConnection
    ) -> PublicKey | None:
        loop = asyncio.get_running_loop()
        find = self._find_rsa_key
        try:
            return await loop.run_in_executor(self._threads, find, user, modulus, connection)
        except AccountError as error:
            connection.record("refused", method="publickey", name=safe(user), reason=str(error))
            return None

    async def login(self, user: str, connection: ServerConnection) -> Login:
        """Return the account's login, with the options of the user's key."""
        account = await asyncio.to_thread(find_account, without_style(user))
        candidate = self._candidates.find(user, connection)
        if candidate is None:
            candidate = await asyncio.to_thread(self.candidate, user, connection)
        evidence = candidate.evidence(connection.methods)
        return system_login(account, candidate.options, candidate.config, evidence)

    def _find_rsa_key(
        self, user: str, modulus: int, connection: ServerConnection
    ) -> PublicKey | None:
        candidate = self.candidate(user, connection)
        account = self._admitted(candidate, connection, "publickey")
        for _, keys in read_authorized_keys(account, candidate.config):
            if (found := with_modulus(keys.rsa1_keys(modulus), modulus)) is not None:
                return found
        return None


def _endpoints(connection: ServerConnection) -> dict[str, str]:
    return {
        "C": f"{endpoint_words(connection.peer)} {endpoint_words(connection.local)}",
        "D": connection.domain or "",
    }
