"""Messages between a process of files and its session process."""

from __future__ import annotations

import pytest

from nacre.daemon.audit.frames import (
    AuditedEvent,
    BadFrame,
    EventFrames,
    Recorded,
    framed,
)


def test_messages_arrive_whole_however_they_are_cut() -> None:
    sent = [AuditedEvent(b"", "file", "success", True, b"{}"), Recorded(3, "why")]
    data = b"".join(map(framed, sent))
    frames = EventFrames()
    found = [one for at in range(len(data)) for one in frames.take(data[at : at + 1])]
    assert found == [one.encode() for one in sent]


@pytest.mark.parametrize("head", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\2\0\0"])
def test_a_message_that_is_empty_or_too_long_is_refused(head: bytes) -> None:
    with pytest.raises(BadFrame):
        list(EventFrames().take(head))
