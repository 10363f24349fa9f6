"""``nacre agent``, also installed as ``nacre-ssh-agent``: an agent for a login session."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from nacre.cli.agent.arguments import AgentArguments, parse_arguments
from nacre.cli.common.start import start
from nacre.errors import ConfigurationError
from nacre.wire.text import safe

if TYPE_CHECKING:
    import click

SOCKET = "SSH_AUTH_SOCK"
PID = "SSH_AGENT_PID"

_WRONG = 1
"""The exit status of ssh-agent for wrong options, and where it can't start."""

_NOT_FOUND, _NOT_RUN = 127, 126
"""The exit statuses of shells for a command that is not there, or can't be run."""


def main() -> NoReturn:
    """Run ``nacre-ssh-agent``."""
    start(run, "nacre-ssh-agent", sys.argv[1:])


def __getattr__(name: str) -> click.Command:
    if name != "command":
        raise AttributeError(name)
    from nacre.cli.common.passing import Passing

    return Passing("agent", run)


def run(program: str, words: Sequence[str]) -> int:
    """Run the program on its command line; return the exit status."""
    if words[:1] in (["-h"], ["--help"]):
        from nacre.cli.help.pages import print_help

        return print_help(program, "agent")
    try:
        arguments = parse_arguments(words)
    except ConfigurationError as error:
        from nacre.cli.help.pages import refuse

        return refuse(program, "agent", _WRONG, f"{error}")
    if arguments.kill:
        return _kill(program, arguments)
    try:
        return _start(program, arguments)
    except OSError as error:
        print(f"{program}: can't start: {error}", file=sys.stderr)
        return _WRONG


def _start(program: str, arguments: AgentArguments) -> int:
    from nacre.agent.server import listen_at
    from nacre.cli.agent.running import SIGNALS, hold_keys

    # They wait until there are handlers for them: one that comes before would leave the socket.
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    listening = listen_at(arguments.path)
    shell = _Shell(arguments)
    if arguments.foreground or arguments.debug:
        shell.set(SOCKET, listening.path)
        shell.echo(f"Agent pid {os.getpid()}")
        sys.stdout.flush()
        return hold_keys(arguments, listening)
    sys.stdout.flush()
    parent = os.getpid()
    child = os.fork()
    if not child:
        from nacre.daemon.background import silence

        os.setsid()
        os.chdir("/")
        silence(0, 1, 2)
        _close_others(listening.sock.fileno())
        return hold_keys(arguments, listening, parent if arguments.command else None)
    listening.sock.close()
    if arguments.command:
        return _become(program, arguments.command, listening.path, child)
    shell.set(SOCKET, listening.path)
    shell.set(PID, str(child))
    shell.echo(f"Agent pid {child}")
    return 0


def _close_others(kept: int) -> None:
    """Close what this process inherited: a reader of such a pipe would wait for the agent's end."""
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))


def _become(program: str, command: Sequence[str], path: str, agent: int) -> int:
    """Execute the command in place of this program; the agent notices its end."""
    from nacre.cli.agent.running import SIGNALS

    os.environ[SOCKET] = path
    os.environ[PID] = str(agent)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    # Python ignores SIGPIPE, and what it executes would, too.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(command[0], list(command))
    except OSError as error:
        print(f"{program}: {safe(command[0])}: {error.strerror}", file=sys.stderr)
        return _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_RUN


def _kill(program: str, arguments: AgentArguments) -> int:
    """End the agent that the environment names."""
    pid = os.environ.get(PID)
    if pid is None:
        print(f"{program}: {PID} is not set: no agent to end", file=sys.stderr)
        return _WRONG
    if not (pid.isascii() and pid.isdigit() and int(pid) > 1):
        print(f"{program}: {PID}={safe(pid, 64)} is not the number of a process", file=sys.stderr)
        return _WRONG
    try:
        os.kill(int(pid), signal.SIGTERM)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else "there is no such process"
        print(f"{program}: can't end the agent {safe(pid, 64)}: {reason}", file=sys.stderr)
        return _WRONG
    shell = _Shell(arguments)
    shell.unset(SOCKET)
    shell.unset(PID)
    shell.echo(f"Agent pid {pid} killed")
    return 0


class _Shell:
    """Prints commands for a shell to evaluate."""

    def __init__(self, arguments: AgentArguments) -> None:
        users = os.environ.get("SHELL", "").endswith("csh")
        self._c = arguments.c_shell or (users and not arguments.bourne_shell)

    def set(self, name: str, value: str) -> None:
        """Print what sets a variable."""
        value = shlex.quote(value)
        print(f"setenv {name} {value};" if self._c else f"{name}={value}; export {name};")

    def unset(self, name: str) -> None:
        """Print what removes a variable."""
        print(f"unsetenv {name};" if self._c else f"unset {name};")

    def echo(self, text: str) -> None:
        """Print what shows a text."""
        print(f"echo {text};")
