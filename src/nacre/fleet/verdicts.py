"""What became of a host in a run, and of all of them."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias, get_args

from nacre.limits import MIB
from nacre.value import replace, value

Ending: TypeAlias = Literal["ok", "failed", "refused", "timeout", "unknown", "skipped"]
"""How it ended at a host:

``ok``: the task was done. ``failed``: it was not, and the host said so. ``refused``: there was no
login or no session, so nothing was done. ``timeout``: its time was over, in the phase that is
named; in ``run`` the task had begun. ``unknown``: the task had begun, and its end was not seen.
``skipped``: the host's turn did not come, so nothing was done.
"""

ENDINGS: tuple[Ending, ...] = get_args(Ending)

WAITING = "waiting"
RUN = "run"
DONE = "done"
"""The phases beside those of a login: see :class:`~nacre.errors.NacreError`."""

MAX_KEPT = 64 * MIB
"""Bytes of outputs that a report keeps of all hosts together. The same output counts once."""

LOGIN = ("connect", "version", "kex", "authentication")


@value
class FleetVerdict:
    """How the task ended at one host.

    :ivar host: the host's name.
    :ivar ending: how it ended; see :data:`Ending`.
    :ivar phase: how far it had come: ``waiting``, ``connect``, ``version``, ``kex``,
        ``authentication``, ``run`` or ``done``.
    :ivar exit_status: the exit status of a command, if there was one.
    :ivar exit_signal: the signal that ended it, without ``SIG``, or None.
    :ivar stdout: what it printed; ``stderr`` is what it printed to standard error.
    :ivar reason: the error, where there was one.
    :ivar attempts: how often it was tried.
    :ivar seconds: how long the last attempt took.
    :ivar left_out: bytes of output that a report has not kept.
    """

    host: str
    ending: Ending
    phase: str = DONE
    exit_status: int | None = None
    exit_signal: str | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    reason: str = ""
    attempts: int = 0
    seconds: float = 0.0
    left_out: int = 0

    @property
    def ok(self) -> bool:
        """Whether the task was done."""
        return self.ending == "ok"

    @property
    def summary(self) -> str:
        """How it ended, in a few words."""
        if self.ending == "failed" and self.exit_signal is not None:
            return f"failed (signal {self.exit_signal})"
        if self.ending == "failed" and self.exit_status is not None:
            return f"failed (exit status {self.exit_status})"
        if self.ending in ("timeout", "refused"):
            return f"{self.ending} ({self.phase})"
        return self.ending


def as_object(verdict: FleetVerdict) -> dict[str, Any]:
    """Return a verdict as values of JSON. Output that is no UTF-8 stands in base64."""
    found = {name: getattr(verdict, name) for name in _FIELDS}
    for name in ("stdout", "stderr"):
        data = found.pop(name)
        try:
            found[name] = data.decode()
        except UnicodeDecodeError:
            found[f"{name}_base64"] = base64.b64encode(data).decode()
    return found


def of_object(found: Mapping[str, Any]) -> FleetVerdict:
    """Return the verdict that :func:`as_object` made these values of."""
    given = dict(found)
    for name in ("stdout", "stderr"):
        encoded = given.pop(f"{name}_base64", None)
        given[name] = given[name].encode() if encoded is None else base64.b64decode(encoded)
    return FleetVerdict(**given)


_FIELDS = (
    *("host", "ending", "phase", "exit_status", "exit_signal", "stdout", "stderr", "reason"),
    *("attempts", "seconds", "left_out"),
)


class FleetReport:
    """The verdicts of a run.

    Outputs that are the same are kept once. The memory for outputs is bounded: what comes when it
    is full has none, and says in ``left_out`` how large they were.

    :param max_kept: bytes of outputs to keep.
    :ivar verdicts: the verdict of each host that has one, by its name.
    :ivar stopped: why the run ended before every host had its turn; empty if it did not.
    """

    def __init__(self, verdicts: Iterable[FleetVerdict] = (), *, max_kept: int = MAX_KEPT) -> None:
        self.verdicts: dict[str, FleetVerdict] = {}
        self.stopped = ""
        self._outputs: dict[bytes, bytes] = {}
        self._room = max_kept
        for one in verdicts:
            self.add(one)

    def add(self, verdict: FleetVerdict) -> None:
        """Keep a verdict in place of an earlier one."""
        self.verdicts[verdict.host] = self.bounded(verdict)

    def bounded(self, verdict: FleetVerdict) -> FleetVerdict:
        """Return a verdict as it is kept."""
        stdout, stderr = self._kept(verdict.stdout), self._kept(verdict.stderr)
        lost = sum(map(len, (verdict.stdout, verdict.stderr))) - len(stdout) - len(stderr)
        return replace(verdict, stdout=stdout, stderr=stderr, left_out=verdict.left_out + lost)

    def _kept(self, output: bytes) -> bytes:
        found = self._outputs.get(output)
        if found is None:
            if len(output) > self._room:
                return b""
            self._room -= len(output)
            found = self._outputs[output] = output
        return found

    @property
    def ok(self) -> bool:
        """Whether the task was done at every host."""
        return all(one.ok for one in self.verdicts.values())

    def counts(self) -> Counter[Ending]:
        """Return how many hosts ended how."""
        return Counter(one.ending for one in self.verdicts.values())

    def ended(self, *endings: Ending) -> list[str]:
        """Return the names of the hosts that ended so."""
        return [one.host for one in self.verdicts.values() if one.ending in endings]
