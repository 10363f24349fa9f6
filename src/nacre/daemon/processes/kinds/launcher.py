"""What happens between the server and a session's program: a root directory, files of the home.

Most programs need none of it and are started directly. For the others the template forks this
process (:mod:`nacre.daemon.processes.template`), with the server's rights; it changes its root
directory, takes on the rights of the account, reads what belongs to the user with these rights, and
becomes the program. Nothing is imported here after the start, because the account may not be able
to read it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from nacre.keys.patterns import match_list
from nacre.value import value

UMASK = 0o022
"""The umask of an account's processes, where nothing says another one."""

_FAILED = 1
_SERVERS = ("SSH_", "TERM")
_ENVIRONMENT_LINES = 1000
_SHELL = "/bin/sh"
_USER_RC, _SYSTEM_RC = ".ssh/rc", "/etc/ssh/sshrc"
_USER_ENVIRONMENT = ".ssh/environment"


@value(kw_only=True)
class X11Steps:
    """The cookie of a display, for xauth or the user's own script.

    :ivar xauth: the program xauth.
    :ivar name: the display's name for it.
    :ivar protocol: the name of the authorization protocol.
    :ivar cookie: its data, in hexadecimal.
    """

    xauth: str
    name: str
    protocol: str
    cookie: str


@value(kw_only=True)
class Steps:
    """What to do before the program is executed; by default nothing.

    :ivar home: the home directory; its files count if the program starts there.
    :ivar root: the directory that becomes the root directory.
    :ivar variables: patterns of the variables to take from ``~/.ssh/environment``.
    :ivar fixed: names of variables that this file does not change, beside those of the server.
    :ivar user_rc: whether to run ``~/.ssh/rc`` if there is one.
    :ivar system_rc: whether to run ``/etc/ssh/sshrc`` if there is one and no other file was run.
    :ivar x11: the cookie that one of these files gets, or xauth if neither is run; or None.
    """

    home: str = "/"
    root: str | None = None
    variables: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    user_rc: bool = False
    system_rc: bool = False
    x11: X11Steps | None = None

    def needed(self) -> bool:
        """Return whether there is anything to do. Blocks."""
        return bool(
            self.root
            or self.x11
            or (self.variables and os.path.exists(os.path.join(self.home, _USER_ENVIRONMENT)))
            or (self.user_rc and os.path.exists(os.path.join(self.home, _USER_RC)))
            or (self.system_rc and os.path.exists(_SYSTEM_RC))
        )


def main(given: dict[str, Any], link: object) -> None:
    """Do the steps, and become the program.

    :param given: see :func:`nacre.daemon.processes.start.start`. Arguments and variables are bytes,
        as text of Latin-1.
    """
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores
        signal.signal(number, signal.SIG_DFL)
    if given["terminal"]:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    steps, path = given["steps"], given["path"]
    arguments = [word.encode("latin-1") for word in given["arguments"]]
    environment = {_text(name): _text(content) for name, content in given["environment"].items()}
    try:
        if steps["root"] is not None:
            os.chroot(steps["root"])
            os.chdir("/")
        if given["rights"] is not None:
            take_rights(*given["rights"])
        at_home = _enter(given["directory"]) and given["directory"] == steps["home"]
        if steps["variables"] and at_home:
            environment |= {
                name: content
                for name, content in _read_variables(steps["variables"])
                if name not in steps["fixed"] and not name.startswith(_SERVERS)
            }
        x11 = None if steps["x11"] is None else X11Steps(**steps["x11"])
        user = steps["user_rc"] and at_home
        _run_rc(environment, x11, user=user, system=steps["system_rc"])
        os.execve(path, arguments, environment)
    except OSError as error:
        sys.stderr.write(f"{error.filename or path}: {error.strerror}\n")
        raise SystemExit(_FAILED) from None


def _text(encoded: str) -> str:
    return os.fsdecode(encoded.encode("latin-1"))


def take_rights(uid: int, gid: int, groups: Sequence[int], umask: int = UMASK) -> None:
    """Give up the rights of this process for those of an account."""
    if os.geteuid() != uid:
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    os.umask(umask)


def _enter(directory: str) -> bool:
    try:
        os.chdir(directory)
    except OSError:
        return False
    return True


def _read_variables(patterns: list[str]) -> list[tuple[str, str]]:
    """Return the variables of the user's file whose names match."""
    found = []
    with suppress(OSError), open(_USER_ENVIRONMENT, errors="surrogateescape") as file:
        for _, line in zip(range(_ENVIRONMENT_LINES), file, strict=False):
            name, equals, content = line.strip(" \t\n").partition("=")
            if equals and not name.startswith("#") and match_list(name, patterns):
                found.append((name, content))
    return found


def _run_rc(
    environment: Mapping[str, str], x11: X11Steps | None, *, user: bool, system: bool
) -> None:
    told = "" if x11 is None else f"{x11.protocol} {x11.cookie}\n"
    if user and os.path.exists(_USER_RC):
        shell = environment.get("SHELL", _SHELL)
        _run([shell, "-c", f"{_SHELL} {_USER_RC}"], environment, told)
    elif system and os.path.exists(_SYSTEM_RC):
        _run([_SHELL, _SYSTEM_RC], environment, told)
    elif x11 is not None:
        added = f"remove {x11.name}\nadd {x11.name} {x11.protocol} {x11.cookie}\n"
        _run([x11.xauth, "-q", "-"], environment, added)


def _run(command: list[str], environment: Mapping[str, str], told: str) -> None:
    """Run a command until it ends; how it ends does not matter.

    :param told: its standard input, less than a pipe holds.
    """
    text, end = os.pipe()
    os.write(end, told.encode())
    os.close(end)
    with suppress(OSError):
        actions = [(os.POSIX_SPAWN_DUP2, text, 0)]
        child = os.posix_spawn(command[0], command, environment, file_actions=actions)
        os.waitpid(child, 0)
    os.close(text)
