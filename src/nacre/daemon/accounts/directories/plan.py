"""Where users are, as ``nacre serve --users`` names it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TypeAlias

from nacre.daemon.accounts.accounts import find_account
from nacre.daemon.accounts.directories.values import Directory
from nacre.errors import ConfigurationError

if TYPE_CHECKING:
    from nacre.daemon.accounts.virtual.users import VirtualUsers
    from nacre.daemon.store.store import UserStore

Rights: TypeAlias = tuple[int, int] | None
"""The account and the group of processes without rights; None for this one's."""

HERE = ("store", "system")
"""Users who are not elsewhere."""

FORMS = "store, system, command:/PATH, https://URL, python:MODULE:OBJECT, ldap:/FILE or oidc:/FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsersPlan:
    """Where users are who are not in the store, and what a directory may decide.

    :ivar where: the text of ``--users``, one of :data:`FORMS` with a colon.
    :ivar groups: the groups of the store that all these users are in.
    :ivar accounts: what the directory may name for sessions to run as.
    :ivar secret: the file with the secret that questions over HTTP are signed with.
    :ivar program_account: what the program of ``command:`` runs as.
    """

    where: str
    groups: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    secret: str | None = None
    program_account: str | None = None

    def open(self, rights: Rights) -> Callable[[UserStore], VirtualUsers]:
        """Read what the directory needs, and return what makes the users with a store. Blocks.
        :raises NacreError: something is missing or wrong; the message says what to do.
        """
        for account in self.accounts:
            find_account(account)
        kind, _, rest = self.where.partition(":")
        if (kind not in _KINDS and kind != "oidc") or not rest:
            raise ConfigurationError(f"--users {self.where}: give {FORMS}")
        self._check_options(kind)
        if kind == "oidc":
            return self._device_users(rest, rights)
        return self._found_users(_KINDS[kind](self, rest, rights))

    def _check_options(self, kind: str) -> None:
        web = kind in ("http", "https")
        if web != (self.secret is not None):
            need = "needs" if web else "takes no"
            raise ConfigurationError(f"--users {kind}: {need} --users-secret FILE")
        if self.program_account is not None and kind != "command":
            raise ConfigurationError(f"--users {kind}: runs no program as --users-program-account")

    def _found_users(self, directory: Directory) -> Callable[[UserStore], VirtualUsers]:
        from nacre.daemon.accounts.directories.found import FoundUsers

        groups, accounts = self.groups, frozenset(self.accounts)
        return lambda store: FoundUsers(directory, store, groups=groups, accounts=accounts)

    def _program(self, rest: str, rights: Rights) -> Directory:
        from nacre.daemon.accounts.directories.answers import AskedDirectory
        from nacre.daemon.accounts.directories.command import AskedProgram

        program = AskedProgram(rest, self.program_account)
        program.check()
        return AskedDirectory(program)

    def _url(self, rest: str, rights: Rights) -> Directory:
        from nacre.daemon.accounts.directories.answers import AskedDirectory
        from nacre.daemon.accounts.directories.files import signing_secret
        from nacre.daemon.accounts.directories.http import AskedURL, HTTPClient

        assert self.secret is not None
        client = HTTPClient(self.where)
        return AskedDirectory(AskedURL(client, signing_secret(self.secret)))

    def _function(self, rest: str, rights: Rights) -> Directory:
        from nacre.daemon.accounts.directories.answers import AskedDirectory
        from nacre.daemon.accounts.directories.python import load_function

        return AskedDirectory(load_function(rest))

    def _ldap(self, rest: str, rights: Rights) -> Directory:
        from nacre.daemon.accounts.directories.answers import AskedDirectory
        from nacre.daemon.accounts.directories.helpers.pool import AskedHelpers
        from nacre.daemon.accounts.directories.ldap import LDAPSettings, check_library

        check_library()
        module = "nacre.daemon.accounts.directories.helpers.ldap_process"
        return AskedDirectory(AskedHelpers(module, asdict(LDAPSettings.read(rest)), rights))

    def _device_users(self, rest: str, rights: Rights) -> Callable[[UserStore], VirtualUsers]:
        from nacre.daemon.accounts.directories.device import DeviceUsers
        from nacre.daemon.accounts.directories.helpers.pool import AskedHelpers
        from nacre.daemon.accounts.directories.oidc import OIDCSettings, check_library

        check_library()
        if self.accounts:
            raise ConfigurationError("--users oidc: names no accounts, so --users-account is none")
        module = "nacre.daemon.accounts.directories.helpers.oidc_process"
        settings, groups = OIDCSettings.read(rest), self.groups
        ask, tokens = AskedHelpers(module, asdict(settings), rights), settings.tokens
        return lambda store: DeviceUsers(ask, store, groups=groups, tokens=tokens)


_KINDS: dict[str, Callable[[UsersPlan, str, Rights], Directory]] = {
    "command": UsersPlan._program,
    "http": UsersPlan._url,
    "https": UsersPlan._url,
    "python": UsersPlan._function,
    "ldap": UsersPlan._ldap,
}
