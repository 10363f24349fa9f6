"""The options of ``nacre serve`` about where users are, which are one value."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click


def _where(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    from nacre.daemon.accounts.directories.plan import FORMS, HERE

    if text not in HERE and ":" not in text:
        raise click.BadParameter(f"{text!r} is none of {FORMS}")
    return text


_OPTIONS = (
    click.option(
        "--users",
        "where",
        metavar="WHERE",
        default="store",
        show_default=True,
        callback=_where,
        help="Who may log in. The users of the store are those of `nacre user`, those of the "
        "system its accounts, which needs root. Users elsewhere are found by a program "
        "(command:/PATH), by HTTP (https://URL), by Python (python:MODULE:OBJECT), in LDAP "
        "(ldap:/FILE), or by OpenID Connect (oidc:/FILE); see docs/directories.md.",
    ),
    click.option(
        "--users-group",
        "groups",
        multiple=True,
        metavar="GROUP",
        help="A group of the store that all users elsewhere are in; may be repeated. It is behind "
        "the groups that the directory names for a user.",
    ),
    click.option(
        "--users-account",
        "accounts",
        multiple=True,
        metavar="ACCOUNT",
        help="An account that the directory may name for sessions; may be repeated. By default it "
        "may name none, and --run-as or a group of the store decides.",
    ),
    click.option(
        "--users-secret",
        "secret",
        metavar="FILE",
        help="The secret that questions over HTTP are signed with. The first line of FILE, which "
        "has mode 0600.",
    ),
    click.option(
        "--users-program-account",
        "program_account",
        metavar="ACCOUNT",
        help="The account that the program of command:/PATH runs as. Under root it has to be "
        "given.",
    ),
)


def users_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command, which gets ``users`` for a ``Daemon``."""

    @wraps(function)
    def packed(
        *,
        where: str,
        groups: tuple[str, ...],
        accounts: tuple[str, ...],
        secret: str | None,
        program_account: str | None,
        **others: Any,
    ) -> None:
        from nacre.daemon.accounts.directories.plan import HERE, UsersPlan

        if where in HERE:
            if groups or accounts or secret or program_account:
                raise click.UsageError("the options --users-… are for users elsewhere")
            function(users=where, **others)
            return
        plan = UsersPlan(
            where=where,
            groups=groups,
            accounts=accounts,
            secret=secret,
            program_account=program_account,
        )
        function(users=plan, **others)

    for option in reversed(_OPTIONS):
        packed = option(packed)
    return packed
