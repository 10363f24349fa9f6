"""The right of a server to count in a ledger that several servers have.

The figures of a user or of a group are at one server at a time, in its own ledger. A file beside
the ledger, the claim, says until when they are; only the server writes it, and only while the
ledger is locked. A session that finds no claim asks its server for one, on a socket, and waits.

The claim also says how far figures may go before the database has heard of it. So it is known how
much a server may have counted that dies.
"""

from __future__ import annotations

import array
import errno
import os
import socket
import stat
import struct
import time
from functools import cache
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from nacre.limits import MIB
from nacre.sftp.filesystems.quota.limits import LARGEST, QuotaLimits
from nacre.sftp.protocol.status import ToldError

ACQUIRE, EXTEND, TELL = 1, 2, 3
"""What a session asks for: the figures, that they may go further, or that the database is told the
ledger as it is.
"""

_CLAIM = struct.Struct("<qQqqqqq16s")
_REQUEST = struct.Struct("<BQqqqqq")
ANSWER = struct.Struct("<Q")
REFUSED = 1 << 63
"""What is added to the number of a request that is refused."""


REQUEST_SIZE = _REQUEST.size

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_BOOT_SIZE = 16
_ROOM = socket.CMSG_SPACE(2 * array.array("i").itemsize)

_PATIENCE = 10.0
"""Seconds to wait for the server while the ledger is locked."""

_LEAST, _MOST = 1 * MIB, 64 * MIB
_FEWEST, _MANY = 16, 1024
_PART = 16
"""The bounds of a portion, in bytes and in files, and which part of a limit it is between them."""


class Ahead(NamedTuple):
    """How far figures may go before the database hears of it.

    :ivar period: the period of the transfers.
    """

    period: int = 0
    up: int = 0
    down: int = 0
    bytes: int = 0
    files: int = 0

    def extended(self, further: Ahead) -> Ahead:
        """Return how far figures may go that may go further.

        Of two periods the one that is asked for holds. It may be the one that began earlier: then
        the user has another kind of period.
        """
        same = self.period == further.period
        return Ahead(
            further.period,
            max(self.up, further.up) if same else further.up,
            max(self.down, further.down) if same else further.down,
            max(self.bytes, further.bytes),
            max(self.files, further.files),
        )


class Claim(NamedTuple):
    """What a claim says. It says it until the system is started anew, as its times do not go on.

    :ivar owner: the lease of the server that has the figures; 0 for none.
    :ivar until: when that is over, in nanoseconds since the start of the system.
    """

    owner: int = 0
    until: int = 0
    ahead: Ahead = Ahead()

    @classmethod
    def read(cls, file: int, started: bytes | None = None) -> Claim:
        """Return what a descriptor's file says.

        :param started: what the server has sent as :func:`this_boot`; None in the server itself.
        """
        data = os.pread(file, _CLAIM.size, 0)
        if len(data) < _CLAIM.size:
            return cls()
        owner, until, *ahead, boot = _CLAIM.unpack(data)
        return cls(owner, until, Ahead(*ahead)) if boot == (started or _own_boot()) else cls()

    def write(self, file: int) -> None:
        """Write it."""
        os.pwrite(file, _CLAIM.pack(self.owner, self.until, *self.ahead, _own_boot()), 0)


def this_boot() -> bytes:
    """Return 16 bytes that are others after each start of the system; zeros if it has none."""
    try:
        return bytes.fromhex(_BOOT.read_text().strip().replace("-", ""))[:16].ljust(16, b"\0")
    except (OSError, ValueError):
        return bytes(16)


@cache
def _own_boot() -> bytes:
    return this_boot()


