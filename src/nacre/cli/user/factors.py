"""``nacre user totp``: the second factors of users, and their recovery codes."""

from __future__ import annotations

import socket
from pathlib import Path

import click

from nacre.cli.help.grouped import GroupedGroup
from nacre.cli.manage.options import (
    CONTEXT,
    json_option,
    note,
    reported,
    state_option,
    store_option,
)
from nacre.cli.user.listing import show, shown_time
from nacre.cli.user.settings import open_store


@click.group("totp", cls=GroupedGroup, context_settings=CONTEXT)
def totp() -> None:
    """Give users a second factor: codes of an authenticator app (TOTP)."""


@totp.command("enrol")
@click.argument("name")
@state_option
@store_option
@click.option("--uri", is_flag=True, help="Print the otpauth URI in place of a QR code.")
@click.option("--issuer", metavar="NAME", help="What the app calls the server. [the host's name]")
@reported
def _enrol(name: str, state: Path | None, uri: bool, issuer: str | None) -> None:
    """Give a user a second factor, and print what an authenticator app reads.

    It is the only time that it is printed. A login asks for codes if --second-factor of the user,
    or of one of the groups, is optional or required.
    """
    from nacre.daemon.store.second_factor.totp import new_secret, provisioning_uri, qr_code, written

    secret = new_secret()
    text = provisioning_uri(secret, name, issuer or socket.gethostname())
    shown = text if uri else f"{qr_code(text)}\n\nkey: {written(secret)}"
    with open_store(state) as store:
        store.factors.enrol(name, secret)
        asked = store.user(name).second_factor != "none"
    click.echo(shown)
    note(f"recovery codes: `nacre user totp new-recovery {name}`")
    if not asked:
        note(
            f"no login of {name} asks for a code yet: "
            f"`nacre user set {name} --second-factor required`"
        )


@totp.command("list")
@state_option
@store_option
@json_option
@reported
def _list(state: Path | None, as_json: bool) -> None:
    """List the users who have a second factor, with the recovery codes that are left."""
    with open_store(state) as store:
        rows = store.factors.all()
    show(("name", "enrolled", "recovery"), rows, as_json, enrolled=shown_time)


@totp.command("remove")
@click.argument("name")
@state_option
@store_option
@reported
def _remove(name: str, state: Path | None) -> None:
    """Remove a user's second factor with its recovery codes.

    A user who must have one, and can't enrol one at a login, can't log in until there is one.
    """
    with open_store(state) as store:
        store.factors.remove(name)


@totp.command("new-recovery")
@click.argument("name")
@state_option
@store_option
@reported
def _new_recovery(name: str, state: Path | None) -> None:
    """Print ten new recovery codes, each for one login. Those before count no more."""
    from nacre.daemon.store.second_factor.totp import recovery_codes

    codes = recovery_codes()
    with open_store(state) as store:
        store.factors.set_recovery(name, codes)
    for code in codes:
        click.echo(code)


@totp.command("show-recovery")
@click.argument("name")
@state_option
@store_option
@reported
def _show_recovery(name: str, state: Path | None) -> None:
    """Print how many recovery codes a user has left. The store has their hashes alone."""
    with open_store(state) as store:
        click.echo(store.factors.recovery_left(name))
