"""``nacre serve``: start an SSH server."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from nacre.cli.help.grouped import Grouped
from nacre.cli.manage.options import reported
from nacre.cli.serve.audit import audit_options
from nacre.cli.serve.config_file import Rereading, config_option
from nacre.cli.serve.edge import edge_options
from nacre.cli.serve.hooks import hook_options
from nacre.cli.serve.recording import recording_options
from nacre.cli.serve.sessions import SessionOptions, session_options
from nacre.cli.serve.store import StoreOptions, check_shareable, store_options
from nacre.cli.serve.users import users_options

if TYPE_CHECKING:
    from nacre.config.server.rules import ServerRules
    from nacre.daemon.accounts.directories.plan import UsersPlan
    from nacre.daemon.audit.events import AuditPlan
    from nacre.daemon.edge_settings import EdgeSettings
    from nacre.daemon.hooks.plan import HooksWanted
    from nacre.daemon.log.place import LogPlace
    from nacre.daemon.recorder.plan import RecordingPlan
    from nacre.daemon.sockets import Address
    from nacre.protocol.options import Profile

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


def _where(given: tuple[tuple[str, int], ...], file: str | None) -> tuple[Address, ...]:
    """Return where to listen; empty for where the file says."""
    from nacre.daemon.handover.activation import is_activated
    from nacre.daemon.sockets import Address

    if given and is_activated():
        raise click.UsageError(
            "--listen can't be used with socket activation, which says where to listen: leave "
            "--listen out, or disable the .socket unit of this service"
        )

    return tuple(Address(*one) for one in given or (() if file else (DEFAULT_ADDRESS,)))


def _state(given: Path | None) -> Path:
    from nacre.daemon.state import default_path

    return given or default_path()


def _log_place(text: str, form: Literal["text", "json"]) -> LogPlace:
    from nacre.daemon.log.place import LogPlace, Where

    places: dict[str, Where] = {"stderr": "stderr", "syslog": "syslog", "journal": "journal"}
    if text in places:
        return LogPlace(where=places[text], form=form)
    if "/" not in text:
        raise click.UsageError(
            f"--log-to {text}: give stderr, syslog, journal, or a path, as ./{text}"
        )
    return LogPlace(form=form, file=os.path.abspath(text))


def _read(again: Rereading, show: Callable[[ServerRules], None] | None) -> ServerRules:
    """Read the configuration, and show or check it."""
    from nacre.errors import ConfigurationError

    try:
        rules = again.load()
        if show is None:
            rules.check()
        else:
            show(rules)
    except ConfigurationError as error:
        if show is None:
            from nacre.daemon.handover.predecessor import report_failure

            report_failure(str(error))
        raise click.UsageError(str(error)) from None
    return rules


def _print(
    rules: ServerRules, *, connections: tuple[str, ...], profile: Profile, origins: bool
) -> None:
    from nacre.config.server.dump import server_lines

    for line in server_lines(rules, connections, profile=profile, origins=origins):
        click.echo(line)


@click.command("serve", cls=Grouped, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The directory of host keys and users. It is created if it is missing. "
    "By default nacre under XDG_STATE_HOME, or /var/lib/nacre for root.",
)
@store_options
@click.option(
    "--listen",
    "addresses",
    multiple=True,
    metavar="ADDR:PORT",
    callback=_addresses,
    help="The address to listen on; may be repeated. Port 0 picks a free port, an empty address "
    "means all. By default 127.0.0.1:2222, or with -f what ListenAddress and Port say.",
)
@users_options
@click.option(
    "--run-as",
    metavar="ACCOUNT",
    help="The account of users that have none. Sessions run as it, if root runs the server.",
)
@config_option
@click.option(
    "-f",
    "--sshd-config",
    "file",
    metavar="FILE",
    help="The configuration: a file of sshd_config. By default there is none.",
)
@click.option(
    "-o",
    "--option",
    "options",
    multiple=True,
    metavar="KEYWORD=VALUE",
    help="A keyword of sshd_config. For example -o MaxSessions=20; may be repeated. It counts "
    "before the file.",
)
@click.option("-t", "--check", "test", is_flag=True, help="Check the configuration, and end.")
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
    "--trust-own-ca",
    is_flag=True,
    help="Let users in with certificates of `nacre ca`. It is the authority of the same state "
    "directory. A certificate must have the user's name among its principals.",
)
@session_options
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    metavar="N",
    help="The number of serving processes. At best one for each core; one more supervises them. "
    "They have all of the server's rights: see --gates.",
)
@click.option(
    "--gates",
    type=click.IntRange(0, 256),
    metavar="N",
    help="The number of processes that clients meet up to the login. They have no rights, no files "
    "and no keys; after the login each user is served by a process with the user's rights. With 0 "
    "the serving processes do it all. By default 2, or 0 with --workers, SSH-1 or GSSAPI.",
)
@click.option(
    "--gate-user",
    metavar="ACCOUNT",
    help="The account of these processes. By default nacre, or nobody if there is no such account.",
)
@edge_options
@click.option(
    "--log-to",
    metavar="PLACE",
    default="stderr",
    show_default=True,
    help="Where the log goes. It is stderr, syslog, journal (of systemd), or the path of a file, "
    "which is opened again at SIGUSR1.",
)
@click.option(
    "--log-format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="The form of its lines. They are words key=value, or objects of JSON.",
)
@recording_options
@audit_options
@hook_options
@click.pass_context
@reported
def command(
    context: click.Context,
    state: Path | None,
    shared: StoreOptions,
    addresses: tuple[tuple[str, int], ...],
    users: Literal["store", "system"] | UsersPlan,
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
    trust_own_ca: bool,
    sessions: SessionOptions,
    workers: int,
    gates: int | None,
    gate_user: str | None,
    edge: EdgeSettings,
    log_to: str,
    form: Literal["text", "json"],
    recording: RecordingPlan | None,
    audit: AuditPlan,
    hooks: HooksWanted | None,
) -> None:
    """Start an SSH server.

    Host keys and the user store are created at the first start; `nacre user add` adds users, also
    while the server runs. The server prints "listening on ADDR:PORT" on standard error when it is
    ready, and a line for each phase of each connection. SIGHUP reads the files of -f and --config,
    the host keys and the banner again, for new connections. SIGUSR1 opens the file of --log-to
    again. SIGUSR2 starts the server anew, as `nacre restart` does, and refuses no client meanwhile.
    SIGTERM and SIGINT stop it: open sessions get a few seconds to end, or those of --drain, or none
    after a second signal. Sockets of socket activation are served in place of ListenAddress's.

    With -f a file of sshd_config configures it: `nacre serve -T -v -f FILE` tells what holds and
    where it was written. With --config a file of TOML says what the options say.
    """
    again, log = Rereading(context), _log_place(log_to, form)
    shown = partial(_print, connections=connections, profile=profile, origins=verbose)
    rules = _read(again, shown if show else None)
    check_shareable(shared["store"], users, edge, trust_own_ca=trust_own_ca, copied=audit.copied)
    if show or test:
        return

    from nacre.daemon.daemon import Daemon
    from nacre.daemon.separate.rights import default_gates

    Daemon(
        state=_state(state),
        **shared,
        addresses=_where(addresses, file),
        users=users,
        run_as=run_as,
        rules=rules,
        read=again,
        needs_restart=again.needs_restart,
        profile=profile,
        ssh1_strict=ssh1_strict,
        trust_own_ca=trust_own_ca,
        **sessions,
        workers=workers,
        gates=default_gates(rules.base, workers) if gates is None else gates,
        gate_user=gate_user,
        edge=edge,
        log=log,
        recording=recording,
        audit=audit,
        hooks=hooks,
    ).run()