def since_start() -> int:
    """Return the nanoseconds since the start of the system; a suspended one goes on counting."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class ClaimRequest(NamedTuple):
    """What a session asks its server.

    :ivar what: ``ACQUIRE``, ``EXTEND`` or ``TELL``.
    :ivar number: what the answer says.
    """

    what: int
    number: int
    ahead: Ahead

    @classmethod
    def decode(cls, data: bytes) -> ClaimRequest | None:
        """Return what was sent; None for something else."""
        if len(data) != _REQUEST.size:
            return None
        what, number, *ahead = _REQUEST.unpack(data)
        if what not in (ACQUIRE, EXTEND, TELL) or not all(0 <= one <= LARGEST for one in ahead):
            return None
        return cls(what, number, Ahead(*ahead))

    def encode(self) -> bytes:
        """Return what is sent."""
        return _REQUEST.pack(self.what, self.number, *self.ahead)


class LedgerClaim:
    """The claim of one open ledger, for one session. Who holds the ledger's lock calls it."""

    def __init__(self, sock: socket.socket, file: FileIO, started: bytes) -> None:
        # What serves files may not be allowed to read when the system was started.
        self._sock, self._file, self._started = sock, file, started
        self._said = Claim()
        self._number = 0
        self._up = self._down = self._bytes = self._files = 0

    def limit(self, limits: QuotaLimits) -> None:
        """Note what is limited, and so how far figures go at a time."""
        self._up = _portion(limits.transfer_up)
        self._down = _portion(limits.transfer_down)
        # What a user stores is counted anew. That of a group can't be, by one of its users.
        if limits.group is not None:
            self._bytes = _portion(limits.bytes)
            self._files = _portion(limits.files, _FEWEST, _MANY)

    def holds(self) -> bool:
        """Tell whether this server has the figures; the ledger is locked."""
        self._said = Claim.read(self._file.fileno(), self._started)
        return self._said.owner > 0 and self._said.until > since_start()

    def acquire(self, seconds: float) -> bool:
        """Ask for the figures; tell whether there was an answer. The ledger is not locked."""
        return self._ask(ACQUIRE, Ahead(), seconds)

    def cover(self, used: Ahead) -> None:
        """Have the database know how far these figures go; the ledger is locked.

        :raises ToldError: it gives no answer.
        """
        portions = (self._up, self._down, self._bytes, self._files)
        if not any(portions):
            return
        wanted = Ahead(
            used.period,
            *(
                min(max(0, figure), LARGEST) if more else 0
                for figure, more in zip(used[1:], portions, strict=True)
            ),
        )
        ahead = self._said.ahead
        if ahead.period == wanted.period and all(
            have >= want for have, want in zip(ahead[1:], wanted[1:], strict=True)
        ):
            return
        further = (
            min(want + more, LARGEST) if more else 0
            for want, more in zip(wanted[1:], portions, strict=True)
        )
        self._need(EXTEND, Ahead(wanted.period, *further))
        self._said = Claim.read(self._file.fileno(), self._started)

    def tell(self) -> None:
        """Have the database know the ledger as it is; the ledger is locked.

        :raises ToldError: it gives no answer.
        """
        self._need(TELL, Ahead())

    def _need(self, what: int, ahead: Ahead) -> None:
        if not self._ask(what, ahead, _PATIENCE):
            raise ToldError(errno.EAGAIN, "the store of all servers gives no answer: try again")

    def _ask(self, what: int, ahead: Ahead, seconds: float) -> bool:
        self._number += 1
        deadline = time.monotonic() + seconds
        try:
            self._sock.settimeout(max(0.001, seconds))
            self._sock.send(ClaimRequest(what, self._number, ahead).encode())
            while True:
                self._sock.settimeout(max(0.001, deadline - time.monotonic()))
                data = self._sock.recv(ANSWER.size)
                if not data:
                    raise ToldError(errno.EIO, "the server is about to end")
                number = ANSWER.unpack(data)[0]
                if number & ~REFUSED == self._number:  # others are late
                    return not number & REFUSED
        except TimeoutError:
            return False

    def close(self) -> None:
        """Close it."""
        self._file.close()
        self._sock.close()


def _portion(limit: int | None, least: int = _LEAST, most: int = _MOST) -> int:
    return 0 if limit is None else max(least, min(most, limit // _PART))


def send_claim(sock: socket.socket, ledger: int, claim: int) -> None:
    """Send the descriptors of a ledger and of its claim to who gets the other end of a socket."""
    socket.send_fds(sock, [_own_boot()], [ledger, claim])


def opened_claim(file: FileIO) -> tuple[FileIO, LedgerClaim | None]:
    """Return a ledger, and its claim if it has one.

    :param file: the ledger, or a socket on which both were sent.
    :raises OSError: there is nothing on the socket.
    """
    if not stat.S_ISSOCK(os.fstat(file.fileno()).st_mode):
        return file, None
    sock = socket.socket(fileno=os.dup(file.fileno()))
    file.close()
    try:
        sock.settimeout(_PATIENCE)
        started, ledger, claim = _sent(sock)
    except BaseException:
        sock.close()
        raise
    return FileIO(ledger, "r+"), LedgerClaim(sock, FileIO(claim, "r"), started)


def _sent(sock: socket.socket) -> tuple[bytes, int, int]:
    """Return what was sent, and its descriptors. No program that is started inherits them."""
    started, ancillary, _, _ = sock.recvmsg(_BOOT_SIZE, _ROOM, socket.MSG_CMSG_CLOEXEC)
    numbers = array.array("i")
    for level, kind, part in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers.frombytes(part[: len(part) - len(part) % numbers.itemsize])
    if len(numbers) != 2:
        for number in numbers:
            os.close(number)
        raise OSError(errno.EIO, "the server has sent no ledger")
    return started, numbers[0], numbers[1]
