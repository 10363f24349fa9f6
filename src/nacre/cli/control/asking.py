"""Asks the server of a state directory, and reports what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nacre.errors import NacreError

if TYPE_CHECKING:
    from nacre.daemon.control.caller import ControlCaller
    from nacre.daemon.control.values import Connected

channel_option = click.option(
    "--channel",
    type=click.IntRange(0),
    metavar="N",
    help="The channel of the session, if the connection has several. `nacre who --json` has them.",
)

quiet_option = click.option(
    "--quiet",
    is_flag=True,
    help="Do not tell the session's user. The server must have been started with --quiet-watch.",
)


@contextmanager
def server_of(state: Path | None) -> Iterator[ControlCaller]:
    """Connect to the running server; an error becomes a message, and exit status 1."""
    from nacre.daemon.control.caller import ControlCaller
    from nacre.daemon.state import default_path

    try:
        with ControlCaller(state or default_path()) as caller:
            yield caller
    except NacreError as error:
        raise click.ClickException(str(error)) from None


def connections(caller: ControlCaller, *, everyone: bool) -> list[Connected]:
    """Return the connections, and tell of processes that did not answer.

    :param everyone: those that log in, too.
    :raises ControlError: the server refuses, or is gone.
    """
    from nacre.daemon.control.requests import Who

    found = list(caller.ask("who", Who(everyone=everyone)))
    if caller.silent:
        click.echo(
            f"{caller.silent} of the server's processes did not answer: not all is shown", err=True
        )
    return found
