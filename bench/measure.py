"""Contenders in turn, round after round, and what their figures say about each other."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Comparison:
    """Two contenders whose ratio counts, and what it must and should be.

    :ivar at_most: whether less is better, as with a time; the bars are then upper ones.
    """

    ours: str
    peer: str
    bar: float | None = None
    stretch: float | None = None
    at_most: bool = False


@dataclass(frozen=True)
class Target:
    """An absolute figure of one contender, and what it must and should be."""

    ours: str
    bar: float
    stretch: float
    at_most: bool = False


@dataclass(frozen=True)
class Workload:
    """One thing to do, and who does it.

    :ivar contenders: each measures itself once and returns a figure in ``unit``.
    :ivar rounds: how often at least all are run; None is what the command line says.
    """

    name: str
    about: str
    unit: str
    contenders: dict[str, Callable[[], float]]
    comparisons: Sequence[Comparison] = ()
    targets: Sequence[Target] = ()
    rounds: int | None = None


@dataclass
class Ratio:
    """What one contender's figures are, divided by another's of the same round."""

    ours: str
    peer: str
    ratios: list[float]
    bar: float | None
    stretch: float | None
    at_most: bool

    @property
    def median(self) -> float:
        return statistics.median(self.ratios)


@dataclass
class Result:
    """The figures of a workload's rounds by contender."""

    workload: Workload
    figures: dict[str, list[float]] = field(default_factory=dict)

    def ratios(self) -> list[Ratio]:
        return [
            Ratio(
                c.ours,
                c.peer,
                [
                    mine / theirs
                    for mine, theirs in zip(self.figures[c.ours], self.figures[c.peer], strict=True)
                ],
                c.bar,
                c.stretch,
                c.at_most,
            )
            for c in self.workload.comparisons
            if c.ours in self.figures and c.peer in self.figures
        ]


def run(workload: Workload, rounds: int, say: Callable[[str], None]) -> Result:
    """Let all contenders run in turn; every other round goes backwards, which favours nobody."""
    result = Result(workload, {name: [] for name in workload.contenders})
    for number in range(workload.rounds or rounds):
        order = list(workload.contenders)
        for name in order if number % 2 == 0 else reversed(order):
            figure = workload.contenders[name]()
            result.figures[name].append(figure)
            say(f"{workload.name:16} {number + 1}  {name:22} {figure:10.4g} {workload.unit}")
    return result
