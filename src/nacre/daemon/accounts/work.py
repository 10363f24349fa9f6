"""What a session does: the client's command, what is forced in its place, or files.

The rules are those of ForceCommand and Subsystem in sshd_config(5).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nacre.daemon.accounts.accounts import Login
from nacre.daemon.names import endpoint_words
from nacre.daemon.processes.child import Program
from nacre.daemon.processes.kinds.file_process import FileRoot
from nacre.daemon.processes.kinds.launcher import Steps, X11Steps
from nacre.keys.patterns import match_list
from nacre.scp.command import parse_scp
from nacre.sftp.server.restrictions import parse_command

if TYPE_CHECKING:
    from nacre.server.x11 import ForwardedDisplay

_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games"
_ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OURS = ("SSH_AUTH_SOCK", "SSH_USER_AUTH", "KRB5CCNAME")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one session does.

    :ivar command: the line for the user's shell; None for a login shell.
    :ivar requested: what the client requested where another command is forced; None for a shell,
        or if nothing is forced.
    :ivar forced: whether the command is none of the client's.
    :ivar files: what ``internal-sftp`` serves; for a virtual user scp too. None for a command.
    :ivar misused: files are served here, and the client requested none.
    """

    command: str | bytes | None = None
    requested: str | bytes | None = None
    forced: bool = False
    files: FileRoot | None = None
    misused: bool = False


def work_of(login: Login, command: bytes | None, subsystem: str | None) -> Work:
    """Return what a session does for a request that was granted.

    :raises ConfigurationError: the options of an ``internal-sftp`` are not valid.
    """
    requested = command if subsystem is None else login.subsystem(subsystem)
    forced = login.forced is not None
    run = login.forced if forced else requested
    if isinstance(run, str) and login.files is not None:
        restrictions = parse_command(run)
        if restrictions is not None:
            files = login.files
            if restrictions != files.restrictions:
                files = replace(files, restrictions=restrictions)
            return Work(forced=forced, files=files, misused=subsystem is None)
    if forced:
        return Work(command=run, requested=requested, forced=True)
    scp = command is not None and parse_scp(command) is not None
    served = scp and login.virtual and login.service != "shell"
    return Work(command=run, files=login.files if served else None)


def program(
    login: Login,
    work: Work,
    sent: Mapping[str, str],
    peer: tuple[str, int],
    local: tuple[str, int],
) -> Program:
    """Return the session's program: the login shell, or the shell with a command line.

    :param sent: the client's variables that the server accepts; the session's own take precedence.
    """
    environment = {
        **sent,
        "PATH": _ROOT_PATH if login.account.uid == 0 else _PATH,
        "HOME": login.home,
        "USER": login.name,
        "LOGNAME": login.name,
        "SHELL": login.shell,
    }
    if "TZ" in os.environ:
        environment["TZ"] = os.environ["TZ"]
    environment |= login.environment
    patterns = variable_patterns(login)
    environment |= {
        name: content for name, content in login.key.environment if match_list(name, patterns)
    }
    # What this server has set counts, whatever the user's key says.
    environment |= {name: sent[name] for name in _OURS if name in sent}
    environment |= _fixed(login, work, peer, local)
    shell = os.path.basename(login.shell)
    return Program(
        path=login.shell,
        # A dash before its name makes it a login shell.
        arguments=[f"-{shell}"] if work.command is None else [shell, "-c", work.command],
        environment=environment,
        directory=login.home if login.root or _can_enter(login.home) else "/",
        credentials=login.account.credentials,
        takes_signals=not work.forced,  # a forced command is none of the client's
        template=login.template,
    )


def _can_enter(directory: str) -> bool:
    """Tell whether this process, which in most cases has the account's rights, can work there."""
    return os.path.isdir(directory) and os.access(directory, os.X_OK)


def _fixed(
    login: Login, work: Work, peer: tuple[str, int], local: tuple[str, int]
) -> dict[str, str]:
    """Return the variables that the user can't change."""
    client, server = endpoint_words(peer), endpoint_words(local)
    fixed = {
        **dict(login.config.set_env),
        "SSH_CLIENT": f"{client} {server.rpartition(' ')[2]}",
        "SSH_CONNECTION": f"{client} {server}",
    }
    if work.requested is not None:
        fixed["SSH_ORIGINAL_COMMAND"] = os.fsdecode(work.requested)
    return fixed


def variable_patterns(login: Login) -> tuple[str, ...]:
    """Return the patterns of the variables that the user's files and keys may set.

    The keys of a virtual user are the operator's to set, so these may set every variable.
    """
    if login.virtual:
        return ("*",)
    permitted = login.config.permit_user_environment
    words = {"yes": "*", "no": ""}.get(permitted, permitted)
    return tuple(filter(None, words.split(",")))


def x11_steps(login: Login, display: ForwardedDisplay | None) -> X11Steps | None:
    """Return what lets the user's programs use a display, or None if there is none."""
    xauth = login.config.xauth_location
    if display is None or xauth is None:
        return None
    return X11Steps(
        xauth=xauth, name=display.for_xauth, protocol=display.protocol, cookie=display.cookie
    )


def steps_before(login: Login, subsystem: str | None, x11: X11Steps | None = None) -> Steps:
    """Return what may have to be done before the session's program.

    ``~/.ssh/rc`` is not for subsystems and not for commands of ForceCommand, as in sshd.
    """
    config = login.config
    if login.virtual:
        return Steps(x11=x11)
    return Steps(
        home=login.home,
        root=login.root,
        variables=variable_patterns(login),
        fixed=tuple(name for name, _ in config.set_env),
        user_rc=subsystem is None
        and config.force_command is None
        and config.permit_user_rc
        and login.key.user_rc,
        system_rc=True,
        x11=x11,
    )
