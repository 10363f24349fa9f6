"""Networks that are banned, those that never are, and what leads to a ban."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping

from nacre.server.admission.networks import Network, NetworkTable, host_network
from nacre.value import value

BANNED = "banned"
"""The reason in the log."""

POINTS: Mapping[str, float] = {
    "authfail": 10.0,
    "unknown-user": 10.0,
    "grace-exceeded": 10.0,
    "protocol": 10.0,
    "scan": 5.0,
}
"""What an offence costs: a connection that failed to log in, each attempt for a user who does not
exist, one that was too slow, one that broke the protocol, and one that ended without an attempt."""

HALF_LIFE = 600.0
"""Seconds in which a network's points become half as many."""

FIRST = 600
FACTOR = 4
LONGEST = 7 * 86400
"""Seconds of the first ban; how many times as long each further one is; and of the longest."""

MEMORY = 7 * 86400
"""Seconds after a ban for which another one is a further one."""

MOST_BANS = 16384
"""Networks in the list: banned, once banned, and allowed."""

MOST_SCORES = 16384
"""Networks whose points are remembered; beyond that, those of the longest ago are forgotten."""


@value
class Ban:
    """An entry of the list.

    :ivar until: when the ban ends, in seconds since the epoch; 0 for never.
    :ivar allowed: whether the network is one that is never banned.
    :ivar level: how many bans in a row offences have led to; 0 for one that somebody has added.
    :ivar reason: what somebody, or the last offence, said about it.
    """

    network: Network
    until: int
    allowed: bool = False
    level: int = 0
    reason: str = ""

    def holds(self, now: float) -> bool:
        """Tell whether the entry is in force."""
        return not self.until or now < self.until

    def remembered(self, now: float) -> bool:
        """Tell whether the entry still counts for something."""
        return self.holds(now) or (self.level > 0 and now < self.until + MEMORY)


class BanTable:
    """The list, as a server looks at it for each connection."""

    def __init__(self, bans: Iterable[Ban] = ()) -> None:
        self._bans: dict[Network, Ban] = {}
        self._table = NetworkTable[Ban]()
        self.replace(bans)

    def replace(self, bans: Iterable[Ban]) -> None:
        """Have this list in place of what was there."""
        self._bans, self._table = {}, NetworkTable[Ban]()
        for ban in bans:
            self.put(ban)

    def put(self, ban: Ban) -> None:
        """Add an entry, or replace that of the same network.

        Where there are too many, the ban that ends first is forgotten.
        """
        if ban.network not in self._bans and len(self._bans) >= MOST_BANS:
            ends = min(
                (one for one in self._bans.values() if one.level),
                key=lambda one: one.until,
                default=None,
            )
            if ends is None:
                return
            del self._bans[ends.network]
            self._table.remove(ends.network)
        self._bans[ban.network] = self._table[ban.network] = ban

    def get(self, network: Network) -> Ban | None:
        """Return the entry of exactly this network."""
        return self._bans.get(network)

    def banned(self, now: float) -> int:
        """Return how many networks are banned."""
        return sum(not one.allowed and one.holds(now) for one in self._bans.values())

    def refuses(self, host: str, now: float | None = None) -> bool:
        """Tell whether connections from an address are closed. A network that is allowed wins.

        :param now: seconds since the epoch; None for this moment.
        """
        network = host_network(host) if self._bans else None
        if network is None:
            return False
        now = time.time() if now is None else now
        found = [one for one in self._table.holding(network) if one.holds(now)]
        return bool(found) and not any(one.allowed for one in found)

    def allows(self, network: Network, now: float) -> bool:
        """Tell whether a network is one that is never banned."""
        return any(one.allowed and one.holds(now) for one in self._table.holding(network))


class OffenceScores:
    """The points of networks."""

    def __init__(self) -> None:
        # In the order of the last offence: when that was, and the points then.
        self._scores: dict[Network, tuple[float, float]] = {}

    def add(self, network: Network, points: float, now: float) -> float:
        """Add points; return how many the network has now."""
        since, score = self._scores.pop(network, (now, 0.0))
        score = score * math.pow(0.5, max(0.0, now - since) / HALF_LIFE) + points
        if len(self._scores) >= MOST_SCORES:
            del self._scores[next(iter(self._scores))]
        self._scores[network] = now, score
        return score

    def forget(self, network: Network) -> None:
        """Let a network begin anew: it is banned now."""
        self._scores.pop(network, None)


def next_ban(before: Ban | None, network: Network, reason: str, now: float) -> Ban:
    """Return the ban that offences of a network lead to; each further one lasts longer."""
    level = before.level + 1 if before is not None and before.remembered(now) else 1
    # Beyond a few levels it is the longest; the power of a large one would be a long number.
    seconds = min(FIRST * FACTOR ** min(level - 1, 16), LONGEST)
    return Ban(network, int(now) + seconds, level=level, reason=reason)
