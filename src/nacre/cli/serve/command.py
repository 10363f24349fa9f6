"""``nacre serve``: start an SSH server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import click

_ADDRESS = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]]*)):(\d{1,5})")

DEFAULT_ADDRESS = ("127.0.0.1", 2222)


def _addresses(
    _context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]
) -> tuple[tuple[str, int], ...]:
    """Parse each ``ADDR:PORT``, ``[IPV6]:PORT`` or ``:PORT``."""
    found = []
    for text in texts:
        match = _ADDRESS.fullmatch(text)
        if match is None or int(match[3]) > 65535:
            raise click.BadParameter(
                f"{text!r} is not ADDR:PORT; give for example 127.0.0.1:2222, [::1]:2222 or :0"
            )
        found.append((match[1] or match[2] or "", int(match[3])))
    return tuple(found) or (DEFAULT_ADDRESS,)


@click.command("serve", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The directory of host keys and users; created if missing. "
    "By default nacre under XDG_STATE_HOME, or /var/lib/nacre for root.",
)
@click.option(
    "--listen",
    "addresses",
    multiple=True,
    metavar="ADDR:PORT",
    callback=_addresses,
    help="The address to listen on; may be repeated. Port 0 picks a free port, an empty address "
    "means all. By default 127.0.0.1:2222.",
)
@click.option(
    "--users",
    type=click.Choice(["store", "system"]),
    default="store",
    show_default=True,
    help="The users that may log in: those of `nacre user`, or the accounts of this system (needs "
    "root).",
)
@click.option(
    "--run-as",
    metavar="ACCOUNT",
    help="With root: the account for sessions of users that have none of their own.",
)
@click.option(
    "-o",
    "options",
    multiple=True,
    metavar="KEYWORD=VALUE",
    help="A keyword of sshd_config, such as -o MaxSessions=20; may be repeated.",
)
@click.option(
    "--profile",
    type=click.Choice(["default", "legacy"]),
    default="default",
    show_default=True,
    help="The algorithms to offer; legacy includes old and weak ones.",
)
@click.option(
    "--protocol",
    metavar="VERSIONS",
    help="The versions of SSH to speak: 2, or 2,1, or 1; the same as -o Protocol. By default 2, "
    "because SSH-1 is weak.",
)
@click.option(
    "--ssh1-strict",
    is_flag=True,
    help="Refuse SSH-1 to users who need both a password and a key: SSH-1 accepts one of them.",
)
@click.option(
    "--end-processes",
    is_flag=True,
    help="End what outlives its session, such as a job that was started in the background with "
    "nohup. By default it lives on, as with sshd.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    metavar="N",
    help="The number of serving processes, at best one for each core; one more supervises them.",
)
def command(
    state: Path | None,
    addresses: tuple[tuple[str, int], ...],
    users: Literal["store", "system"],
    run_as: str | None,
    options: tuple[str, ...],
    profile: Literal["default", "legacy"],
    protocol: str | None,
    ssh1_strict: bool,
    end_processes: bool,
    workers: int,
) -> None:
    """Start an SSH server.

    Host keys and the user store are created at the first start; `nacre user add` adds users, also
    while the server runs. The server prints "listening on ADDR:PORT" on standard error when it is
    ready, and a line for each phase of each connection. SIGHUP reloads host keys and the banner.
    SIGTERM and SIGINT stop the server: open sessions get a few seconds to end, or none after a
    second signal.
    """
    from nacre.config.server.config import parse
    from nacre.errors import ConfigurationError, NacreError

    try:
        config = parse((*([] if protocol is None else [f"Protocol={protocol}"]), *options))
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None

    from nacre.daemon.daemon import Daemon

    try:
        Daemon(
            state=state,
            addresses=addresses,
            users=users,
            run_as=run_as,
            config=config,
            profile=profile,
            ssh1_strict=ssh1_strict,
            end_processes=end_processes,
            workers=workers,
        ).run()
    except NacreError as error:
        raise click.ClickException(str(error)) from None
