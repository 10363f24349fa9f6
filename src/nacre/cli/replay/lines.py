"""The lines of an output, without control sequences, each with its time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nacre.cli.control.screen import CONTROLS

_LONGEST_LINE = 64 * 1024


def lines_of(printed: Iterable[tuple[float, bytes]]) -> Iterator[tuple[float, str]]:
    """Return the lines of an output, each with the time at which it began.

    :param printed: the pieces of the output, with their times.
    """
    begun, since = "", 0.0
    for at, data in printed:
        since = since if begun else at
        *lines, begun = (begun + data.decode("utf-8", "replace")).split("\n")
        for line in lines:
            yield since, CONTROLS.sub("", line).rstrip("\r")
            since = at
        if len(begun) > _LONGEST_LINE:
            yield since, CONTROLS.sub("", begun)
            begun = ""
    if begun:
        yield since, CONTROLS.sub("", begun)
