"""The policy of ``nacre serve --users system``: the users are the accounts of this system."""

from __future__ import annotations

import asyncio
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from nacre.config.server.config import ServerConfig
from nacre.daemon.accounts import pam, shadow
from nacre.daemon.accounts.accounts import Account, Login, find_account, system_login
from nacre.daemon.accounts.authorized import read_authorized_keys
from nacre.daemon.accounts.padding import denied_late
from nacre.daemon.accounts.policy import DEFAULT_CONFIG, REQUIREMENTS, AccountPolicy
from nacre.errors import AccountError
from nacre.keys import PublicKey
from nacre.keys.key_options import NO_OPTIONS, KeyOptions
from nacre.protocol.asks import UserRequirement
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

    def __init__(self, config: ServerConfig = DEFAULT_CONFIG) -> None:
        super().__init__(config)
        self._refusal = pam.refusal if pam.available() else shadow.refusal
        self._threads = ThreadPoolExecutor(_WAITING, "account")
        self._options: WeakKeyDictionary[ServerConnection, KeyOptions] = WeakKeyDictionary()
        self._never = secrets.token_hex(32)  # nobody's password

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def requirement(self, user: str, connection: ServerConnection) -> UserRequirement:
        """Return the same for every user, known or not, and for root."""
        return UserRequirement(self._admission.requirement(REQUIREMENTS["any"]))

    async def password(self, user: str, password: str, connection: ServerConnection) -> bool:
        """Ask PAM, or the shadow file where there is no PAM."""
        return await denied_late(self._permits(user, password, connection), user)

    async def _permits(self, user: str, password: str | None, connection: ServerConnection) -> bool:
        """Tell whether the account is valid, and the password right unless that is None."""
        host = str(connection.peer[0])
        loop = asyncio.get_running_loop()
        refusal = await loop.run_in_executor(self._threads, self._look, user, password, host)
        if refusal is not None:
            connection.record("refused", method="account", name=safe(user), reason=refusal)
        return refusal is None

    def _look(self, user: str, password: str | None, host: str) -> str | None:
        try:
            account = self._admitted(user, host, "publickey" if password is None else "password")
        except AccountError as error:
            if password is not None:
                self._refusal(user, self._never, host)  # takes as long as a wrong password
            return str(error)
        refusal = self._refusal(user, password, host)
        if refusal is None and account.uid != 0 and _NOLOGIN.exists():
            return f"{_NOLOGIN} exists"
        return refusal

    def _admitted(self, user: str, address: str, method: str) -> Account:
        """Return the account of a user who may log in by this method. Blocks.

        :raises AccountError: there is none, or the configuration refuses it.
        """
        account = find_account(user)
        refusal = self._admission.refuses_account(account, address, method)
        if refusal is not None:
            raise AccountError(refusal)
        return account

    async def public_key(
        self, user: str, key: PublicKey, algorithm: str, signed: bool, connection: ServerConnection
    ) -> bool:
        """Look in the account's ``authorized_keys``; once signed, check the account too."""
        return await denied_late(self._opens(user, key, signed, connection), user)

    async def _opens(
        self, user: str, key: PublicKey, signed: bool, connection: ServerConnection
    ) -> bool:
        address = str(connection.peer[0])
        loop = asyncio.get_running_loop()
        try:
            options = await loop.run_in_executor(self._threads, self._find_key, user, key, address)
        except AccountError as error:
            connection.record("refused", method="publickey", name=safe(user), reason=str(error))
            return False
        if options is None or not signed:
            return options is not None
        if not await self._permits(user, None, connection):
            return False
        self._options[connection] = options
        return True

    async def rsa_key(
        self, user: str, modulus: int, connection: ServerConnection
    ) -> PublicKey | None:
        """Look in the account's ``authorized_keys``."""
        return await denied_late(self._rsa_key(user, modulus, connection), user)

    async def _rsa_key(
        self, user: str, modulus: int, connection: ServerConnection
    ) -> PublicKey | None:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(
                self._threads, self._find_rsa_key, user, modulus, str(connection.peer[0])
            )
        except AccountError as error:
            connection.record("refused", method="publickey", name=safe(user), reason=str(error))
            return None

    async def login(self, user: str, connection: ServerConnection) -> Login:
        """Return the account's login, with the options of the user's key."""
        account = await asyncio.to_thread(find_account, user)
        return system_login(account, self._options.get(connection, NO_OPTIONS))

    def _find_rsa_key(self, user: str, modulus: int, address: str) -> PublicKey | None:
        for keys in read_authorized_keys(self._admitted(user, address, "publickey")):
            if (found := with_modulus(keys.rsa1_keys(modulus), modulus)) is not None:
                return found
        return None

    def _find_key(self, user: str, key: PublicKey, address: str) -> KeyOptions | None:
        account = self._admitted(user, address, "publickey")
        for keys in read_authorized_keys(account):
            if (found := keys.find(key, address=address, now=time.time())) is not None:
                refusal = self._admission.refuses_key(account, found.options)
                if refusal is not None:
                    raise AccountError(refusal)
                return found.options
        return None
