"""Replies leave in the order of the requests, whatever the order of the decisions."""

from __future__ import annotations

from itertools import permutations

import pytest

from nacre.errors import LocalProtocolError, RemoteProtocolError
from nacre.ssh2.connection.replies import Replies, send_reply


class Outbox:
    """Keeps what is sent; ``full`` makes it refuse messages."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.full = False

    def send(self, payload: bytes) -> None:
        if self.full:
            raise LocalProtocolError("full")
        self.sent.append(payload)


def replies(outbox: Outbox, limit: int = 8) -> Replies:
    return Replies(outbox, limit)  # type: ignore[arg-type]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_every_order_of_decisions_gives_the_order_of_requests(order: tuple[int, ...]) -> None:
    outbox = Outbox()
    owed = replies(outbox)
    slots = [owed.reserve() for _ in range(3)]
    for n in order:
        owed.settle(slots[n], b"%d" % n)
    assert outbox.sent == [b"0", b"1", b"2"]


def test_a_reply_waits_for_an_earlier_one() -> None:
    outbox = Outbox()
    owed = replies(outbox)
    first, second = owed.reserve(), owed.reserve()
    owed.settle(second, b"2")
    assert outbox.sent == []
    owed.settle(first, b"1")
    assert outbox.sent == [b"1", b"2"]


def test_a_request_without_reply_holds_up_the_next_until_it_is_decided() -> None:
    outbox = Outbox()
    owed = replies(outbox)
    silent, second = owed.reserve(), owed.reserve()
    owed.settle(second, b"2")
    owed.settle(silent, b"")
    assert outbox.sent == [b"2"]


def test_more_requests_than_the_bound() -> None:
    owed = replies(Outbox(), limit=2)
    first = owed.reserve()
    owed.reserve()
    with pytest.raises(RemoteProtocolError, match="more than 2 requests wait"):
        owed.reserve()
    owed.settle(first, b"1")
    owed.reserve()


def test_open_asks_are_the_undecided_ones() -> None:
    owed = replies(Outbox())
    slots = [owed.reserve() for _ in range(3)]
    for number, slot in enumerate(slots, 10):
        slot.ask_id = number
    owed.settle(slots[1], b"")
    assert list(owed.open_asks()) == [10, 12]


def test_replies_that_a_key_exchange_can_not_hold_are_the_peer_s_fault() -> None:
    outbox = Outbox()
    outbox.full = True
    with pytest.raises(RemoteProtocolError, match="too many replies during a key exchange"):
        send_reply(outbox, b"x")  # type: ignore[arg-type]
