"""A thread that waits for descriptors is woken."""

from __future__ import annotations

import select

from nacre.daemon.nodes.wakeup import Wakeup


def test_what_is_told_once_or_often_wakes_once() -> None:
    wakeup = Wakeup()
    try:
        assert select.select([wakeup], [], [], 0)[0] == []
        for _ in range(100_000):  # more than a pipe holds
            wakeup.tell()
        assert select.select([wakeup], [], [], 0)[0] == [wakeup]
        while select.select([wakeup], [], [], 0)[0]:
            wakeup.clear()
        wakeup.tell()
        assert select.select([wakeup], [], [], 0)[0] == [wakeup]
    finally:
        wakeup.close()
    wakeup.tell()  # which does nothing
