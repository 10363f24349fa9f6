"""Whether a record is kept that must not be lost, and where such records go to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

UNKEPT = "the server can't keep its audit"
"""What a client is told; the log has the reason."""


class Receipt:
    """Whether an event is kept.

    :ivar problem: empty if it is, else why not; None as long as that is not known.
    """

    __slots__ = ("_then", "problem")

    def __init__(self) -> None:
        self.problem: str | None = None
        self._then: list[Callable[[str], object]] = []

    def settle(self, problem: str) -> None:
        """Note what has become of the event. Only the first call counts."""
        settle_all((self,), problem)

    def then(self, call: Callable[[str], object]) -> None:
        """Call ``call`` with the problem when it is known, which may be now."""
        if self.problem is None:
            self._then.append(call)
        else:
            call(self.problem)

    async def settled(self) -> str:
        """Return the problem when it is known; on the loop that settles this."""
        if self.problem is None:
            import asyncio  # which a process that serves one session does without

            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.then(lambda _: None if future.done() else future.set_result(None))
            await future
        assert self.problem is not None
        return self.problem


def settle_all(receipts: Iterable[Receipt], problem: str) -> None:
    """Note what has become of events that were kept together, and then tell those who wait.

    All is noted before the first one is told, who may so answer for the others at once.
    """
    settled = [one for one in receipts if one.problem is None]
    for one in settled:
        one.problem = problem
    for one in settled:
        waiting, one._then = one._then, []
        for call in waiting:
            call(problem)


class Trail(Protocol):
    """Where the events of a session go to."""

    @property
    def problem(self) -> str:
        """Why no event can be kept now; or empty."""

    @property
    def behind(self) -> bool:
        """Whether so many events wait to be kept that no further request should be taken."""

    @property
    def hashes(self) -> bool:
        """Whether the contents of transfers are hashed."""

    def add(self, fields: Mapping[str, object], *, waits: bool) -> Receipt:
        """Have an operation on a file kept.

        :param fields: what the log has of it, and more.
        :param waits: somebody waits for the receipt.
        """

    @property
    def last(self) -> Receipt:
        """The receipt of the event that was added last."""

    async def settled(self) -> str:
        """Return when the event that was added last is kept; empty, or why it can't be.

        Those that were added before it are kept, or lost, by then.
        """
