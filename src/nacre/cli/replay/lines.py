"""The lines of an output, without control sequences, each with its time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nacre.cli.control.screen import CONTROLS

_LONGEST_LINE = 64 * 1024


def lines_of(printed: Iterable[tuple[float, bytes]]) -> Iterator[tuple[float, str]]:
    """Return the lines of an output, each with the time at which it began.

    :param printed: the pieces of the output, with their times.
    """
    begun: list[str] = []
    length, since = 0, 0.0
    for at, data in printed:
        since = since if begun else at
        first, *others = data.decode("utf-8", "replace").split("\n")
        if first:
            begun.append(first)
            length += len(first)
        if others:
            *whole, last = "".join(begun), *others
            for line in whole:
                yield since, CONTROLS.sub("", line).rstrip("\r")
                since = at
            begun, length = [last] if last else [], len(last)
        if length > _LONGEST_LINE:
            yield since, CONTROLS.sub("", "".join(begun))
            begun, length = [], 0
    if begun:
        yield since, CONTROLS.sub("", "".join(begun))
