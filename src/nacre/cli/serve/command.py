"""``nacre serve``: start an SSH server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import click

from nacre.cli.help.grouped import Grouped

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
    return tuple(found)


@click.command("serve", cls=Grouped, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The directory of host keys and users. It is created if it is missing. "
    "By default nacre under XDG_STATE_HOME, or /var/lib/nacre for root.",
)
@click.option(
    "--listen",
    "addresses",
    multiple=True,
    metavar="ADDR:PORT",
    callback=_addresses,
    help="The address to listen on; may be repeated. Port 0 picks a free port, an empty address "
    "means all. By default 127.0.0.1:2222, or with -f what ListenAddress and Port say.",
)
@click.option(
    "--users",
    type=click.Choice(["store", "system"]),
    default="store",
    show_default=True,
    help="Who may log in. The users of the store are those of `nacre user`, those of the system "
    "its accounts, which needs root.",
)
@click.option(
    "--run-as",
    metavar="ACCOUNT",
    help="The account of users that have none. Sessions run as it, if root runs the server.",
)
@click.option(
    "-f",
    "file",
    metavar="FILE",
    help="The configuration: a file of sshd_config. By default there is none.",
)
@click.option(
    "-o",
    "options",
    multiple=True,
    metavar="KEYWORD=VALUE",
    help="A keyword of sshd_config. For example -o MaxSessions=20; may be repeated. It counts "
    "before the file.",
)
@click.option("-t", "test", is_flag=True, help="Check the configuration, and end.")
@click.option("-T", "show", is_flag=True, help="Print the configuration, and end.")
@click.option(
    "-C",
    "connections",
    multiple=True,
    metavar="SPEC",
    help="The connection that -T is for. Match gets what is given of "
    "user=NAME,host=NAME,addr=ADDRESS,laddr=ADDRESS,lport=PORT,rdomain=NAME,invalid-user; may be "
    "repeated.",
)
@click.option("-v", "verbose", is_flag=True, help="Tell where each value of -T was written.")
@click.option(
    "--profile",
    type=click.Choice(["default", "legacy"]),
    default="default",
    show_default=True,
    help="The algorithms to offer. Legacy includes old and weak ones.",
)
@click.option(
    "--protocol",
    metavar="VERSIONS",
    help="The versions of SSH to speak. 2, or 2,1, or 1; the same as -o Protocol. By default 2, "
    "because SSH-1 is weak.",
)
@click.option(
    "--ssh1-strict",
    is_flag=True,
    help="Refuse SSH-1 to users with two factors. SSH-1 accepts either the password or the key of "
    "users who need both.",
)
@click.option(
    "--end-processes",
    is_flag=True,
    help="End what outlives its session. An example is a job that was started in the background "
    "with nohup. By default it lives on, as with sshd.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    metavar="N",
    help="The number of serving processes. At best one for each core; one more supervises them.",
)
def command(
    state: Path | None,
    addresses: tuple[tuple[str, int], ...],
    users: Literal["store", "system"],
    run_as: str | None,
    file: str | None,
    options: tuple[str, ...],
    test: bool,
    show: bool,
    connections: tuple[str, ...],
    verbose: bool,
    profile: Literal["default", "legacy"],
    protocol: str | None,
    ssh1_strict: bool,
    end_processes: bool,
    workers: int,
) -> None:
    """Start an SSH server.

    Host keys and the user store are created at the first start; `nacre user add` adds users, also
    while the server runs. The server prints "listening on ADDR:PORT" on standard error when it is
    ready, and a line for each phase of each connection. SIGHUP reads the file of -f, the host keys
    and the banner again, for new connections.
    SIGTERM and SIGINT stop the server: open sessions get a few seconds to end, or none after a
    second signal.

    With -f it is configured by a file of sshd_config: `nacre serve -T -v -f FILE` tells what holds
    and where it was written.
    """
    from nacre.config.server.files import load, reader_of
    from nacre.errors import ConfigurationError, NacreError

    options = (*([] if protocol is None else [f"Protocol={protocol}"]), *options)
    try:
        rules = load(file, options)
        if show:
            from nacre.config.server.dump import server_lines

            for line in server_lines(rules, connections, profile=profile, origins=verbose):
                click.echo(line)
            return
        rules.check()
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None
    if test:
        return

    from nacre.daemon.daemon import Daemon
    from nacre.daemon.sockets import Address
    from nacre.daemon.state import default_path

    if not addresses and file is None:
        addresses = (DEFAULT_ADDRESS,)
    try:
        Daemon(
            state=state or default_path(),
            addresses=tuple(Address(*address) for address in addresses),
            users=users,
            run_as=run_as,
            rules=rules,
            read=reader_of(file, options),
            profile=profile,
            ssh1_strict=ssh1_strict,
            end_processes=end_processes,
            workers=workers,
        ).run()
    except NacreError as error:
        raise click.ClickException(str(error)) from None
