"""``nacre add``, also installed as ``nacre-ssh-add``: the keys of an agent, as ssh-add(1)."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from nacre.cli.add.arguments import AddOptions, AddRefused, AddUsageError, parse_arguments
from nacre.cli.add.talk import complain
from nacre.cli.common.start import FAILURE, start
from nacre.errors import NacreError

if TYPE_CHECKING:
    import click

    from nacre.agent.client import Agent


_ACTIONS = {
    "l": "listing",
    "L": "listing",
    "x": "locking",
    "X": "locking",
    "D": "deleting",
    "T": "testing",
    "s": "tokens",
    "e": "tokens",
    "K": "tokens",
    "d": "deleting",
}
"""For each option that says what to do the module whose ``run(agent, options)`` does it. Of several
options the first of this table counts; without one, keys are added."""

_FAILED = 1
"""The exit status for what the agent refuses, and for a wrong command line."""

_NO_AGENT = 2
"""The exit status where there is no agent."""


def main() -> NoReturn:
    """Run ``nacre-ssh-add``."""
    start(run, "nacre-ssh-add", sys.argv[1:])


def __getattr__(name: str) -> click.Command:
    # Only the group `nacre` needs the click command.
    if name != "command":
        raise AttributeError(name)
    from nacre.cli.common.passing import Passing

    return Passing("add", run)


def run(program: str, words: Sequence[str]) -> int:
    """Run the program on its command line; return the exit status."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ends the program without a traceback
    try:
        options = parse_arguments(words)
        if options.show_help:
            from nacre.cli.help.pages import print_help

            return print_help(program, "add")
        return _with_agent(options)
    except AddUsageError as error:
        from nacre.cli.help.pages import refuse

        return refuse(program, "add", _FAILED, f"{error}")
    except AddRefused as error:
        complain(f"{error}")
        return _FAILED
    except NacreError as error:
        complain(f"{error}")
    return FAILURE


def _with_agent(options: AddOptions) -> int:
    path = os.environ.get("SSH_AUTH_SOCK")
    if not path:
        complain(
            "Could not open a connection to your authentication agent: SSH_AUTH_SOCK is not set; "
            "start one with: eval $(nacre-ssh-agent)"
        )
        return _NO_AGENT
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
            trial.connect(path)
    except OSError as error:
        complain(f"Error connecting to agent: {error.strerror or error}: {path}")
        return _NO_AGENT
    from nacre.agent.client import Agent

    return 0 if asyncio.run(act(Agent(path), options)) else _FAILED


async def act(agent: Agent, options: AddOptions) -> bool:
    """Do what the options say; return whether all of it was done.

    :raises AddRefused: nothing of it was.
    """
    name = next((module for letter, module in _ACTIONS.items() if letter in options), "adding")
    done: bool = await import_module(f"nacre.cli.add.{name}").run(agent, options)
    return done
