"""The options of ``nacre serve`` about hooks, which are one value."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

_OPTIONS = (
    click.option(
        "--hooks",
        is_flag=True,
        help="Tell hooks what happens. `nacre hook` adds them, also while the server runs. Implies "
        "--audit.",
    ),
    click.option(
        "--hook-user",
        metavar="ACCOUNT",
        help="The account that runs hooks. If root runs the server; by default that of gates.",
    ),
)


def hook_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options, and their values as one argument, ``hooks``."""

    @wraps(function)
    def call(*args: Any, hooks: bool, hook_user: str | None, **options: Any) -> None:
        if hook_user is not None and not hooks:
            raise click.UsageError("--hook-user needs --hooks")
        from nacre.daemon.hooks.plan import HooksWanted

        function(*args, hooks=HooksWanted(user=hook_user) if hooks else None, **options)

    decorated: Callable[..., None] = call
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated
