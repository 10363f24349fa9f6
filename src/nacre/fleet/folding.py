"""Hosts whose outputs are the same, together; and how the others differ."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from nacre.fleet.nodesets import fold
from nacre.fleet.verdicts import FleetVerdict
from nacre.value import value
from nacre.wire.text import safe

_MOST_LINES = 400
"""Lines of an output that are compared: the time grows with their square."""


@value
class FoldedHosts:
    """Hosts that ended alike and printed the same.

    :ivar hosts: their names.
    :ivar verdict: the verdict of one of them.
    """

    hosts: tuple[str, ...]
    verdict: FleetVerdict

    @property
    def title(self) -> str:
        """Their names as a node set, and how they ended."""
        count = f" ({len(self.hosts)} hosts)" if len(self.hosts) > 1 else ""
        return f"{safe(fold(self.hosts))}{count}: {self.verdict.summary}"


def folded(verdicts: Iterable[FleetVerdict]) -> list[FoldedHosts]:
    """Return the groups of verdicts that are alike, the largest first."""
    groups: dict[tuple[object, ...], list[FleetVerdict]] = {}
    for one in verdicts:
        # An error may name the host, so the reason does not tell groups apart.
        groups.setdefault((one.summary, one.stdout, one.stderr, one.left_out), []).append(one)
    ordered = sorted(groups.values(), key=len, reverse=True)
    return [FoldedHosts(tuple(one.host for one in group), group[0]) for group in ordered]


def lines(output: bytes) -> list[str]:
    """Return the lines of an output, safe to print."""
    return [safe(line) for line in output.decode("utf-8", "replace").splitlines()]


def difference(usual: FleetVerdict, other: FleetVerdict) -> Iterator[str]:
    """Return what another output has in place of the usual one, line by line with ``-`` and ``+``.

    Outputs that are long come whole.
    """
    before, after = lines(usual.stdout), lines(other.stdout)
    if max(len(before), len(after)) > _MOST_LINES:
        yield from after
        return
    for line in difflib.unified_diff(before, after, n=1, lineterm=""):
        if not line.startswith(("---", "+++", "@@")):
            yield line
