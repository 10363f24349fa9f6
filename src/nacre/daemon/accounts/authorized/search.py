"""The search for what lets a key in to an account: in files, by commands, by authorities."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from nacre.config.server.config import ServerConfig
from nacre.config.values import service
from nacre.daemon.accounts.accounts import Account
from nacre.daemon.accounts.authorized.authorities import trusts
from nacre.daemon.accounts.authorized.commands import KeysCommand, ask
from nacre.daemon.accounts.authorized.files import own_path, read_authorized_keys, read_own
from nacre.daemon.accounts.authorized.revoked import refuse_revoked
from nacre.errors import AccountError, UnusableKey
from nacre.keys import PublicKey
from nacre.keys.authorized_keys import parse
from nacre.keys.certificate import Certificate
from nacre.keys.key_options import KeyOptions
from nacre.keys.shown import ShownKey, find_principal
from nacre.server.admission.user_threads import InThread

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySearch:
    """What is shown, to which account, and what may let it in. One search for each question.

    :ivar config: the configuration for the user.
    :ivar endpoints: returns the values of the tokens ``C`` and ``D`` (TOKENS in sshd_config(5)).
    :ivar problems: filled with the lines and files that were skipped, each with the reason.
    """

    shown: ShownKey
    account: Account
    config: ServerConfig
    endpoints: Callable[[], Mapping[str, str]]
    problems: list[str] = field(default_factory=list)

    def in_files(self) -> KeyOptions | None:
        """Return what a line of the account's files permits, or None. Blocks.

        :raises AccountError: the key is revoked.
        """
        if self.config.revoked_keys is not None:
            refuse_revoked(self.shown.key, self.config.revoked_keys)
        for name, keys in read_authorized_keys(self.account, self.config, self.problems.append):
            found = keys.admits(self.shown, partial(self._skip, name))
            if found is not None:
                return found.options
        return None

    async def elsewhere(self, in_thread: InThread) -> KeyOptions | None:
        """Return what AuthorizedKeysCommand or a trusted authority permits, or None.

        :param in_thread: calls what reads files.
        :raises UnusableKey: the authority is trusted, but the certificate can't be used.
        """
        found = await self._by_command(in_thread)
        certificate = self.shown.key
        authorities = self.config.trusted_user_ca_keys
        if found is not None or authorities is None or not isinstance(certificate, Certificate):
            return found
        if not await in_thread(partial(trusts, authorities, certificate.authority)):
            return None
        return await self._by_authority(certificate, in_thread)

    async def _by_command(self, in_thread: InThread) -> KeyOptions | None:
        config = self.config
        if config.authorized_keys_command is None:
            return None
        command = KeysCommand(
            keyword="AuthorizedKeysCommand",
            line=config.authorized_keys_command,
            user=config.authorized_keys_command_user,
        )

        def take(lines: bytes, first: int) -> KeyOptions | None:
            found = parse(lines, service).admits(self.shown, self._skipper(command, first))
            return None if found is None else found.options

        return await self._asked(command, self._tokens(), take, in_thread)

    async def _by_authority(self, certificate: Certificate, in_thread: InThread) -> KeyOptions:
        config = self.config
        if (config.authorized_principals_file, config.authorized_principals_command) == (None,) * 2:
            return self.shown.by_authority()
        named = None
        if config.authorized_principals_file is not None:
            named = await in_thread(
                partial(self._in_principals, config.authorized_principals_file, certificate)
            )
        if named is None and config.authorized_principals_command is not None:
            named = await self._principals_by_command(
                config.authorized_principals_command, certificate, in_thread
            )
        if named is None:
            raise UnusableKey("none of the certificate's principals is authorized")
        return self.shown.by_authority(named)

    def _in_principals(self, pattern: str, certificate: Certificate) -> KeyOptions | None:
        path = own_path(pattern, "AuthorizedPrincipalsFile", self.account)
        try:
            text = read_own(path, self.account, self.config) or b""
        except AccountError as error:
            self.problems.append(str(error))
            return None
        return find_principal(text, certificate, partial(self._skip, str(path)), service)

    async def _principals_by_command(
        self, line: str, certificate: Certificate, in_thread: InThread
    ) -> KeyOptions | None:
        command = KeysCommand(
            keyword="AuthorizedPrincipalsCommand",
            line=line,
            user=self.config.authorized_principals_command_user,
        )
        authority = certificate.authority
        tokens = {
            **self._tokens(),
            "F": authority.fingerprint(),
            "i": certificate.key_id,
            "K": _base64(authority),
            "s": str(certificate.serial),
            "T": authority.type,
        }

        def take(lines: bytes, first: int) -> KeyOptions | None:
            return find_principal(lines, certificate, self._skipper(command, first), service)

        return await self._asked(command, tokens, take, in_thread)

    async def _asked(
        self,
        command: KeysCommand,
        tokens: Mapping[str, str],
        take: Callable[[bytes, int], T | None],
        in_thread: InThread,
    ) -> T | None:
        try:
            return await ask(command, tokens, take, in_thread)
        except AccountError as error:
            self.problems.append(str(error))
            return None

    def _tokens(self) -> dict[str, str]:
        key, account = self.shown.key, self.account
        return {
            **self.endpoints(),
            "f": key.fingerprint(),
            "h": account.home,
            "k": _base64(key),
            "t": key.type,
            "U": str(account.uid),
            "u": account.name,
        }

    def _skipper(self, command: KeysCommand, first: int) -> Callable[[int, str], None]:
        name = f"the output of {command.keyword},"
        return lambda number, reason: self._skip(name, first + number - 1, reason)

    def _skip(self, name: str, number: int, reason: str) -> None:
        self.problems.append(f"{name} line {number}: {reason}")


def _base64(key: PublicKey) -> str:
    return b64encode(key.blob).decode("ascii")
