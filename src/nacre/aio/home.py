"""Where an object may be used: in the process and the event loop that made it.

A forked child has copies of the parent's objects and descriptors, and none of its threads. A
connection that both used would mix two streams of packets into one, and a call that waits would
wait for a loop that does not run. So what owns a socket is registered by :func:`own`, and a child
gives all of it up before any of its code runs. It must not close it in the way of asyncio: the
selector is shared with the parent, which would get no more events.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol
from weakref import WeakSet

from nacre.errors import NotUsableHere


class Owned(Protocol):
    """What belongs to the process that made it."""

    def disown(self, error: NotUsableHere) -> None:
        """Make every further use raise ``error``, and closing do nothing.

        It runs in a forked child. The loop, its tasks, and threads are the parent's; locks may be
        held for ever.
        """


_owned: WeakSet[Owned] = WeakSet()


def own(thing: Owned) -> None:
    """Have ``thing`` disowned in a forked child."""
    _owned.add(thing)


@contextmanager
def handing_over() -> Iterator[None]:
    """Let a child that is forked meanwhile keep all: the parent must end without touching any."""
    global _kept
    _kept = True
    try:
        yield
    finally:
        _kept = False


_kept = False


def _disown_all() -> None:
    if _kept:
        return
    error = NotUsableHere(
        "this was opened before a fork, and only the parent process can use it: "
        "connect or listen again in this process"
    )
    for thing in list(_owned):
        thing.disown(error)
    _owned.clear()


os.register_at_fork(after_in_child=_disown_all)


def detach(descriptors: Iterable[int]) -> None:
    """Make this process's copies of descriptors lead nowhere; those of other processes stay open.

    Their numbers stay in use: the objects that have them may still close them.
    """
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for descriptor in descriptors:
            if descriptor >= 0:
                os.dup2(nowhere, descriptor, inheritable=False)
        os.close(nowhere)


def check_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Check that the caller runs in ``loop``.

    :raises NotUsableHere: it runs in another event loop, or in none.
    """
    if asyncio._get_running_loop() is not loop:
        raise NotUsableHere(
            "this belongs to another event loop, which "
            + ("is closed" if loop.is_closed() else "alone can use it")
            + ": connect again in this loop, or make the call in a task of that one"
        )
