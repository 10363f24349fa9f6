"""Replies to the peer's requests, in the order of the requests.

RFC 4254 sections 4 and 5.4 match replies with requests by their order only, while the owner may
answer questions in any order.
"""

from __future__ import annotations

from collections.abc import Iterator

from nacre.errors import LocalProtocolError, RemoteProtocolError
from nacre.ssh2.transport.outbox import Outbox


def send_reply(outbox: Outbox, payload: bytes) -> None:
    """Send a reply to something the peer sent.

    :raises RemoteProtocolError: the peer asks for more replies than a key exchange may hold back.
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
    :ivar reply: the message to send; empty if none is sent, None while undecided.
    """

    __slots__ = ("ask_id", "reply")

    def __init__(self) -> None:
        self.ask_id = 0
        self.reply: bytes | None = None


class Replies:
    """The replies that are due on one channel, or to the global requests of one connection."""

    __slots__ = ("_limit", "_outbox", "_slots")

    def __init__(self, outbox: Outbox, limit: int) -> None:
        self._outbox = outbox
        self._limit = limit
        self._slots: list[Slot] = []

    def reserve(self) -> Slot:
        """Return the place of the next reply. Call it when a request arrives.

        :raises RemoteProtocolError: too many requests wait for replies.
        """
        if len(self._slots) >= self._limit:
            raise RemoteProtocolError(f"more than {self._limit} requests wait for their answers")
        slot = Slot()
        self._slots.append(slot)
        return slot

    def settle(self, slot: Slot, reply: bytes) -> None:
        """Set a reply, and send each reply that no earlier one holds up."""
        slot.reply = reply
        while self._slots and self._slots[0].reply is not None:
            if reply := self._slots.pop(0).reply or b"":
                send_reply(self._outbox, reply)

    def open_asks(self) -> Iterator[int]:
        """Return the numbers of the questions that are still open."""
        return (slot.ask_id for slot in self._slots if slot.reply is None)
