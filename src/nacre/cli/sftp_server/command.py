"""``nacre sftp-server``, also installed as ``nacre-sftp-server``: a subsystem for any SSH server.

It serves all files of this system with the rights of its account, on standard input and output.
"""

from __future__ import annotations

import os
import pwd
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from nacre.cli.common.start import loaded, start
from nacre.config.values import LogLevel
from nacre.daemon.sandbox.rules import FILES
from nacre.daemon.sandbox.sandbox import Sandbox
from nacre.errors import ConfigurationError
from nacre.sftp.filesystems.local import SystemFilesystem
from nacre.sftp.server.piped import serve, start_in, widen_pipes
from nacre.sftp.server.restrictions import REQUESTS_BY_NAME, SFTPRestrictions, parse
from nacre.sftp.server.transfer_log import TransferLog
from nacre.wire.text import safe

if TYPE_CHECKING:
    import click

_WRONG = 1
"""The exit status for wrong options, as with sftp-server(8)."""

_SYSLOG_NAME = "sftp-server"
"""The program's name in syslog(3): what reads these lines looks for OpenSSH's."""

_PREFIXES = {LogLevel.FATAL: "fatal: ", LogLevel.ERROR: "error: "}
"""What syslog(3) gets in front of a line, as from OpenSSH."""

Write = Callable[[LogLevel, str], None]


def main() -> NoReturn:
    """Run ``nacre-sftp-server``."""
    start(run, "nacre-sftp-server", sys.argv[1:])


def __getattr__(name: str) -> click.Command:
    if name != "command":
        raise AttributeError(name)
    from nacre.cli.common.passing import Passing

    return Passing("sftp-server", run)


def run(program: str, words: Sequence[str]) -> int:
    """Run the program on its command line; return the exit status."""
    match list(words):
        case ["-h" | "--help"]:
            from nacre.cli.help.pages import print_help

            return print_help(program, "sftp-server")
        case ["-Q", "requests"]:
            print("\n".join(REQUESTS_BY_NAME))
            return 0
        case ["-Q", feature]:
            print(f"-Q: bad value {safe(feature)!r}; allowed: requests", file=sys.stderr)
            return _WRONG
        case ["-c", _]:
            words = ()  # this program is the account's login shell: whatever is asked for is SFTP
        case [*options, "--", _, _]:
            words = options  # `scp -D` has the host and the subsystem behind the options
    try:
        restrictions = parse(words)
    except ConfigurationError as error:
        from nacre.cli.help.pages import refuse

        return refuse(program, "sftp-server", _WRONG, f"{error}")
    return _serve(restrictions)


def _serve(restrictions: SFTPRestrictions) -> int:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends the program without a traceback
    write = _to_stderr if restrictions.to_stderr else _to_syslog(restrictions.facility)
    log = TransferLog(write, restrictions.log_level)
    user, home = _account()
    whose = f"for local user {safe(user)} from [{_client()}]"
    log.log(LogLevel.INFO, f"session opened {whose}")
    if restrictions.umask is not None:
        os.umask(restrictions.umask)
    files = SystemFilesystem(home, user=user, read_only=restrictions.read_only, set_id=True)
    # The directory that the server has changed to, which may be gone meanwhile.
    with suppress(FileNotFoundError):
        start_in(files, os.getcwd(), log)
    if directory := restrictions.start_directory(home=home, user=user):
        start_in(files, directory, log)
    widen_pipes()
    loaded()
    Sandbox(FILES).enter()
    status = serve(log, files, restrictions=restrictions)
    log.log(LogLevel.INFO, f"session closed {whose}")
    return status


def _account() -> tuple[str, str]:
    """Return the name and the home directory of the account that this process runs as."""
    try:
        entry = pwd.getpwuid(os.geteuid())
    except KeyError:
        return str(os.geteuid()), os.environ.get("HOME", "/")
    return entry.pw_name, entry.pw_dir


def _client() -> str:
    """Return the client's address, which an SSH server puts into ``SSH_CONNECTION``."""
    return safe(os.environ.get("SSH_CONNECTION", "").partition(" ")[0]) or "UNKNOWN"


def _to_stderr(level: LogLevel, text: str) -> None:
    print(text, file=sys.stderr)


def _to_syslog(facility: str) -> Write:
    import syslog

    syslog.openlog(_SYSLOG_NAME, syslog.LOG_PID, getattr(syslog, f"LOG_{facility}"))

    def write(level: LogLevel, text: str) -> None:
        priority = syslog.LOG_INFO if level > LogLevel.ERROR else syslog.LOG_ERR
        syslog.syslog(priority, _PREFIXES.get(level, "") + text)

    return write
