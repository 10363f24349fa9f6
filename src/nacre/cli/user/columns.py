"""Which columns a list of users or of groups has.

A setting has a column where users differ in it. What all have alike is said once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from operator import itemgetter
from typing import Any, TypeAlias

import click

from nacre.cli.manage.options import Option, note
from nacre.cli.user.listing import show, word
from nacre.daemon.store.values import LISTED, USUAL
from nacre.wire.text import safe

_BLOCK = 1000
"""Rows that are compared at a time."""

_WIDEST = 32
"""Characters of a value, in a column that was not asked for."""

_LONGEST = 2000
"""Characters of what all have alike."""

ALL = "all"
"""Stands for all columns."""

Row: TypeAlias = Sequence[Any]
Shown: TypeAlias = Mapping[str, Callable[[Any], Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListColumns:
    """What can be listed.

    :ivar names: what a row has.
    :ivar first: the columns that a table always has.
    :ivar told: what no table has of itself: ``first`` tells it, or it is of little interest.
    :ivar made: columns that are made of a row; it gets the value of each of ``names``.
    :ivar usual: what is not worth a word where all have it.
    """

    names: tuple[str, ...]
    first: tuple[str, ...]
    told: frozenset[str]
    made: Mapping[str, Callable[[Mapping[str, Any]], str]]
    usual: Mapping[str, Any]


def columns_option(listed: ListColumns) -> Option:
    """Return the option ``--columns``: the names, or None."""
    known = (*listed.made, *listed.names)

    def parse(
        _context: click.Context, _parameter: click.Parameter, text: str | None
    ) -> tuple[str, ...] | None:
        if text is None:
            return None
        names = tuple(dict.fromkeys(text.split(",")))
        if names == (ALL,):
            return listed.names
        if wrong := [name for name in names if name not in known]:
            raise click.BadParameter(
                f"{wrong[0]!r} is none of {', '.join(known)}; write for example "
                f"{','.join(listed.first)}, or all"
            )
        return names

    return click.option(
        "--columns",
        metavar="NAMES",
        callback=parse,
        help="The columns, with commas between them, or all. By default "
        f"{', '.join(listed.first)}, and settings that are not the same for all.",
    )


def list_rows(
    listed: ListColumns,
    read: Callable[[], Iterable[Row]],
    names: tuple[str, ...] | None,
    shown: Shown,
    *,
    as_json: bool,
) -> None:
    """Print rows as a table, or as JSON.

    :param read: begins to read the rows; where no columns were given, they are read twice, because
        a server may have a million users.
    :param names: the columns that were given; None for those that are usual.
    :param shown: for a column, what turns a value into the one to print.
    """
    if names is None and as_json:
        names = listed.names
    if names is None:
        alike, differing = _compared(listed, read())
        names = (*listed.first, *differing)
        if alike:
            words = [f"{name} {word(_value(shown, name, one))}" for name, one in alike.items()]
            note(safe(f"the same for all: {', '.join(words)}", _LONGEST))
        shown = {**shown, **{name: partial(_short, shown, name) for name in differing}}
    show(names, _picked(listed, names, read()), as_json, **shown)


def _compared(listed: ListColumns, rows: Iterable[Row]) -> tuple[dict[str, Any], list[str]]:
    """Return what all rows have alike and is not usual, and the names of the others."""
    rows, first = iter(rows), None
    same = {name: at for at, name in enumerate(listed.names) if name not in listed.told}
    others = set(same)
    while block := list(islice(rows, _BLOCK)):
        first = first or block[0]
        columns = list(zip(*block, strict=True))
        same = {name: at for name, at in same.items() if columns[at].count(first[at]) == len(block)}
    if first is None:
        return {}, []
    alike = {name: first[at] for name, at in same.items() if first[at] != listed.usual.get(name)}
    return alike, [name for name in listed.names if name in others - same.keys()]


def _picked(listed: ListColumns, names: tuple[str, ...], rows: Iterable[Row]) -> Iterator[Row]:
    """Return the values of some columns."""
    if not any(name in listed.made for name in names):
        places = [listed.names.index(name) for name in names]
        pick = itemgetter(*places) if len(places) > 1 else lambda row: (row[places[0]],)
        return map(pick, rows)
    return (_made(listed, names, dict(zip(listed.names, row, strict=True))) for row in rows)


def _made(listed: ListColumns, names: tuple[str, ...], row: Mapping[str, Any]) -> Row:
    return [listed.made[name](row) if name in listed.made else row[name] for name in names]


def _value(shown: Shown, name: str, value: Any) -> Any:
    return shown[name](value) if name in shown else value


def _short(shown: Shown, name: str, value: Any) -> Any:
    found = _value(shown, name, value)
    if isinstance(found, str) and len(found) > _WIDEST:
        return found[: _WIDEST - 3] + "..."
    return found


def _state(user: Mapping[str, Any]) -> str:
    """Return whether a user may log in, and with what."""
    expired = user["expires"] and time.time() >= user["expires"]
    keys = user["keys"]
    states = (
        (user["disabled"], "disabled"),
        (expired, "expired"),
        (user["password"], "password"),
        (keys, "1 key" if keys == 1 else f"{keys} keys"),
    )
    return ", ".join(text for holds, text in states if holds)


def directory(one: Mapping[str, Any]) -> str:
    """Return which directory a user sees, or users of a group do."""
    return one["root"] or one["home"] or ""


LISTED_USERS = ListColumns(
    names=LISTED,
    first=("name", "groups", "state", "directory"),
    told=frozenset(("name", "groups", "password", "keys", "disabled", "home", "root", "created")),
    made={"state": _state, "directory": directory},
    usual=USUAL,
)
