"""``nacre restart``: have the running server start a successor."""

from __future__ import annotations

from pathlib import Path

import click

from nacre.cli.help.grouped import Grouped
from nacre.cli.manage.options import CONTEXT, state_option


@click.command("restart", cls=Grouped, context_settings=CONTEXT)
@state_option
def command(state: Path | None) -> None:
    """Restart the running server, and refuse no client meanwhile.

    The server starts its own command line anew: with what is installed now, and the configuration
    as it is now. The new process listens on the same sockets. When it does, the old one takes no
    more clients, and ends with the last that it has. If the new process can't start, the old one
    goes on, and this command says why.

    SIGUSR2 does the same, and the log has the outcome.
    """
    from nacre.daemon.control.restarting import restart
    from nacre.daemon.state import default_path
    from nacre.errors import NacreError

    try:
        before, after = restart(state or default_path())
    except NacreError as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"process {after} serves now; process {before} ends with its last connection")
