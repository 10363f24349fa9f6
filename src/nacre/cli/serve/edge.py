"""The options of ``nacre serve`` about proxies, bans, metrics and the API: one value."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from grp import getgrnam
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from nacre.daemon.api.plan import APIPlan


def parse_networks_option(
    _context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]
) -> tuple[str, ...]:
    """Check networks; commas may separate them."""
    from nacre.errors import ConfigurationError
    from nacre.server.admission.networks import parse_networks, show_network

    try:
        return tuple(map(show_network, parse_networks(texts)))
    except ConfigurationError as error:
        raise click.BadParameter(str(error)) from None


_PLACE = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]]*)):(\d{1,5})")


def parse_place(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> tuple[str, int] | None:
    """Parse ``ADDR:PORT``; without an address it is the loopback's."""
    if text is None:
        return None
    match = _PLACE.fullmatch(text)
    if match is None or int(match[3]) > 65535:
        raise click.BadParameter(
            f"{text!r} is not ADDR:PORT; give for example :9222, 127.0.0.1:9222 or [::1]:9222"
        )
    return match[1] or match[2] or "127.0.0.1", int(match[3])


def _places(
    context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
) -> tuple[tuple[str, int], ...]:
    """Parse addresses, and paths of Unix sockets, whose port is 0."""
    return tuple(
        (str(Path(text).absolute()), 0)
        if "/" in text
        else parse_place(context, parameter, text) or ("", 0)
        for text in texts
    )


def _group(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    """Return the number of a group."""
    if text is None or text.isdecimal():
        return None if text is None else int(text)
    try:
        return getgrnam(text).gr_gid
    except KeyError:
        raise click.BadParameter(f"there is no group {text!r}") from None


_OPTIONS = (
    click.option(
        "--proxy-from",
        multiple=True,
        metavar="NETWORKS",
        callback=parse_networks_option,
        help="Networks of proxies that name their clients. They send the header of the PROXY "
        "protocol, version 1 or 2, as HAProxy does with send-proxy. From there it is required, and "
        "believed; from elsewhere it is an error. For example 10.0.0.0/8,192.0.2.1; may be "
        "repeated.",
    ),
    click.option(
        "--metrics",
        metavar="ADDR:PORT",
        callback=parse_place,
        help="Where to serve /metrics, for Prometheus, and /health, over HTTP. Without an address "
        "it is 127.0.0.1. Needs the extra metrics.",
    ),
    click.option(
        "--bans",
        type=click.IntRange(0, 1_000_000),
        metavar="POINTS",
        help="Close connections from banned networks at once. A network is banned for a while "
        "when its failed logins, scans and other offences add up to so many points, 100 for "
        "example; with 0 those of `nacre ban` alone are.",
    ),
)

_API = (
    click.option(
        "--api",
        multiple=True,
        metavar="ADDR:PORT|PATH",
        callback=_places,
        help="Where to serve the REST API, whose keys `nacre api` makes. Without an address it is "
        "127.0.0.1; an address that others can reach needs TLS. A path with a slash is a Unix "
        "socket, where the server's account and root need no key. May be repeated. Needs the extra "
        "api.",
    ),
    click.option(
        "--api-group",
        metavar="GROUP",
        callback=_group,
        help="The group that may connect to the Unix socket of --api, too, and needs keys.",
    ),
    click.option(
        "--api-cert",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The certificate of the REST API for TLS. In PEM, with those above it behind it.",
    ),
    click.option(
        "--api-key",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The private key of this certificate. In PEM, without a passphrase.",
    ),
)

API_PROGRAM = "nacre.cli.api.process"
"""The module of the processes that serve the API."""


def edge_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command, which gets an ``EdgeSettings`` as ``edge``."""

    @wraps(function)
    def packed(
        *,
        proxy_from: tuple[str, ...],
        metrics: tuple[str, int] | None,
        bans: int | None,
        api: tuple[tuple[str, int], ...],
        api_group: int | None,
        api_cert: Path | None,
        api_key: Path | None,
        **others: Any,
    ) -> None:
        from nacre.daemon.edge_settings import EdgeSettings

        edge = EdgeSettings(
            proxy_from=proxy_from,
            metrics=metrics,
            ban_points=bans,
            api=_plan(api, api_group, api_cert, api_key),
        )
        function(edge=edge, **others)

    for option in reversed((*_OPTIONS, *_API)):
        packed = option(packed)
    return packed


def _plan(
    addresses: tuple[tuple[str, int], ...],
    group: int | None,
    certificate: Path | None,
    key: Path | None,
) -> APIPlan | None:
    local = [host for host, _ in addresses if host.startswith("/")]
    if (certificate or key) and len(local) == len(addresses):
        raise click.UsageError("--api-cert and --api-key need --api ADDR:PORT")
    if group is not None and not local:
        raise click.UsageError("--api-group needs --api PATH")
    if not addresses:
        return None
    if (certificate is None) is not (key is None):
        raise click.UsageError("--api-cert and --api-key belong together: give both")
    from nacre.daemon.api.plan import APIPlan

    return APIPlan(
        program=API_PROGRAM,
        addresses=addresses,
        group=group,
        certificate=None if certificate is None else certificate.absolute(),
        key=None if key is None else key.absolute(),
    )
