"""Accounts of this system, and what sessions that run as one of them need: home, shell, files."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from nacre.config.server.config import ServerConfig
from nacre.config.syntax.tokens import expand
from nacre.daemon.processes.child import ProcessCredentials
from nacre.daemon.processes.kinds.file_process import FileRoot, storage_variables
from nacre.daemon.processes.kinds.launcher import UMASK
from nacre.errors import AccountError, ConfigurationError
from nacre.keys.key_options import NO_OPTIONS, KeyOptions
from nacre.server.admission.user_threads import UserThreads
from nacre.sftp.filesystems.quota.limits import limits_of
from nacre.sftp.server.restrictions import INTERNAL

if TYPE_CHECKING:
    from nacre.daemon.processes.pam.login import PAMLogin
    from nacre.daemon.processes.template import Forks
    from nacre.daemon.store.values import User
    from nacre.protocol.gssapi import ContextAcceptor

K = TypeVar("K")
V = TypeVar("V")

RECENT = 1.0
"""Seconds for which the result of a lookup is reused."""

DEFAULT_CONFIG = ServerConfig()

_FALLBACK_SHELL = "/bin/sh"
_NO_SHELLS = {"nologin", "false"}
_SYSTEM_ENVIRONMENT = Path("/etc/environment")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account: an entry of the password database (passwd(5)), its groups and its umask."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str
    umask: int = UMASK

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
        return ProcessCredentials(uid=self.uid, gid=self.gid, groups=self.groups, umask=self.umask)


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
    :ivar environment: the system's variables, or those of PAM.
    :ivar config: the configuration for this user.
    :ivar root: the directory that is the root directory of the user's sessions, or None.
    :ivar evidence: a line for each method of the login.
    :ivar security: the security context of the login, whose tickets the sessions get, or None.
    :ivar pam: the session of PAM, or None.
    :ivar template: what forks the processes of sessions, as that of PAM; None for the template of
        all processes.
    :ivar texts: what modules of PAM have to say to the user.
    :ivar record: what is recorded of the user's sessions, if the server records some: one of
        :data:`nacre.daemon.store.values.RECORDS`.
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
    security: ContextAcceptor | None = None
    pam: PAMLogin | None = None
    template: Forks | None = None
    texts: tuple[str, ...] = ()
    record: str = "output"

    @property
    def has_shell(self) -> bool:
        """Whether the user may have a shell."""
        return self.service != "sftp" and not _bars(self.shell)

    @property
    def is_confined(self) -> bool:
        """Whether most sessions need a process with other bounds than the user's: see Sessions."""
        files = self.files is not None and self.files.root is not None
        return self.root is not None or self.forced is not None or files or not self.has_shell

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


class Recent(Generic[K, V]):
    """Looks something up, and reuses the result for :data:`RECENT` seconds.

    Calls at the same moment share one lookup. A failure is not kept: an account, say, may be
    created before the next call.

    :param look_up: called with the key.
    """

    def __init__(self, look_up: Callable[[K], Coroutine[Any, Any, V]]) -> None:
        self._look_up = look_up
        self._lookups: dict[K, asyncio.Future[V]] = {}

    def know(self, key: K, value: V) -> None:
        """Reuse a result that somebody else has just looked up."""
        loop = asyncio.get_running_loop()
        known = self._lookups[key] = loop.create_future()
        known.set_result(value)
        loop.call_later(RECENT, self._forget, key, known)

    def begin(self, key: K) -> asyncio.Future[V]:
        """Look a key up if there is no result, for calls of :meth:`find` to come."""
        lookup = self._lookups.get(key)
        if lookup is None:
            loop = asyncio.get_running_loop()
            lookup = self._lookups[key] = loop.create_task(self._look_up(key))
            # Perhaps nobody waits for a failure.
            lookup.add_done_callback(lambda done: done.cancelled() or done.exception())
            loop.call_later(RECENT, self._forget, key, lookup)
        return lookup

    async def find(self, key: K) -> V:
        """Return what there is for a key, or raise what the lookup raises."""
        lookup = self.begin(key)
        try:
            return await asyncio.shield(lookup)
        except Exception:
            self._forget(key, lookup)
            raise

    def _forget(self, key: K, lookup: asyncio.Future[V]) -> None:
        if self._lookups.get(key) is lookup:
            del self._lookups[key]


class RecentAccounts(Recent[str | None, Account]):
    """Looks up accounts in threads, as the system may ask another machine (nsswitch.conf(5)).

    Many users may log in whose sessions run as the same account. The account of None is the one
    that this process runs as.
    """

    def __init__(self, threads: UserThreads) -> None:
        async def look_up(name: str | None) -> Account:
            find = own_account if name is None else partial(find_account, name)
            return await threads.run(name or "", find)

        super().__init__(look_up)


def virtual_login(
    user: User,
    account: Account,
    key: KeyOptions = NO_OPTIONS,
    config: ServerConfig = DEFAULT_CONFIG,
    evidence: str = "",
    file_key: str | None = None,
) -> Login:
    """Return what the sessions of a virtual user with this account run as.

    :param file_key: the key of the user's encrypted files.
    """
    # A service's account has no shell, but the operator has named it for sessions, which need one.
    barred = _bars(account.shell)
    home = user.home or account.home
    # As with sshd, a user with a shell sees in sftp what the shell sees.
    root = user.root or (home if user.service == "sftp" else None)
    return Login(
        name=user.name,
        account=account,
        home=home,
        files=FileRoot(
            root=root,
            home=home,
            user=user.name,
            read_only=user.read_only,
            folders=user.folders,
            rights=user.rights,
            file_key=file_key,
            uploads=user.uploads,
            partial_uploads=user.partial_uploads,
            limits=limits_of(user),
            variables=storage_variables(root, user.folders),
        ),
        virtual=True,
        shell=_FALLBACK_SHELL if barred else account.shell,
        service=user.service,
        key=key,
        environment={},
        config=config,
        evidence=evidence,
        record=user.record,
    )


def system_login(
    account: Account,
    key: KeyOptions = NO_OPTIONS,
    config: ServerConfig = DEFAULT_CONFIG,
    evidence: str = "",
    pam: PAMLogin | None = None,
) -> Login:
    """Return what the sessions of a system user run as; an account without a shell keeps none.

    Blocks.

    :param pam: the user's session, if PAM has one open.
    :raises AccountError: ChrootDirectory has an unknown token.
    """
    session = None if pam is None else pam.session
    if session is not None:
        account = replace(account, groups=session.groups, umask=session.umask)
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
        environment=_system_environment() if session is None else dict(session.environment),
        config=config,
        root=None if root is None else account.expand(root, "ChrootDirectory"),
        evidence=evidence,
        pam=pam,
        template=pam,
        texts=() if pam is None else tuple(pam.texts),
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
