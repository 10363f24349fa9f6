"""The options of ``nacre serve`` for a store which several servers share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import click

from nacre.errors import ConfigurationError

if TYPE_CHECKING:
    from nacre.daemon.accounts.directories.plan import UsersPlan
    from nacre.daemon.edge_settings import EdgeSettings
    from nacre.daemon.store.postgres.store_url import StoreURL


def _parsed(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> StoreURL | None:
    if text is None:
        return None
    from nacre.daemon.store.postgres.store_url import store_url

    try:
        return store_url(text)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None


def _node_name(
    _context: click.Context, _parameter: click.Parameter, name: str | None
) -> str | None:
    if name is None:
        return None
    from nacre.daemon.nodes.values import check_node_name

    try:
        return check_node_name(name)
    except ConfigurationError as error:
        raise click.BadParameter(str(error)) from None


class StoreOptions(TypedDict):
    """Arguments of :class:`~nacre.daemon.daemon.Daemon`."""

    store: StoreURL | None
    node: str | None
    host_keys_seal: str | None
    share_quotas: bool


_OPTIONS = (
    click.option(
        "--store",
        metavar="URL",
        envvar="NACRE_STORE",
        callback=_parsed,
        help="The database of users, groups and bans. It is one of PostgreSQL, such as "
        "postgresql://nacre@db.example.org/nacre, which several servers share. By default it is a "
        "file in the state directory.",
    ),
    click.option(
        "--node",
        metavar="NAME",
        callback=_node_name,
        help="The name of this server among those that share the store. By default the host's. "
        "Give each a name of its own.",
    ),
    click.option(
        "--share-host-keys",
        "host_keys_seal",
        metavar="FILE",
        help="Have the host keys that the store keeps, sealed, for all its servers. "
        "FILE has the key that seals them. It is 64 hexadecimal digits, as `openssl rand -hex 32` "
        "prints them, and the same on each server.",
    ),
    click.option(
        "--share-quotas",
        is_flag=True,
        help="Have quotas, transfers and rates hold over all servers of the store. "
        "They need the same files of users, on each server below the same directory.",
    ),
)


def store_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options, and their values as one argument, ``shared``."""

    @wraps(function)
    def call(
        *args: Any,
        store: StoreURL | None,
        node: str | None,
        host_keys_seal: str | None,
        share_quotas: bool,
        **options: Any,
    ) -> None:
        if share_quotas and store is None:
            raise click.UsageError("--share-quotas needs --store, the database that counts")
        if host_keys_seal is not None and store is None:
            raise click.UsageError("--share-host-keys needs --store, the database that has them")
        shared = StoreOptions(
            store=store, node=node, host_keys_seal=host_keys_seal, share_quotas=share_quotas
        )
        function(*args, shared=shared, **options)

    decorated: Callable[..., None] = call
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def check_shareable(
    store: StoreURL | None,
    users: Literal["store", "system"] | UsersPlan,
    edge: EdgeSettings,
    *,
    trust_own_ca: bool,
    copied: bool,
) -> None:
    """Refuse what a store that several servers share can't do yet, and what it alone can do.

    :param store: None for one that they don't share.
    :param copied: events are to be copied there.
    :raises click.UsageError: something else was asked for.
    """
    if copied and store is None:
        raise click.UsageError("--audit-store needs --store, the database to copy events to")
    refused = {
        "--users DIRECTORY": not isinstance(users, str),
        "--api": edge.api is not None,
        "--trust-own-ca": trust_own_ca,
    }
    for option, given in refused.items():
        if given and store is not None:
            raise click.UsageError(f"{option} can't be used with --store yet: see docs/nodes.md")
