"""What ``nacre ssh`` asks of the master of a shared connection: a session, forwardings, and ``-O``.

A master that is not there, or refuses, is no error of a session: the program then makes a
connection of its own. It is one of ``-O``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator

from nacre.cli.common.log import Log
from nacre.cli.common.start import FAILURE
from nacre.cli.quick import passenger
from nacre.cli.quick.passenger import Control, Passenger, Silent, TurnedDown, ride
from nacre.cli.ssh.session import Plan
from nacre.client.sharing import messages
from nacre.client.target import Target
from nacre.config.client.config import ClientConfig
from nacre.config.syntax.tokens import expand_path
from nacre.config.tunnels import Forward
from nacre.config.values import LogLevel
from nacre.errors import ConfigurationError, MalformedMessage
from nacre.value import value
from nacre.wire.message import Record
from nacre.wire.text import safe

PROXY = "proxy"
"""The command of ``-O`` that makes sessions and forwardings on the connection itself."""


@value
class Asked:
    """What is wanted of a master.

    :ivar path: its socket.
    :ivar planned: the session.
    :ivar join: ``-W``: the host and port, or the path of a socket, to join in its place.
    """

    path: str
    target: Target
    config: ClientConfig
    planned: Plan
    join: tuple[str, int] | str | None


def control_path(config: ClientConfig, target: Target) -> str | None:
    """Return the path of the master's socket, or None for no shared connection.

    :raises ConfigurationError: ControlPath has a token or variable that is not possible.
    """
    if config.control_path is None:
        return None
    return expand_path(config.control_path, target.tokens())


def as_passenger(asked: Asked) -> Passenger:
    """Return the session in the form in which a master is asked for it."""
    config, planned = asked.config, asked.planned
    made = Passenger(asked.path, asked.target.host)
    if isinstance(asked.join, str):
        made.place = (asked.join, messages.UNIX_SOCKET)
    else:
        made.place = asked.join
    line = os.fsencode(planned.subsystem) if planned.subsystem is not None else planned.command
    made.command = None if config.session_type == "none" else line or b""
    made.subsystem = planned.subsystem is not None
    made.terminal = planned.terminal
    made.agent = config.forward_agent is not None
    made.x11 = config.forward_x11
    made.environment = [os.fsencode(f"{k}={v}") for k, v in planned.environment.items()]
    made.escape = messages.NO_ESCAPE if planned.escape is None else planned.escape[0]
    made.reads = planned.read_input
    made.background = config.fork_after_authentication
    made.quiet = config.log_level < LogLevel.INFO
    made.silent = config.log_level < LogLevel.ERROR
    made.patience = config.connect_timeout or None
    return made


def share(asked: Asked, log: Log) -> int | None:
    """Use a master's connection, and return the exit status; None if there is none to use."""
    if asked.config.control_master in ("true", "ask") or passenger.turned_down == asked.path:
        return None
    log.debug(f"Trying the master at {safe(asked.path)}")
    try:
        control = Control(asked.path, asked.config.connect_timeout or None)
    except Silent as error:
        log.error(f"Control socket {safe(asked.path)}: {error}")
        return None
    except OSError as error:
        _report(asked, error, log)
        return None
    try:
        _open_forwards(control, asked.config, log)
        return ride(as_passenger(asked), control)
    except TurnedDown as error:
        log.error(str(error))
        # As with ssh(1), -W is not tried on another connection.
        return None if asked.join is None else FAILURE
    except (Silent, MalformedMessage, OSError) as error:
        log.error(f"The master at {safe(asked.path)} failed: {error}")
    finally:
        control.socket.close()
    return None


def _report(asked: Asked, error: OSError, log: Log) -> None:
    """Tell why a socket can't be reached; remove one whose master is gone, to be the next one."""
    path = safe(asked.path)
    if isinstance(error, ConnectionRefusedError) and asked.config.control_master != "false":
        log.debug(f"Stale control socket {path}, unlinking")
        try:
            os.unlink(asked.path)
        except OSError as failure:
            log.debug(f"It can't be removed: {failure.strerror}")
    elif isinstance(error, FileNotFoundError):
        log.debug(f'Control socket "{path}" does not exist')
    else:
        log.error(f"Control socket connect({path}): {error.strerror or error}")


# --- -O ---


def command(name: str, path: str | None, config: ClientConfig, log: Log) -> int:
    """Carry out a command of ``-O``, and return the exit status.

    :param path: the master's socket; None without ControlPath.
    :raises ConfigurationError: there is no such command, no ControlPath, or no master; or the
        master does not do it.
    """
    carry_out = _COMMANDS.get(name)
    if carry_out is None:
        raise ConfigurationError(f"Invalid multiplex command: give one of {', '.join(COMMANDS)}")
    if path is None:
        raise ConfigurationError(
            'No ControlPath specified for "-O" command: give -S PATH, or set ControlPath'
        )
    try:
        control = Control(path, config.connect_timeout or None)
    except OSError as error:
        raise ConfigurationError(
            f"Control socket connect({safe(path)}): {error.strerror or error}"
        ) from None
    except Silent as error:
        raise ConfigurationError(f"Control socket {safe(path)}: {error}") from None
    try:
        return carry_out(control, config, log)
    except (TurnedDown, Silent, MalformedMessage, OSError) as error:
        what = _FAILURES.get(name)
        raise ConfigurationError(f"{what}: {error}" if what else str(error)) from None
    finally:
        control.socket.close()


