"""Replies to the peer's requests, in the order in which the requests came.

RFC 4254 section 4 and 5.4 pair replies with requests by nothing but their order, while the answers
of this side's owner may come in any order.
"""

from __future__ import annotations

from collections.abc import Iterator

from nacre.errors import LocalProtocolError, RemoteProtocolError
from nacre.ssh2.transport.outbox import Outbox


def send_reply(outbox: Outbox, payload: bytes) -> None:
    """Send what the peer has caused.

    :raises RemoteProtocolError: it caused more than can wait for a key exchange to end.
    """
    try:
        outbox.send(payload)
    except LocalProtocolError as error:
        raise RemoteProtocolError(
            "the peer asks for too many replies during a key exchange"
        ) from error


class Slot:
    """The place of one reply in the order.

    :ivar ask_id: the question that decides it, or 0.
    :ivar reply: the message to send, empty for none; None while undecided.
    """

    __slots__ = ("ask_id", "reply")

    def __init__(self) -> None:
        self.ask_id = 0
        self.reply: bytes | None = None


class Replies:
    """The replies that one channel, or one connection for global requests, still owes."""

    __slots__ = ("_limit", "_outbox", "_slots")

    def __init__(self, outbox: Outbox, limit: int) -> None:
        self._outbox = outbox
        self._limit = limit
        self._slots: list[Slot] = []

    def reserve(self) -> Slot:
        """Return the place of the next reply.

        :raises RemoteProtocolError: too many requests wait already.
        """
        if len(self._slots) >= self._limit:
            raise RemoteProtocolError(f"more than {self._limit} requests wait for their answers")
        slot = Slot()
        self._slots.append(slot)
        return slot

    def settle(self, slot: Slot, reply: bytes) -> None:
        """Decide a reply, and send every reply that waits for no other."""
        slot.reply = reply
        while self._slots and self._slots[0].reply is not None:
            if reply := self._slots.pop(0).reply or b"":
                send_reply(self._outbox, reply)

    def open_asks(self) -> Iterator[int]:
        """Return the questions that are not answered yet."""
        return (slot.ask_id for slot in self._slots if slot.reply is None)
