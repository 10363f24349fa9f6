"""Tables of ``nacre user`` and ``nacre group``, on a terminal or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from functools import lru_cache
from itertools import islice
from typing import Any

import click

from nacre.cli.user.limits import SIZES, written_size
from nacre.wire.text import safe

_BLOCK = 1000
"""Rows that are printed at a time."""


def shown_expiry(seconds: int | None) -> str | None:
    """Return the time at which logins end; 0 stands for never."""
    if not seconds:
        return None if seconds is None else "never"
    return shown_time(seconds)


def shown_span(seconds: int | None) -> str | None:
    """Return a span of time as options take it; 0 stands for never."""
    if not seconds:
        return None if seconds is None else "never"
    return f"{seconds // 86400}d" if seconds % 86400 == 0 else f"{seconds // 3600}h"


def shown_lines(text: str | None) -> str | None:
    """Return a setting of several lines in one."""
    return None if text is None else text.replace("\n", "; ")


def shown_validity(seconds: int | None) -> str | None:
    """Return for how long certificates are valid; 0 stands for none."""
    if not seconds:
        return None if seconds is None else "none"
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def shown_time(seconds: int) -> str:
    """Return a time, in seconds since the epoch, in UTC as of RFC 3339."""
    days, rest = divmod(seconds, 86400)
    return f"{_day(days)}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}Z"


SHOWN: dict[str, Callable[[Any], Any]] = {
    "expires": shown_expiry,
    "enrol_within": shown_span,
    "password_expires": shown_span,
    "folders": shown_lines,
    "certificate_options": shown_lines,
    "certificate_valid": shown_validity,
    "rights": shown_lines,
    **dict.fromkeys(SIZES, written_size),
}
"""How settings are shown that are not as they are stored."""


@lru_cache(1024)
def _day(number: int) -> str:
    return (date(1970, 1, 1) + timedelta(number)).isoformat()


def show(
    names: Sequence[str],
    rows: Iterable[Sequence[Any]],
    as_json: bool,
    **shown: Callable[[Any], Any],
) -> None:
    """Print rows as a table, or as JSON, as they come. Without rows the table has no lines.

    Each column of a block is converted at once, because a server may have a million users.

    :param names: the columns.
    :param shown: for a column, what turns a value into the one to print.
    """
    rows = iter(rows)
    widths = [0 if as_json else len(name) for name in names]
    # The form of json.dumps(…, indent=2).
    fields = ",\n".join(f'    "{name}": %s' for name in names)
    form, end, before = f"\n  {{\n{fields}\n  }}", "[]", "["
    head = [tuple(names)]
    while block := list(islice(rows, _BLOCK)):
        columns = [
            list(map(shown[name], column)) if name in shown else column
            for name, column in zip(names, zip(*block, strict=True), strict=True)
        ]
        if as_json:
            texts = zip(*([_encoded(value) for value in column] for column in columns), strict=True)
            click.echo(before + ",".join([form % text for text in texts]), nl=False)
            before, end = ",", "\n]"
            continue
        cells = [_cells(column) for column in columns]
        # A column gets wider with a later block, and never narrower.
        widths = [
            max(width, *map(len, column)) for width, column in zip(widths, cells, strict=True)
        ]
        line = "  ".join(f"%-{width}s" for width in widths)
        lines = [*head, *zip(*cells, strict=True)]
        click.echo("\n".join([(line % row).rstrip() for row in lines]))
        head = []
    if as_json:
        click.echo(end)


def _encoded(value: Any) -> str:
    if isinstance(value, str):
        return json.encoder.encode_basestring_ascii(value)
    return str(value) if type(value) is int else json.dumps(value)


def _cells(column: Iterable[Any]) -> list[str]:
    texts = [value if value and type(value) is str else word(value) for value in column]
    together = "".join(texts)
    return texts if safe(together, len(together)) == together else [safe(text) for text in texts]


def word(value: Any) -> str:
    """Return how a value stands in a table."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
