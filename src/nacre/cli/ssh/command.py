"""``nacre ssh``, also installed as ``nacre-ssh``: log in to a host, or run a command there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from nacre._version import __version__
from nacre.cli.common.arguments import USAGE, Arguments, parse
from nacre.cli.common.start import FAILURE, loaded, start
from nacre.config.client import ClientConfig
from nacre.config.client import parse as parse_config
from nacre.errors import ConfigurationError
from nacre.wire.text import safe

if TYPE_CHECKING:
    import click

    from nacre.cli.common.log import Log
    from nacre.cli.common.target import Target
    from nacre.cli.ssh.session import Plan
    from nacre.cli.ssh.tunnels import OtherEnd


_HELP = "Log in to a host, or run a command there."
ABOUT = f"{USAGE}\n\n{_HELP}"
"""What ``--help`` prints."""


def main() -> NoReturn:
    """Run ``nacre-ssh``."""
    start(run, "nacre-ssh", sys.argv[1:], ABOUT)


def __getattr__(name: str) -> click.Command:
    # Only the group `nacre` needs the click command. `nacre-ssh` runs without click, which takes
    # longer to load than everything else in this module.
    if name != "command":
        raise AttributeError(name)
    from nacre.cli.common.passing import Passing

    return Passing("ssh", run, _HELP)


def run(program: str, words: Sequence[str]) -> int:
    """Run the program on its command line; return the exit status."""
    try:
        arguments = parse(words)
        config = parse_config(arguments.options)
    except ConfigurationError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return FAILURE
    if arguments.show_version:
        print(f"nacre {__version__}", file=sys.stderr)
        return 0
    if arguments.query is not None:
        return _answer_query(program, arguments.query)
    if not arguments.host:
        print(USAGE.format(program=program), file=sys.stderr)
        return FAILURE
    if arguments.show_config:
        return _show_config(arguments, config)
    from nacre.cli.common.log import Log, open_log

    try:
        file = open_log(arguments.log_file)
    except OSError as error:
        print(f"{program}: can't open the log file: {error}", file=sys.stderr)
        return FAILURE
    with file:
        return _connect(arguments, config, Log(config.log_level, file))


def _connect(arguments: Arguments, config: ClientConfig, log: Log) -> int:
    # The event loop and the crypto package load only now, so that -V, -G and errors are quick.
    from nacre.cli.common.program import run_client
    from nacre.cli.common.target import Target
    from nacre.cli.ssh.session import plan

    log.describe(arguments.options)
    try:
        target = Target.of(arguments.host, config)
        planned = plan(config, arguments.command, log.info)
        join = _place(arguments.join)
    except ConfigurationError as error:
        log.fatal(f"ssh: {error}")
        return FAILURE
    return run_client(_session(target, config, planned, join, log), target, log)


async def _session(
    target: Target, config: ClientConfig, planned: Plan, join: OtherEnd | None, log: Log
) -> int:
    from nacre.cli.common.connect import dial_and_log_in
    from nacre.cli.common.program import close_or_abort
    from nacre.cli.ssh.session import TerminalSession

    connection = await dial_and_log_in(target, config, log)
    loaded()
    try:
        if config.forwards:
            from nacre.cli.ssh.tunnels import start_forwarding

            await start_forwarding(connection, target, config, log)
        if join is not None:
            from nacre.cli.ssh.tunnels import join_standard

            return await join_standard(connection, join)
        if config.session_type == "none":
            await connection.wait_closed()
            connection.check()
        session = TerminalSession(connection, planned, log.info)
        status = await session.run()
        log.debug(f"Exit status {status}")
        if config.forwards and not session.quit:
            await connection.wait_idle()
    finally:
        await close_or_abort(connection)
    if planned.terminal:
        log.info(f"Connection to {target.name} closed.")
    return status


def _place(text: str | None) -> OtherEnd | None:
    """Return the host and port of ``-W``, or the path of a Unix socket."""
    if text is None or text.startswith("/"):
        return text
    from nacre.config.tunnels import place

    return place("-W", text)


def _show_config(arguments: Arguments, config: ClientConfig) -> int:
    from nacre.cli.common.target import Target

    try:
        target = Target.of(arguments.host, config)
    except ConfigurationError as error:
        print(f"ssh: {error}", file=sys.stderr)
        return FAILURE
    print(f"user {target.user}\nhostname {target.host}\nport {target.port}")
    return 0


_LISTS = {
    "cipher": "cipher",
    "ciphers": "cipher",
    "compression": "compression",
    "hostkeyalgorithms": "host key",
    "kex": "kex",
    "key": "signature",
    "kexalgorithms": "kex",
    "mac": "MAC",
    "macs": "MAC",
    "pubkeyacceptedalgorithms": "signature",
    "sig": "signature",
}


def _answer_query(program: str, query: str) -> int:
    from nacre.protocol.options import known

    if query.lower() == "help":
        print("\n".join(_LISTS))
        return 0
    if query.lower() not in _LISTS:
        print(
            f"{program}: -Q {safe(query)}: unknown list; give one of {', '.join(_LISTS)}",
            file=sys.stderr,
        )
        return FAILURE
    print("\n".join(known(_LISTS[query.lower()])))
    return 0
