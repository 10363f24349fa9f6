"""``nacre user security-key``: the security keys that users show to the web console."""

from __future__ import annotations

from pathlib import Path

import click

from nacre.cli.help.grouped import GroupedGroup
from nacre.cli.manage.options import (
    CONTEXT,
    json_option,
    reported,
    state_option,
    store_option,
)
from nacre.cli.user.listing import show, shown_time
from nacre.cli.user.settings import open_store


@click.group("security-key", cls=GroupedGroup, context_settings=CONTEXT)
def security_key() -> None:
    """List and remove security keys and passkeys of the web console (WebAuthn).

    Users enrol them in the console. Keys for logins by SSH are those of `nacre user key`.
    """


@security_key.command("list")
@click.argument("name", required=False)
@state_option
@store_option
@json_option
@reported
def _list(name: str | None, state: Path | None, as_json: bool) -> None:
    """List the security keys of a user, or of all users."""
    with open_store(state) as store:
        keys = store.factors.security_keys
        found = keys.all() if name is None else keys.of(store.user(name).name)
    names = ("user", "id", "name", "host", "added", "used")
    rows = [(one.user, one.id, one.name, one.rp_id, one.added, one.used or None) for one in found]
    show(names, rows, as_json, added=shown_time, used=_shown_use)


@security_key.command("remove")
@click.argument("name")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@state_option
@store_option
@reported
def _remove(name: str, ids: tuple[str, ...], state: Path | None) -> None:
    """Remove security keys of a user. `list` shows their IDs.

    A user who has no other second factor signs in to the console by the password alone then, unless
    --second-factor is required.
    """
    with open_store(state) as store:
        for one in ids:
            store.factors.security_keys.remove(store.user(name).name, one)


def _shown_use(seconds: int | None) -> str | None:
    return None if seconds is None else shown_time(seconds)
