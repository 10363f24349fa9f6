"""The order in which events are answered."""

from __future__ import annotations

from nacre.daemon.audit.frames import Recorded
from nacre.daemon.audit.in_order import InOrder
from nacre.sftp.server.receipts import Receipt, settle_all


def test_events_are_answered_in_their_order_and_together() -> None:
    sent: list[Recorded] = []
    order = InOrder(sent.append)
    receipts = [Receipt() for _ in range(6)]
    for one in receipts:
        order.expect(one)
    first, second, third, *others = receipts
    second.settle("")
    assert (sent, order.unanswered) == ([], 6)
    first.settle("")
    third.settle("full")
    assert sent == [Recorded(2, ""), Recorded(1, "full")]
    settle_all(others, "")
    assert sent[2:] == [Recorded(3, "")]
    assert order.unanswered == 0


def test_an_event_that_is_settled_already_is_answered() -> None:
    sent: list[Recorded] = []
    order, receipt = InOrder(sent.append), Receipt()
    receipt.settle("full")
    order.expect(receipt)
    assert (sent, order.unanswered) == ([Recorded(1, "full")], 0)
