"""``nacre-sshd``: serve the accounts of this system as sshd(8) does."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from nacre._version import __version__
from nacre.cli.common.start import FAILURE, complain, loaded, start
from nacre.cli.sshd.arguments import SshdArguments, parse_arguments
from nacre.config.server.config import AS_SSHD
from nacre.config.server.files import load, reader_of
from nacre.errors import ConfigurationError, NacreError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable

    import click

    from nacre.cli.sshd.service import ServiceFile
    from nacre.config.server.rules import ServerRules
    from nacre.daemon.daemon import Mode

_WRONG = 1
"""The exit status of sshd for a wrong command line, and where there is no host key."""


def main() -> NoReturn:
    """Run ``nacre-sshd``."""
    start(run, "nacre-sshd", sys.argv[1:])


def __getattr__(name: str) -> click.Command:
    # Only the group `nacre` needs the click command.
    if name != "command":
        raise AttributeError(name)
    from nacre.cli.common.passing import Passing

    return Passing("sshd", run)


def run(program: str, words: Sequence[str]) -> int:
    """Run the program on its command line; return the exit status."""
    if words[:1] == ["--help"]:
        from nacre.cli.help.pages import print_help

        return print_help(program, "sshd")
    try:
        arguments = parse_arguments(words)
        load(None, arguments.options, defaults=AS_SSHD)
    except ConfigurationError as error:
        from nacre.cli.help.pages import refuse

        return refuse(program, "sshd", _WRONG, f"{error}")
    if arguments.show_version:
        print(f"nacre {__version__}", file=sys.stderr)
        return 0
    try:
        return _run(arguments)
    except NacreError as error:
        _fail(program, arguments, error)
        return _WRONG if isinstance(error, StateError) and arguments.tests else FAILURE


def _run(arguments: SshdArguments) -> int:
    if arguments.log_file is not None:
        from nacre.daemon.log.place import LogPlace

        LogPlace(file=arguments.log_file).open()
    if arguments.show or arguments.show_tested:
        rules = _given(arguments, load(arguments.path, arguments.options, defaults=AS_SSHD))
        if arguments.show_tested:
            _check_host_keys(rules)
        _print(rules, arguments)
        return 0
    check_and_read = reader_of(arguments.path, arguments.options, defaults=AS_SSHD)
    service = _service(arguments.service)

    def read() -> ServerRules:
        return _given(arguments, check_and_read())

    if arguments.test:
        _check_host_keys(read())
        return 0
    return _serve(arguments, read, service)


def _service(path: str | None) -> ServiceFile | None:
    """Read the file of ``--config``, where there is one.

    :raises ConfigurationError: it is wrong, or the command line of ``nacre`` is not installed.
    """
    if path is None:
        return None
    try:
        from nacre.cli.sshd.service import ServiceFile
    except ImportError as error:
        raise ConfigurationError(
            f"--config needs the package {error.name}: pip install 'nacre[cli,server]'"
        ) from None
    return ServiceFile(path)


def _given(arguments: SshdArguments, rules: ServerRules) -> ServerRules:
    """Return the configuration with the ports of ``-p`` in place of its own."""
    return rules.changed(ports=tuple(arguments.ports)) if arguments.ports else rules


def _print(rules: ServerRules, arguments: SshdArguments) -> None:
    from nacre.config.server.dump import server_lines

    for line in server_lines(rules, arguments.connections):
        print(line)


def _check_host_keys(rules: ServerRules) -> None:
    """Read the host keys, as a server that starts would.

    :raises StateError: there is none.
    """
    from nacre.daemon.settings import DaemonSettings

    settings = DaemonSettings(rules=rules, profile="default", state=None, as_sshd=True)
    settings.host_keys(lambda problem: print(problem, file=sys.stderr))


def _serve(
    arguments: SshdArguments, read: Callable[[], ServerRules], service: ServiceFile | None
) -> int:
    from nacre.daemon.daemon import Daemon
    from nacre.daemon.log.place import LogPlace
    from nacre.daemon.separate.rights import default_gates

    def read_both() -> ServerRules:
        if service is not None:
            service.read_again()
        return read()

    rules, mode = read(), _mode(arguments)
    loaded()
    more: Any = {"state": None} if service is None else service.options
    done = Daemon(
        **more,
        rules=rules,
        read=read_both,
        needs_restart=tuple if service is None else service.needs_restart,
        as_sshd=True,
        users="system",
        gates=default_gates(rules.base) if mode in ("foreground", "background") else 0,
        mode=mode,
        log=LogPlace(
            where="syslog" if arguments.to_syslog else "stderr",
            program="nacre-sshd",
            file=None if arguments.log_file is None else os.path.abspath(arguments.log_file),
        ),
    ).run()
    return 0 if done else FAILURE


def _mode(arguments: SshdArguments) -> Mode:
    if arguments.inherited:
        return "inherited"
    if arguments.debug:
        return "one"
    return "foreground" if arguments.foreground else "background"


def _fail(program: str, arguments: SshdArguments, error: NacreError) -> None:
    """Tell why the program can't run: in the log, if a client reads standard error."""
    if arguments.inherited and stat.S_ISSOCK(os.fstat(2).st_mode) and arguments.to_syslog:
        from nacre.config.values import LogLevel
        from nacre.daemon.log.server_log import ServerLog
        from nacre.daemon.log.syslog import Syslog

        log = ServerLog(LogLevel.ERROR, Syslog(AS_SSHD.syslog_facility, program))
        log({"event": "error", "what": "can't start", "error": str(error)})
        log.close()
        return
    from nacre.daemon.handover.predecessor import report_failure

    report_failure(str(error))
    complain(program, error)
