"""Events of a process are answered in the order in which they came."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import groupby

from nacre.daemon.audit.frames import Recorded
from nacre.sftp.server.receipts import Receipt


class InOrder:
    """Answers events in the order in which they came; those of one transaction together.

    :param send: sends an answer.
    """

    def __init__(self, send: Callable[[Recorded], object]) -> None:
        self._send = send
        self._receipts: deque[Receipt] = deque()

    @property
    def unanswered(self) -> int:
        """How many events are not answered."""
        return len(self._receipts)

    def expect(self, receipt: Receipt) -> None:
        """Answer an event when its receipt is settled, and those before it are."""
        self._receipts.append(receipt)
        receipt.then(self._answer)

    def _answer(self, _problem: str) -> None:
        problems: list[str] = []
        while self._receipts and (problem := self._receipts[0].problem) is not None:
            self._receipts.popleft()
            problems.append(problem)
        for problem, same in groupby(problems):
            self._send(Recorded(len(list(same)), problem))
