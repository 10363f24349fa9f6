"""Accounts of this system, and what a session that runs as one of them is made of."""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nacre.daemon.accounts.store import User
from nacre.daemon.processes.child import ProcessCredentials, Program
from nacre.daemon.processes.file_process import FileRoot
from nacre.errors import AccountError
from nacre.keys.key_options import NO_OPTIONS, KeyOptions

RECENT = 1.0
"""Seconds for which an account is what it was when it was looked up."""

_FALLBACK_SHELL = "/bin/sh"
_NO_SHELLS = {"nologin", "false"}
_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"
_ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
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

    @property
    def credentials(self) -> ProcessCredentials | None:
        """What a process needs to become this account; None when it is ours already."""
        if self.uid == os.geteuid():
            return None
        return ProcessCredentials(uid=self.uid, gid=self.gid, groups=self.groups)


def own_account() -> Account:
    """Return the account this process runs as, which may have no entry anywhere."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        return _account(pwd.getpwuid(uid))
    except KeyError:
        home = os.environ.get("HOME", "/")
        return Account(
            name=str(uid), uid=uid, gid=gid, groups=(gid,), home=home, shell=_FALLBACK_SHELL
        )


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
    """What a user who is logged in works as.

    :ivar name: the user's name, which is not the account's for a virtual user.
    :ivar files: what sftp and scp serve; None for an account that may do nothing here.
    :ivar virtual: a virtual user: scp too is served from ``files``, and never by a shell.
    :ivar key: what the key the user came with demands and allows.
    :ivar environment: variables to begin with.
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

    @property
    def has_shell(self) -> bool:
        """Whether the user may have a shell, and not files alone or nothing."""
        return self.service != "sftp" and not _bars(self.shell)


def _bars(shell: str) -> bool:
    return os.path.basename(shell) in _NO_SHELLS


def account_name(user: User, run_as: str | None) -> str | None:
    """Return the name of the account a virtual user works as: None for that of this process.

    :param run_as: the account for users who have none of their own, under root.
    :raises AccountError: a server of root has no account for the user.
    """
    if os.geteuid() != 0:
        return None
    chosen = user.run_as or run_as
    if chosen is None:
        raise AccountError(
            f"{user.name} has no account to run as, and root's rights are not given unasked: "
            f"`nacre user set {user.name} --run-as ACCOUNT`, or `nacre serve --run-as ACCOUNT`"
        )
    return chosen


class RecentAccounts:
    """Accounts, looked up in threads: the system may ask another machine (nsswitch.conf(5)).

    What it said holds for :data:`RECENT` seconds, in which many may log in who work as the same
    account; those who ask in the same moment wait for one lookup.
    """

    def __init__(self) -> None:
        self._asked: dict[str | None, tuple[float, asyncio.Task[Account]]] = {}

    async def find(self, name: str | None) -> Account:
        """Return the account of this name, or for None the one this process runs as.

        :raises AccountError: there is none.
        """
        now = asyncio.get_running_loop().time()
        asked_at, asked = self._asked.get(name, (0.0, None))
        if asked is None or now - asked_at >= RECENT:
            look = own_account if name is None else partial(find_account, name)
            asked = asyncio.create_task(asyncio.to_thread(look))
            self._asked = {k: v for k, v in self._asked.items() if now - v[0] < RECENT}
            self._asked[name] = now, asked
        try:
            return await asyncio.shield(asked)
        except AccountError:
            # Whoever asks next may find that somebody made it meanwhile.
            self._asked.pop(name, None)
            raise


def virtual_login(user: User, account: Account) -> Login:
    """Return what a virtual user works as who has this account."""
    # An account for services has no shell; whoever named it for sessions wants one.
    barred = _bars(account.shell)
    home = user.home or account.home
    return Login(
        name=user.name,
        account=account,
        home=home,
        files=FileRoot(root=user.root or home, home=home, user=user.name, read_only=user.read_only),
        virtual=True,
        shell=_FALLBACK_SHELL if barred else account.shell,
        service=user.service,
        environment={},
    )


def system_login(account: Account, key: KeyOptions = NO_OPTIONS) -> Login:
    """Return what an account's own user works as; an account without a shell keeps none."""
    barred = _bars(account.shell)
    return Login(
        name=account.name,
        account=account,
        home=account.home,
        shell=account.shell,
        files=None if barred else FileRoot(root=None, home=account.home, user=account.name),
        key=key,
        environment=_system_environment(),
    )


def _system_environment() -> dict[str, str]:
    """Return the variables of ``/etc/environment``, as pam_env(8) reads it."""
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


def program(
    login: Login,
    command: bytes | None,
    sent: Mapping[str, str],
    peer: tuple[str, int],
    local: tuple[str, int],
) -> Program:
    """Return what to run: the shell as a login shell, or a command line that the shell reads.

    :param sent: variables the client sent and was allowed to; the session's own overrule them.
    """
    environment = {
        **sent,
        "PATH": _ROOT_PATH if login.account.uid == 0 else _PATH,
        **login.environment,
        "HOME": login.home,
        "USER": login.name,
        "LOGNAME": login.name,
        "SHELL": login.shell,
        "SSH_CLIENT": f"{peer[0]} {peer[1]} {local[1]}",
        "SSH_CONNECTION": f"{peer[0]} {peer[1]} {local[0]} {local[1]}",
    }
    if "TZ" in os.environ:
        environment["TZ"] = os.environ["TZ"]
    run: str | bytes | None = command
    if login.key.command is not None:
        run = login.key.command
        if command is not None:
            environment["SSH_ORIGINAL_COMMAND"] = os.fsdecode(command)
    shell = os.path.basename(login.shell)
    return Program(
        path=login.shell,
        # A dash in front makes a login shell.
        arguments=[f"-{shell}"] if run is None else [shell, "-c", run],
        environment=environment,
        directory=login.home if os.path.isdir(login.home) else "/",
        credentials=login.account.credentials,
    )
