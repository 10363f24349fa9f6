"""A bound on how often something happens, which leaves room for some of it at once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Bucket:
    """A bucket of tokens: what may happen at a rate in the long run, and some of it at once.

    :param rate: tokens that come per second, ``burst`` those that there are at most.
    :param clock: returns seconds.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock
        self._has, self._at = burst, clock()

    def take(self) -> bool:
        """Take a token if there is one."""
        now = self._clock()
        self._has = min(self._burst, self._has + (now - self._at) * self._rate)
        self._at = now
        if self._has < 1:
            return False
        self._has -= 1
        return True


class Buckets(Generic[K]):
    """A bucket for each of many keys, such as networks, in bounded memory.

    :param rate: tokens that come per second to each, ``burst`` those that it has at most.
    :param most: how many keys are remembered; the one that was used longest ago is forgotten.
    :param clock: returns seconds.
    """

    def __init__(self, rate: float, burst: float, most: int, clock: Callable[[], float]) -> None:
        self._rate, self._burst, self._most, self._clock = rate, burst, most, clock
        self._buckets: OrderedDict[K, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: K) -> bool:
        """Take a token of a key if there is one."""
        bucket = self._buckets.pop(key, None) or Bucket(self._rate, self._burst, self._clock)
        self._buckets[key] = bucket
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return bucket.take()
