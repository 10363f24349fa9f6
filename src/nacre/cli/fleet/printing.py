"""What came of a run: a line or an object for each host, or those together that said the same."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from nacre.errors import ConfigurationError
from nacre.fleet.folding import FoldedHosts, difference, folded, lines
from nacre.fleet.verdicts import ENDINGS, FleetReport, FleetVerdict, as_object
from nacre.wire.text import safe


def object_line(verdict: FleetVerdict) -> str:
    """Return a verdict as a line of JSON."""
    return json.dumps(as_object(verdict))


def each_lines(verdict: FleetVerdict) -> Iterator[str]:
    """Return what a host has printed, with its name before each line, and how it ended."""
    name = safe(verdict.host)
    for output in (verdict.stdout, verdict.stderr):
        yield from (f"{name}: {line}" for line in lines(output))
    if not verdict.ok or verdict.reason:
        yield f"{name}: {verdict.summary}" + (f": {safe(verdict.reason)}" if verdict.reason else "")


def folded_lines(report: FleetReport) -> Iterator[str]:
    """Return what hosts have printed, each text once, and how others differ from the most."""
    usual: FleetVerdict | None = None
    for group in folded(report.verdicts.values()):
        yield f"---- {group.title}"
        yield from _body(group, usual)
        if usual is None and group.verdict.ok:
            usual = group.verdict


def _body(group: FoldedHosts, usual: FleetVerdict | None) -> Iterator[str]:
    verdict = group.verdict
    if verdict.ok and usual is not None and usual.stdout and verdict.stdout:
        yield from difference(usual, verdict)
    else:
        yield from lines(verdict.stdout)
    yield from lines(verdict.stderr)
    if verdict.left_out:
        yield f"({verdict.left_out} bytes of output: --json, --each and --output have them)"
    if not verdict.ok and verdict.reason:
        yield safe(verdict.reason)


def summary(report: FleetReport) -> str:
    """Return how many hosts ended how."""
    counts = report.counts()
    parts = ", ".join(f"{counts[ending]} {ending}" for ending in ENDINGS if counts[ending])
    return f"{len(report.verdicts)} hosts: {parts}"


class OutputFiles:
    """Files with what each host has printed, which only their owner can read.

    :param directory: where they are.
    :raises ConfigurationError: it can't be made.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._error: OSError | None = None
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"can't make {directory}: {error.strerror}") from error

    def write(self, verdict: FleetVerdict) -> None:
        """Write the files of a host. A run goes on without the rest when one can't be written."""
        name = verdict.host.replace("/", "_")
        try:
            for ending, output in (("out", verdict.stdout), ("err", verdict.stderr)):
                path = self._directory / f"{name}.{ending}"
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
                with open(os.open(path, flags, 0o600), "wb") as file:
                    file.write(output)
        except OSError as error:
            self._error = self._error or error

    def check(self) -> None:
        """Check that all were written.

        :raises ConfigurationError: one was not.
        """
        if (error := self._error) is not None:
            raise ConfigurationError(f"can't write {error.filename}: {error.strerror}") from error