def _ask(control: Control, message: Record) -> Record:
    """Return the answer to a request.

    :raises TurnedDown: the master does not do it.
    :raises Silent: it ended the connection.
    """
    control.send(messages.encode(message))
    answer = control.receive()
    if answer is None:
        raise Silent("the master ended the connection")
    number, fields = answer
    decoded = messages.decode(passenger.u32(number) + fields)
    if isinstance(decoded, (messages.Failure, messages.Forbidden)):
        raise TurnedDown(safe(decoded.reason, 1000))
    return decoded


def _check(control: Control, config: ClientConfig, log: Log) -> int:
    answer = _ask(control, messages.AliveCheck(0))
    if not isinstance(answer, messages.Alive):
        raise Silent("the answer is another than to the request")
    _tell(f"Master running (pid={answer.pid})")
    return 0


def _told(message: Record, text: str) -> Callable[[Control, ClientConfig, Log], int]:
    def carry_out(control: Control, config: ClientConfig, log: Log) -> int:
        _ask(control, message)
        if config.log_level > LogLevel.QUIET:
            _tell(text)
        return 0

    return carry_out


def _begin_forwards(control: Control, config: ClientConfig, log: Log) -> int:
    for port in _open_forwards(control, config, log):
        print(port)
    return 0


def _open_forwards(control: Control, config: ClientConfig, log: Log) -> list[int]:
    """Begin the forwardings; return the ports that the server chose."""
    try:
        found = [_forward(control, one, log) for one in _forwards(config, messages.OpenForward)]
    except TurnedDown:
        raise TurnedDown("master forward request failed") from None
    return [port for port in found if port]


def _close_forwards(control: Control, config: ClientConfig, log: Log) -> int:
    try:
        for message in _forwards(config, messages.CloseForward):
            _forward(control, message, log)
    except TurnedDown:
        # As in ssh(1), it is no failure to end what is not there.
        log.error("master cancel forward request failed")
    return 0


def _information(about: str) -> Callable[[Control, ClientConfig, Log], int]:
    def carry_out(control: Control, config: ClientConfig, log: Log) -> int:
        answer = _ask(control, messages.GetInformation(0, about))
        if not isinstance(answer, messages.Information):
            raise Silent("the answer is another than to the request")
        for line in answer.lines.rstrip("\n").split("\n"):
            print(safe(line, 10_000))
        return 0

    return carry_out


_COMMANDS: dict[str, Callable[[Control, ClientConfig, Log], int]] = {
    "cancel": _close_forwards,
    "channels": _information("channels"),
    "check": _check,
    "conninfo": _information("connection"),
    "exit": _told(messages.Terminate(0), "Exit request sent."),
    "forward": _begin_forwards,
    "stop": _told(messages.StopListening(0), "Stop listening request sent."),
}
_FAILURES = {
    "channels": "Information request failed",
    "check": "master alive check failed",
    "conninfo": "Information request failed",
    "exit": "Master refused termination request",
    "stop": "Master refused stop listening request",
}

COMMANDS = (*sorted((*_COMMANDS, PROXY)),)
"""The commands of ``-O``."""


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\r\n")


def _forward(control: Control, message: Record, log: Log) -> int:
    """Begin or end a forwarding; return the port that the server chose, or 0."""
    try:
        answer = _ask(control, message)
    except TurnedDown as error:
        log.error(f"forwarding request failed: {error}")
        raise
    if not isinstance(answer, messages.PortChosen):
        return 0
    log.verbose(f"Allocated port {answer.port} for remote forward")
    return answer.port


def _forwards(
    config: ClientConfig, kind: type[messages.OpenForward] | type[messages.CloseForward]
) -> Iterator[Record]:
    """Yield a request for each forwarding, in the order of ssh(1)."""
    for number, forwards in (
        (messages.LOCAL, config.local_forwards),
        (messages.DYNAMIC, config.dynamic_forwards),
        (messages.REMOTE, config.remote_forwards),
    ):
        for one in forwards:
            yield kind(0, number, *_listener(one), *_destination(one))


def _listener(one: Forward) -> tuple[str, int]:
    if one.path:
        return one.path, messages.UNIX_SOCKET
    return "" if one.bind is None else one.bind or "*", one.port


def _destination(one: Forward) -> tuple[str, int]:
    if one.host_path:
        return one.host_path, messages.UNIX_SOCKET
    return (messages.SOCKS, 0) if one.dynamic else (one.host, one.host_port)
