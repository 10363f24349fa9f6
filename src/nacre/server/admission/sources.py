"""The networks that clients come from, and those that are refused for a while.

PerSourceNetBlockSize, PerSourcePenalties and PerSourcePenaltyExemptList of sshd_config(5).
"""

from __future__ import annotations

import mmap
import socket
import struct

from nacre.config.server.penalties import PenaltyRules
from nacre.server.peer import ServerConnection
from nacre.value import value

_LAN = 64
"""The bits of an IPv6 network of which one host may have all addresses (RFC 4291 section 2.5.1)."""

_RECORDS = 1024
_RECORD = struct.Struct("=16sBBxxxxxxd")
_COUNT = struct.Struct("=Q")
_REGION = _COUNT.size + _RECORDS * _RECORD.size
_MAPPED = bytes(10) + b"\xff\xff"


def source_of(connection: ServerConnection) -> bytes:
    """Return the network of a client: /32, /64, or a larger one; each local client has its own."""
    ipv4, ipv6 = connection.terms.net_block_size
    network = network_of(connection.peer[0], (ipv4, min(ipv6, _LAN)))
    return network or b"connection %d" % connection.id


def network_of(address: str, bits: tuple[int, int] = (32, 128)) -> bytes:
    """Return the network of an address: 4 bytes for IPv4, 16 for IPv6, none for no address.

    :param bits: the size of an IPv4 and of an IPv6 network.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        packed = socket.inet_pton(family, address.partition("%")[0])
    except OSError:
        return b""
    packed = packed.removeprefix(_MAPPED)
    spare = max(0, len(packed) * 8 - bits[len(packed) == 16])
    return (int.from_bytes(packed) >> spare << spare).to_bytes(len(packed))


def penalties_size(processes: int) -> int:
    """Return the bytes that the penalties of some processes take."""
    return processes * _REGION


@value
class _Penalty:
    """What a network has to wait for.

    :ivar until: when its penalties are over, on the clock ``time.monotonic``.
    :ivar enforced: whether they were enough for it to be refused.
    """

    until: float
    enforced: bool


class Penalties:
    """The penalties of networks, for all servers that share them.

    The servers may be in several processes, forked after this was made. Each process writes what
    it adds into a ring of its own in shared memory, which the others read before they decide, so
    no lock is needed. A process that makes no decision while another adds more than 1,024
    penalties misses some.

    :param processes: how many processes there will be.
    :param shared: memory of :func:`penalties_size` bytes that they share.
    """

    # _penalties   by network, in the order in which they were added to last; _sizes: how many of
    #              them are of IPv4 (4 bytes) and of IPv6 (16).
    # _read        for each process, how many of its records were read.

    def __init__(self, processes: int = 1, shared: memoryview | None = None) -> None:
        # A mapping without a file is shared with children.
        if shared is None:
            shared = memoryview(mmap.mmap(-1, penalties_size(processes)))
        self._shared = shared
        self._own = 0
        self._read = [0] * processes
        self._penalties: dict[bytes, _Penalty] = {}
        self._sizes = {4: 0, 16: 0}

    def be(self, number: int) -> None:
        """Use ring ``number`` in this process, whose records of another process count, too."""
        self._own = number
        self._catch_up()

    def refused(self, network: bytes, rules: PenaltyRules, now: float) -> float:
        """Return for how many seconds a network is refused; 0 if it is not.

        :param now: the time on the clock ``time.monotonic``.
        """
        self._catch_up()
        found = self._penalties.get(network)
        if found is not None:
            if found.until <= now:
                self._forget(network)
            elif found.enforced:
                return found.until - now
        if _denies_all(rules, len(network)) and self._full(len(network), rules, now):
            return float(rules.min)
        return 0.0

    def add(self, network: bytes, seconds: float, rules: PenaltyRules, now: float) -> float:
        """Add a penalty; return for how many seconds the network is refused because of it.

        The result is 0 if the network is not refused, or was already.
        """
        self._catch_up()
        found = self._penalties.get(network) or _Penalty(now, False)
        if network not in self._penalties and self._full(len(network), rules, now):
            if _denies_all(rules, len(network)):
                return 0.0
            self._forget(next(one for one in self._penalties if len(one) == len(network)))
        before = found if found.until > now else _Penalty(now, False)
        until = min(before.until + seconds, now + rules.max)
        added = _Penalty(until, before.enforced or until - now >= rules.min)
        self._put(network, added)
        self._share(network, added)
        return until - now if added.enforced and not before.enforced else 0.0

    def _put(self, network: bytes, penalty: _Penalty) -> None:
        self._forget(network)
        self._penalties[network] = penalty
        self._sizes[len(network)] += 1

    def _forget(self, network: bytes) -> None:
        if self._penalties.pop(network, None) is not None:
            self._sizes[len(network)] -= 1

    def _full(self, size: int, rules: PenaltyRules, now: float) -> bool:
        """Tell whether as many networks are remembered as may be, without those that are over."""
        most = rules.max_sources4 if size == 4 else rules.max_sources6
        if self._sizes[size] >= most:
            for network in [one for one, it in self._penalties.items() if it.until <= now]:
                self._forget(network)
        return self._sizes[size] >= most

    # --- between processes ---

    def _share(self, network: bytes, penalty: _Penalty) -> None:
        base = self._own * _REGION
        (count,) = _COUNT.unpack_from(self._shared, base)
        place = base + _COUNT.size + count % _RECORDS * _RECORD.size
        _RECORD.pack_into(
            self._shared, place, network, len(network), penalty.enforced, penalty.until
        )
        _COUNT.pack_into(self._shared, base, count + 1)
        self._read[self._own] = count + 1

    def _catch_up(self) -> None:
        """Read what the other processes have added."""
        for process, read in enumerate(self._read):
            base = process * _REGION
            (count,) = _COUNT.unpack_from(self._shared, base)
            for number in range(max(read, count - _RECORDS), count):
                place = base + _COUNT.size + number % _RECORDS * _RECORD.size
                packed, size, enforced, until = _RECORD.unpack_from(self._shared, place)
                found = self._penalties.get(packed[:size])
                if size in self._sizes and (found is None or found.until < until):
                    self._put(packed[:size], _Penalty(until, bool(enforced)))
            self._read[process] = count


def _denies_all(rules: PenaltyRules, size: int) -> bool:
    mode = rules.overflow if size == 4 else rules.overflow6 or rules.overflow
    return mode == "deny-all"
