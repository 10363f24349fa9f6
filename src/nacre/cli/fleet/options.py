"""The options that the commands of ``nacre fleet`` share, and what they stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

if TYPE_CHECKING:
    from nacre.fleet.hosts import FleetHost, Inventory
    from nacre.fleet.plan import FleetPlan

Options: TypeAlias = dict[str, Any]

_FILE = click.Path(path_type=Path)
_SECONDS = click.FloatRange(0.001)

_HOSTS = (
    click.option(
        "-H", "--hosts", multiple=True, metavar="HOSTS",
        help="The hosts. Node sets such as web[01-50], groups such as @db, and user@host:port, "
        "with commas between them; may be repeated.",
    ),
    click.option(
        "-x", "--exclude", multiple=True, metavar="HOSTS", help="Leave these hosts out. As -H."
    ),
    click.option(
        "--hosts-file", "hosts_files", multiple=True, type=_FILE, metavar="FILE",
        help="The hosts of a file. Each line is as -H; # begins a comment.",
    ),
    click.option(
        "--from-config", "patterns", multiple=True, metavar="PATTERN",
        help="The names of ssh_config that match a pattern. Those of Host lines, without "
        "wildcards.",
    ),
    click.option(
        "--inventory", "inventories", multiple=True, type=_FILE, metavar="FILE",
        help="An inventory of Ansible, with hosts, groups and variables. In INI or YAML.",
    ),
    click.option(
        "--groups", "group_files", multiple=True, type=_FILE, metavar="FILE",
        help="A file of groups. Its lines are NAME: HOSTS.",
    ),
)  # fmt: skip

_LOGIN = (
    click.option("-l", "login_user", metavar="USER", help="The user to log in as."),
    click.option("-p", "port", type=click.IntRange(1, 65535), metavar="PORT", help="The port."),
    click.option(
        "-i", "keys", multiple=True, metavar="KEY", help="A private key to offer; may be repeated."
    ),
    click.option("-J", "jump", metavar="HOSTS", help="Connect through these hosts."),
    click.option(
        "-F", "config", metavar="FILE",
        help="Read this file in place of the usual ones. none: no file.",
    ),
    click.option(
        "-o", "keywords", multiple=True, metavar="KEYWORD=VALUE",
        help="Set a keyword of the configuration. See nacre help KEYWORD.",
    ),
)  # fmt: skip

_PLAN = (
    click.option(
        "-P", "--parallel", type=click.IntRange(1), default=64, show_default=True, metavar="N",
        help="Work on so many hosts at a time.",
    ),
    click.option(
        "--workers",
        type=click.IntRange(0, 256),
        default=0,
        metavar="N",
        help="Log in by so many processes, on as many cores. By default by this one.",
    ),
    click.option(
        "--engine", metavar="ADDRESS",
        help="Log in by the workers of a cluster of Dask. dask://HOST:PORT of its scheduler, or "
        "dask+tls://HOST:PORT.",
    ),
    click.option(
        "--rate", type=click.FloatRange(0.001), metavar="N",
        help="Begin at most so many attempts in a second.",
    ),
    click.option(
        "--canaries", type=click.IntRange(0), default=0, metavar="N",
        help="Work on so many hosts first, alone. If one does not end well, the run stops.",
    ),
    click.option(
        "--batch", type=click.IntRange(1), metavar="N",
        help="Work on so many hosts, then on as many others.",
    ),
    click.option(
        "--max-failures", type=click.IntRange(0), metavar="N",
        help="Stop when more than N hosts have not ended well. 0 stops at the first.",
    ),
    click.option(
        "--login-timeout", "login", type=_SECONDS, default=30.0, show_default=True, metavar="S",
        help="The seconds for each login.",
    ),
    click.option(
        "--timeout", type=_SECONDS, metavar="S",
        help="The seconds for each attempt at a host, the login included.",
    ),
    click.option("--deadline", type=_SECONDS, metavar="S", help="The seconds for the whole run."),
    click.option(
        "--retries", type=click.IntRange(0), default=0, metavar="N",
        help="Try so many times again where nothing was done. And what is idempotent, where its "
        "end was not seen.",
    ),
    click.option(
        "--backoff", type=click.FloatRange(0), default=1.0, show_default=True, metavar="S",
        help="Wait so many seconds before the second attempt. Each further pause is twice as "
        "long, up to a minute.",
    ),
)  # fmt: skip

state_option = click.option(
    "--state", type=_FILE, metavar="FILE", help="The file of runs, in place of the account's own."
)

_OUTPUT = (
    click.option("--json", "as_json", is_flag=True, help="Print an object of JSON for each host."),
    click.option(
        "--each", is_flag=True,
        help="Print what a host has printed when it ends. By default hosts that printed the same "
        "stand together at the end.",
    ),
    click.option(
        "--output", type=_FILE, metavar="DIR",
        help="Write what each host has printed to HOST.out and HOST.err in a directory.",
    ),
    click.option("-q", "--quiet", is_flag=True, help="Show no progress."),
)  # fmt: skip

_KEEP = (
    state_option,
    click.option("--no-state", is_flag=True, help="Do not keep the run in a file."),
)

Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]


def _all(options: tuple[Decorator, ...]) -> Decorator:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


output_options = _all(_OUTPUT)
shell_options = _all((*_HOSTS, *_LOGIN, *_PLAN, *_OUTPUT))
run_options = _all((*_HOSTS, *_LOGIN, *_PLAN, *_OUTPUT, *_KEEP))
host_options = _all(_HOSTS)

idempotent_option = click.option(
    "--idempotent", is_flag=True,
    help="Doing it twice is the same as doing it once. It is begun again where its end was not "
    "seen.",
)  # fmt: skip


def hosts_of(options: Options) -> list[FleetHost]:
    """Return the hosts that the options name.

    :raises ConfigurationError: a text or a file is wrong, or a group is unknown.
    """
    from nacre.config.client.files import SYSTEM_FILE, USER_FILE
    from nacre.fleet.hosts import FleetSources, config_names, read_names

    files = (USER_FILE, SYSTEM_FILE) if options.get("config") is None else (options["config"],)
    texts = [*options["hosts"], *map(read_names, options["hosts_files"])]
    for pattern in options["patterns"]:
        texts += config_names(pattern, files)
    return FleetSources(_inventories(options)).select(texts, options["exclude"])


def _inventories(options: Options) -> Iterator[Inventory]:
    from nacre.fleet.hosts import read_groups
    from nacre.fleet.inventory import read_inventory

    yield from map(read_inventory, options["inventories"])
    yield from map(read_groups, options["group_files"])


def plan_of(options: Options) -> FleetPlan:
    """Return how to go about the hosts."""
    from nacre.fleet.plan import FleetPlan

    return FleetPlan(**{name: options[name] for name in FIGURES})


FIGURES = (
    *("parallel", "rate", "canaries", "batch", "max_failures", "login", "timeout", "deadline"),
    *("retries", "backoff"),
)
"""The figures of a plan."""


def login_of(options: Options) -> dict[str, Any]:
    """Return how to log in, as values of JSON: the file of the configuration, and keywords."""
    from nacre.config.syntax.lexer import quote

    given = (("User", options["login_user"]), ("ProxyJump", options["jump"]))
    keywords = [f"{name}={quote(text)}" for name, text in given if text is not None]
    if options["port"] is not None:
        keywords.append(f"Port={options['port']}")
    keywords += [f"IdentityFile={quote(key)}" for key in options["keys"]]
    return {"config": options["config"], "keywords": [*keywords, *options["keywords"]]}
