"""``nacre ssh``, also installed as ``nacre-ssh``: log in to a host, or run a command there."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from nacre._version import __version__
from nacre.cli.common.arguments import Arguments, parse
from nacre.cli.common.start import FAILURE, complain, load_asyncio, loaded, start
from nacre.config.client.config import ClientConfig
from nacre.config.client.files import Config
from nacre.config.values import LogLevel
from nacre.errors import ConfigurationError

if TYPE_CHECKING:
    import click

    from nacre.cli.common.log import Log
    from nacre.cli.ssh.escapes import Controls
    from nacre.cli.ssh.local import Leave
    from nacre.cli.ssh.master import Sharing
    from nacre.cli.ssh.session import Plan
    from nacre.cli.ssh.tunnels import OtherEnd
    from nacre.client.connection import Connection
    from nacre.client.target import Target


def main() -> NoReturn:
    """Run ``nacre-ssh``."""
    start(run, "nacre-ssh", sys.argv[1:])


def __getattr__(name: str) -> click.Command:
    # Only the group `nacre` needs the click command. `nacre-ssh` runs without click, which takes
    # longer to load than everything else in this module.
    if name != "command":
        raise AttributeError(name)
    from nacre.cli.common.passing import Passing

    return Passing("ssh", run)


def run(program: str, words: Sequence[str]) -> int:
    """Run the program on its command line; return the exit status."""
    try:
        arguments = parse(words)
        if arguments.show_help:
            from nacre.cli.help.pages import print_help

            return print_help(program, "ssh")
    except ConfigurationError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return FAILURE
    status = answered(program, arguments)
    if status is not None:
        return status
    if not arguments.host:
        from nacre.cli.help.pages import refuse

        return refuse(program, "ssh", FAILURE)
    try:
        files, config = configured(arguments)
        if arguments.show_config:
            return show_config(arguments, config)
    except ConfigurationError as error:
        return complain(program, error)
    load_asyncio()
    from nacre.cli.common.log import Log, open_log

    try:
        file = open_log(arguments.log_file)
    except OSError as error:
        print(f"{program}: can't open the log file: {error}", file=sys.stderr)
        return FAILURE
    with file:
        facility = config.syslog_facility if arguments.syslog else None
        return _connect(arguments, files, config, Log(config.log_level, file, facility))


def answered(program: str, arguments: Arguments) -> int | None:
    """Answer ``-V`` or ``-Q``; return the exit status, or None without one of them."""
    if arguments.show_version:
        print(f"nacre {__version__}", file=sys.stderr)
        return 0
    if arguments.query is not None:
        from nacre.cli.ssh.queries import answer

        return answer(program, arguments.query)
    return None


def configured(arguments: Arguments) -> tuple[Config, ClientConfig]:
    """Return the files, and what they and the command line say for the host.

    :raises ConfigurationError: a line for each error.
    """
    files = Config.load(arguments.config_file)
    return files, files.lookup(arguments.host, arguments.options, command=arguments.command)


def _connect(arguments: Arguments, files: Config, config: ClientConfig, log: Log) -> int:
    # The event loop and the crypto package load only now, so that -V, -G and errors are quick.
    from nacre.cli.common.program import run_client
    from nacre.cli.ssh.session import plan
    from nacre.client.target import Target

    log.describe(config)
    try:
        target = Target.of(arguments.host, config)
        through = None
        if arguments.control is not None:
            from nacre.cli.ssh.sharing import PROXY, command, control_path

            through = control_path(config, target)
            if arguments.control != PROXY or through is None:
                return command(arguments.control, through, config, log)
        planned = plan(config, arguments.command, target.tokens(), log.info)
        join = _place(arguments.join)
        status = None if through else _shared(config, target, planned, join, log)
    except ConfigurationError as error:
        log.fatal(f"ssh: {error}")
        return FAILURE
    if status is not None:
        return status

    def session(leave: Leave | None = None) -> int:
        work = _session(target, config, files, planned, join, log, leave, through)
        return run_client(work, target, log)

    if not config.fork_after_authentication and not config.persists:
        return session()
    from nacre.cli.ssh.local import in_background

    return in_background(session, lambda: _as_client(config, target, planned, join, log))


def _as_client(
    config: ClientConfig, target: Target, planned: Plan, join: OtherEnd | None, log: Log
) -> int:
    """Use the connection that a child shares in the background, if there is something to do."""
    if not config.persists or (config.session_type == "none" and join is None):
        return 0
    from nacre.value import replace

    # The child has begun to forward.
    config = replace(
        config,
        control_master="auto",
        local_forwards=(),
        remote_forwards=(),
        dynamic_forwards=(),
    )
    status = _shared(config, target, planned, join, log)
    return FAILURE if status is None else status


def _shared(
    config: ClientConfig, target: Target, planned: Plan, join: OtherEnd | None, log: Log
) -> int | None:
    """Use the connection of a master; return None if this program makes one of its own.

    :raises ConfigurationError: ControlPath has a token that is not possible.
    """
    if config.control_path is None:
        return None
    from nacre.cli.ssh import sharing

    path = sharing.control_path(config, target)
    assert path is not None
    return sharing.share(sharing.Asked(path, target, config, planned, join), log)


async def _session(
    target: Target,
    config: ClientConfig,
    files: Config,
    planned: Plan,
    join: OtherEnd | None,
    log: Log,
    leave: Leave | None,
    through: str | None,
) -> int:
    from nacre.cli.common.connect import dial_and_log_in
    from nacre.cli.common.login import granted
    from nacre.cli.common.program import close_or_abort
    from nacre.cli.ssh.escapes import Controls

    if through is None:
        connection = await dial_and_log_in(target, config, log, files=files)
    else:
        from nacre.client.sharing.client import connect_shared
        from nacre.limits import DEFAULT_LIMITS

        connection = await connect_shared(through, target, DEFAULT_LIMITS)
    loaded()
    config = granted(connection, config)
    try:
        if planned.terminal:
            from nacre.aio.driver import set_service

            set_service(connection.driver, config.ip_qos[0])
        controls = Controls(connection, config, log)
        if config.forwards:
            from nacre.cli.ssh.tunnels import start_forwarding

            controls.forwardings = await start_forwarding(connection, target, config, log)
        if config.local_command is not None and config.permit_local_command:
            from nacre.cli.ssh.local import run_local_command

            device = controls.forwardings.device if controls.forwardings is not None else None
            await run_local_command(config.local_command, target, device)
        sharing = _sharing(connection, target, config, controls, log)
        background = sharing is not None and config.persists
        if leave is not None and (background or config.fork_after_authentication):
            leave()
            if background or config.session_type == "none":
                from nacre.cli.ssh.local import leave_streams

                leave_streams(errors=config.log_level > LogLevel.VERBOSE)
        if background:
            assert sharing is not None
            return await sharing.persist(config.control_persist)
        work = _work(connection, config, planned, join, controls, sharing)
        status = await (work if sharing is None else sharing.until_terminated(work))
    finally:
        await close_or_abort(connection)
    if planned.terminal:
        log.info(f"Connection to {target.name} closed.")
    return status


def _sharing(
    connection: Connection, target: Target, config: ClientConfig, controls: Controls, log: Log
) -> Sharing | None:
    """Begin to share the connection, if the configuration says so."""
    if not config.shares:
        return None
    from nacre.cli.ssh.master import start_sharing

    return start_sharing(connection, target, config, controls.ports(), log)


async def _work(
    connection: Connection,
    config: ClientConfig,
    planned: Plan,
    join: OtherEnd | None,
    controls: Controls,
    sharing: Sharing | None,
) -> int:
    """Do what the program was called for; return its exit status."""
    if join is not None:
        from nacre.cli.ssh.tunnels import join as join_place

        await join_place(connection, join)
        status, quit = 0, False
    elif config.session_type == "none":
        await (connection.wait_closed() if sharing is None else sharing.wait_unused(None))
        if connection.ended:
            connection.check()
        return 0
    else:
        from nacre.cli.ssh.session import TerminalSession

        log = controls.log
        resizes = None if sharing is None else sharing.resizes
        session = TerminalSession(connection, planned, log.info, controls=controls, resizes=resizes)
        status = await session.run()
        quit = session.quit
        log.debug(f"Exit status {status}")
    if controls.forwardings is not None and not quit:
        await connection.wait_idle()
    return status


def _place(text: str | None) -> OtherEnd | None:
    """Return the host and port of ``-W``, or the path of a Unix socket."""
    if text is None or text.startswith("/"):
        return text
    from nacre.config.tunnels import place

    return place("-W", text)


def show_config(arguments: Arguments, config: ClientConfig) -> int:
    """Print the configuration as ``ssh -G``; with ``-v``, where each value was written.

    :raises ConfigurationError: a value has a token that is not possible.
    """
    from nacre.client.target import Target
    from nacre.config.client.dump import client_lines

    target = Target.of(arguments.host, config)
    lines = client_lines(
        target.name, target.host, config, target.tokens(), origins=arguments.verbosity > 0
    )
    # As bytes: a value may have some that are no UTF-8.
    sys.stdout.buffer.write(os.fsencode("".join(f"{line}\n" for line in lines)))
    sys.stdout.flush()
    return 0
