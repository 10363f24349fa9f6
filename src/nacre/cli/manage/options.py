"""The options that several commands have, and how these report errors."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import click

from nacre.cli.manage.times import moment
from nacre.errors import NacreError

T = TypeVar("T")

CONTEXT: dict[str, Any] = {"help_option_names": ["-h", "--help"]}

Option: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Gives a function an option."""

state_option = click.option(
    "--state",
    # What opens it says more of why it can't be read.
    type=click.Path(path_type=Path, readable=False),
    metavar="DIR",
    help="The state directory; by default that of `nacre serve`.",
)

STORE = "nacre.store"
"""Where the context of a command has the URL of :data:`store_option`."""


def _keep_store(context: click.Context, _parameter: click.Parameter, text: str | None) -> None:
    context.meta[STORE] = text


store_option = click.option(
    "--store",
    metavar="URL",
    envvar="NACRE_STORE",
    expose_value=False,
    callback=_keep_store,
    help="The database that servers share. It is that of `nacre serve --store`; by default the "
    "environment's NACRE_STORE, or the file in the state directory.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

json_lines_option = click.option(
    "--json", "as_json", is_flag=True, help="Print objects of JSON, one a line."
)


def _moment(_context: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    try:
        return None if text is None else moment(text, end=parameter.name == "until")
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def since_option(what: str) -> Option:
    """Return the option ``--since``: microseconds since the epoch, or None.

    :param what: the sentence for the help that says what begins then.
    """
    text = f"{what} It is a span up to now, as 12h or 2d, a day such as 2030-12-31, or a time of it"
    return click.option(
        "--since", metavar="TIME", callback=_moment, help=f"{text} as in 2030-12-31T18:00."
    )


until_option = click.option(
    "--until", metavar="TIME", callback=_moment, help="The last time. A day counts to its end."
)


def reported(function: Callable[..., int | None]) -> Callable[..., None]:
    """Turn an error of nacre into a message and exit status 1, and a number into the status."""

    @wraps(function)
    def call(*args: Any, **options: Any) -> None:
        try:
            status = function(*args, **options)
        except NacreError as error:
            raise click.ClickException(str(error)) from None
        if status:
            sys.exit(status)

    return call


def print_each(
    found: Iterable[T], as_object: Callable[[T], object], line: Callable[[T], str], *, as_json: bool
) -> None:
    """Print what was found as it comes: each an object of JSON on a line, or as text."""
    for one in found:
        click.echo(json.dumps(as_object(one)) if as_json else line(one))


def note(text: str) -> None:
    """Print a remark on standard error."""
    click.echo(text, err=True)
