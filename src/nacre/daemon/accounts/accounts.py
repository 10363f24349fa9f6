"""Accounts of this system, and what sessions that run as one of them need: home, shell, files."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nacre.config.server.config import ServerConfig
from nacre.config.syntax.tokens import expand
from nacre.daemon.processes.child import ProcessCredentials
from nacre.daemon.processes.file_process import FileRoot
from nacre.errors import AccountError, ConfigurationError
from nacre.keys.key_options import NO_OPTIONS, KeyOptions
from nacre.sftp.server.restrictions import INTERNAL

if TYPE_CHECKING:
    from nacre.daemon.accounts.store import User

RECENT = 1.0
"""Seconds for which the result of a lookup is reused."""

DEFAULT_CONFIG = ServerConfig()

_FALLBACK_SHELL = "/bin/sh"
_NO_SHELLS = {"nologin", "false"}
_SYSTEM_ENVIRONMENT = Path("/etc/environment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account: an entry of the password database (passwd(5)), and its groups."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str

    def group_names(self) -> tuple[str, ...]:
        """Return the names of the account's groups; a group without one is its number. Blocks."""
        return tuple(map(_group_name, {self.gid, *self.groups}))

    def expand(self, text: str, keyword: str) -> str:
        """Return ``text`` with ``%h`` (home), ``%U`` (uid) and ``%u`` (name) replaced.

        :raises AccountError: it has another token; the message names ``keyword``.
        """
        try:
            return expand(text, {"h": self.home, "U": str(self.uid), "u": self.name})
        except ConfigurationError as error:
            raise AccountError(f"{keyword}: {error}") from None

    @property
    def credentials(self) -> ProcessCredentials | None:
        """The rights a process needs to become this account; None when this process has them."""
        if self.uid == os.geteuid():
            return None
        return ProcessCredentials(uid=self.uid, gid=self.gid, groups=self.groups)


def _group_name(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def own_account() -> Account:
    """Return the account this process runs as, which may lack an entry in the database."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        return _account(pwd.getpwuid(uid))
    except KeyError:
        home = os.environ.get("HOME", "/")
        return Account(
            name=str(uid), uid=uid, gid=gid, groups=(gid,), home=home, shell=_FALLBACK_SHELL
        )


def without_style(user: str) -> str:
    """Return the account's name in what a client gives: ``name`` or ``name:style``.

    The style is a way to authenticate of BSD's login.conf; elsewhere it is dropped, as in sshd.
    """
    return user.partition(":")[0]


def find_account(name: str) -> Account:
    """Return the account of this name.

    :raises AccountError: there is none.
    """
    try:
        return _account(pwd.getpwnam(name))
    except (KeyError, ValueError):  # ValueError: a NUL, or no UTF-8
        raise AccountError(f"this system has no account {name!r}") from None


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(
        name=entry.pw_name,
        uid=entry.pw_uid,
        gid=entry.pw_gid,
        groups=tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)),
        home=entry.pw_dir or "/",
        shell=entry.pw_shell or _FALLBACK_SHELL,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What a logged-in user's sessions run as, and with.

    :ivar name: the user's name; a virtual user's differs from the account's.
    :ivar files: what sftp and scp serve; None for an account that may use no files.
    :ivar virtual: a virtual user: scp too is served from ``files``, and never by a shell.
    :ivar key: the options of the key that the user logged in with.
    :ivar environment: the first variables of the environment.
    :ivar config: the configuration for this user.
    :ivar root: the directory that is the root directory of the user's sessions, or None.
    :ivar evidence: a line for each method of the login.
    """

    name: str
    account: Account
    home: str
    shell: str
    files: FileRoot | None = None
    virtual: bool = False
    service: str = "all"
    key: KeyOptions = NO_OPTIONS
    environment: Mapping[str, str]
    config: ServerConfig = DEFAULT_CONFIG
    root: str | None = None
    evidence: str = ""

    @property
    def has_shell(self) -> bool:
        """Whether the user may have a shell."""
        return self.service != "sftp" and not _bars(self.shell)

    @property
    def forced(self) -> str | None:
        """The command that runs in place of what the client requests, or None.

        As in sshd, ``ForceCommand`` comes before the ``command=`` of the user's key.
        """
        return self.key.command if self.config.force_command is None else self.config.force_command

    def subsystem(self, name: str) -> str | None:
        """Return the command of a subsystem, or None if there is none of this name."""
        listed = self.config.subsystems
        pairs = (("sftp", INTERNAL),) if listed is None else listed
        return next((command for one, command in pairs if one == name), None)


def _bars(shell: str) -> bool:
    return os.path.basename(shell) in _NO_SHELLS


def account_name(user: User, run_as: str | None) -> str | None:
    """Return the account that a virtual user's sessions run as, or None for this process's own.

    :param run_as: the account for users without one of their own, under root.
    :raises AccountError: the server runs as root, and there is no account for the user.
    """
    if os.geteuid() != 0:
        return None
    chosen = user.run_as or run_as
    if chosen is None:
        raise AccountError(
            f"{user.name} has no account to run as, and sessions do not run as root by default: "
            f"`nacre user set {user.name} --run-as ACCOUNT`, or `nacre serve --run-as ACCOUNT`"
        )
    return chosen


class RecentAccounts:
    """Looks up accounts in threads, as the system may ask another machine (nsswitch.conf(5)).

    A result is reused for :data:`RECENT` seconds, because many users may log in whose sessions
    run as the same account; calls at the same moment share one lookup.
    """

    def __init__(self) -> None:
        self._lookups: dict[str | None, tuple[float, asyncio.Task[Account]]] = {}

    async def find(self, name: str | None) -> Account:
        """Return the account of this name, or for None the one this process runs as.

        :raises AccountError: there is none.
        """
        now = asyncio.get_running_loop().time()
        started, lookup = self._lookups.get(name, (0.0, None))
        if lookup is None or now - started >= RECENT:
            find = own_account if name is None else partial(find_account, name)
            lookup = asyncio.create_task(asyncio.to_thread(find))
            self._lookups = {k: v for k, v in self._lookups.items() if now - v[0] < RECENT}
            self._lookups[name] = now, lookup
        try:
            return await asyncio.shield(lookup)
        except AccountError:
            # The account may be created before the next call.
            self._lookups.pop(name, None)
            raise


def virtual_login(
    user: User,
    account: Account,
    key: KeyOptions = NO_OPTIONS,
    config: ServerConfig = DEFAULT_CONFIG,
    evidence: str = "",
) -> Login:
    """Return what the sessions of a virtual user with this account run as."""
    # A service's account has no shell, but the operator has named it for sessions, which need one.
    barred = _bars(account.shell)
    home = user.home or account.home
    # As with sshd, a user with a shell sees in sftp what the shell sees.
    root = user.root or (home if user.service == "sftp" else None)
    return Login(
        name=user.name,
        account=account,
        home=home,
        files=FileRoot(root=root, home=home, user=user.name, read_only=user.read_only),
        virtual=True,
        shell=_FALLBACK_SHELL if barred else account.shell,
        service=user.service,
        key=key,
        environment={},
        config=config,
        evidence=evidence,
    )


def system_login(
    account: Account,
    key: KeyOptions = NO_OPTIONS,
    config: ServerConfig = DEFAULT_CONFIG,
    evidence: str = "",
) -> Login:
    """Return what the sessions of a system user run as; an account without a shell keeps none.

    :raises AccountError: ChrootDirectory has an unknown token.
    """
    root = config.chroot_directory
    # An account without a shell gets files only where the configuration says so.
    told = (config.subsystems, config.force_command, key.command) != (None, None, None)
    return Login(
        name=account.name,
        account=account,
        home=account.home,
        shell=account.shell,
        files=FileRoot(root=None, home=account.home, user=account.name, set_id=True)
        if told or not _bars(account.shell)
        else None,
        key=key,
        environment=_system_environment(),
        config=config,
        root=None if root is None else account.expand(root, "ChrootDirectory"),
        evidence=evidence,
    )


def _system_environment() -> dict[str, str]:
    """Return the variables of ``/etc/environment``, read as pam_env(8) does."""
    found = {}
    try:
        text = _SYSTEM_ENVIRONMENT.read_text(errors="surrogateescape")
    except OSError:
        return {}
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and name and not name.startswith("#"):
            found[name.strip()] = value.strip().strip("\"'")
    return found
