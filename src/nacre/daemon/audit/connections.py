"""Which connections become events: whoever connects again and again must not fill the table.

A client needs no login for it, so a network has a rate, and all networks together have one. What
is above them is counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from nacre.daemon.audit.events import AuditEvent, written
from nacre.server.admission.bucket import Bucket, Buckets
from nacre.server.admission.sources import network_of

RATE, BURST = 1.0, 20.0
"""Connections of a network that are events: per second in the long run, and at once."""

ALL_RATE, ALL_BURST = 20.0, 500.0
"""Likewise of all networks together: a row has some 300 bytes, so an hour has 20 MB at most."""

MOST_NETWORKS = 1024
"""Networks that are remembered; the one that has connected longest ago is forgotten."""

COUNTED_AFTER = 10.0
"""Seconds in which connections are only counted until an event has their number."""

_BITS = (32, 64)
"""The bits of a network: one host may have all addresses of the /64 of IPv6."""


class ConnectionBound:
    """Bounds the events of connections; it belongs to a loop.

    :param keep: keeps an event.
    :param clock: returns seconds.
    """

    def __init__(
        self, keep: Callable[[AuditEvent], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._keep = keep
        self._all = Bucket(ALL_RATE, ALL_BURST, clock)
        self._networks: Buckets[bytes] = Buckets(RATE, BURST, MOST_NETWORKS, clock)
        self._left_out = 0
        self._counting: asyncio.TimerHandle | None = None

    def take(self, event: AuditEvent) -> bool:
        """Tell whether a connection is to be an event; count it if it is not."""
        # The network's own bound first: what it has no room for takes none from the others.
        network = network_of(event.peer.rpartition(":")[0], _BITS)
        if self._networks.take(network) and self._all.take():
            return True
        self._left_out += 1
        if self._counting is None:
            loop = asyncio.get_running_loop()
            self._counting = loop.call_later(COUNTED_AFTER, self.tell)
        return False

    def tell(self) -> None:
        """Have an event tell how many connections were left out, if any were."""
        if self._counting is None:
            return
        self._counting.cancel()
        self._counting = None
        fields = written({"left_out": self._left_out})
        self._left_out = 0
        self._keep(AuditEvent("", "", "", "connect", "success", fields))
