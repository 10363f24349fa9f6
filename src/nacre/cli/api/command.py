"""``nacre api``: the keys of the REST API, and its document."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from nacre.cli.help.grouped import GroupedGroup
from nacre.cli.manage.options import CONTEXT, json_option, reported, state_option
from nacre.cli.user.listing import show, shown_expiry, shown_time
from nacre.cli.user.settings import expiry, open_store
from nacre.daemon.store.api_keys import SCOPES


def _scopes(_context: click.Context, _parameter: click.Parameter, text: str) -> tuple[str, ...]:
    found = tuple(word.strip() for word in text.split(",") if word.strip())
    if wrong := [one for one in found if one not in SCOPES]:
        raise click.BadParameter(f"{wrong[0]!r} is none of {', '.join(SCOPES)}")
    if not found:
        raise click.BadParameter(f"give one or more of {', '.join(SCOPES)}")
    return found


def _expiry(_context: click.Context, _parameter: click.Parameter, text: str) -> int:
    # A span without its + is a span here: a key is made now.
    return expiry(f"+{text}" if text[-1:] in ("h", "d", "w") and text[:1] != "+" else text)


@click.group("api", cls=GroupedGroup, context_settings=CONTEXT)
def command() -> None:
    """Make keys for the REST API of `nacre serve --api`, list and revoke them.

    A change takes effect at the next call, without a restart of the server.
    """


@command.group("key", context_settings=CONTEXT)
def _key() -> None:
    """Make, list and revoke keys."""


@_key.command("create")
@click.argument("name")
@state_option
@click.option(
    "--scope",
    "scopes",
    required=True,
    metavar="SCOPES",
    callback=_scopes,
    help="What the key is for. Several with commas between them: "
    + "; ".join(f"{name}, to {text}" for name, text in SCOPES.items())
    + ".",
)
@click.option(
    "--expires",
    metavar="TIME",
    required=True,
    callback=_expiry,
    help="When it expires. A span such as 90d or 12h, a day such as 2030-12-31, or never.",
)
@reported
def _create(name: str, state: Path | None, scopes: tuple[str, ...], expires: int) -> None:
    """Make a key and print it.

    It is shown this once: the store has its hash alone.
    """
    with open_store(state, create=True) as store:
        click.echo(store.api_keys.create(name, scopes, expires))


@_key.command("list")
@state_option
@json_option
@reported
def _list(state: Path | None, as_json: bool) -> None:
    """List the keys, without what is secret in them."""
    with open_store(state) as store:
        keys = store.api_keys.all()
    now = time.time()
    rows = [(one.name, one.scopes, one.created, one.expires, one.expired(now)) for one in keys]
    names = ("name", "scopes", "created", "expires", "expired")
    joined = list if as_json else ",".join
    show(names, rows, as_json, scopes=joined, created=shown_time, expires=shown_expiry)


@_key.command("revoke")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@state_option
@reported
def _revoke(names: tuple[str, ...], state: Path | None) -> None:
    """Revoke keys: from now on they are unknown."""
    with open_store(state) as store:
        for name in names:
            store.api_keys.revoke(name)


@command.command("openapi")
def _openapi() -> None:
    """Print the document of OpenAPI, as the server has it at /openapi.json."""
    from nacre.cli.api.openapi import document

    click.echo(json.dumps(document(), indent=2))
