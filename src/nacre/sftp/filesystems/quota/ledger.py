"""What a user has used, in a file that all sessions of the user read and write.

What is wanted: the figures are those of the user's files at every moment, with any number of
sessions in any number of processes, also after SIGKILL; nothing waits for a process that hangs.

Plan: a ledger is one record. Whoever changes the user's files holds a lock on it from before the
change until the record is written. The kernel keeps the lock, and what was written, whatever ends
the process. Before a change the record is marked: who finds a mark and holds the lock knows that a
process has died in the middle of one, so the figures are in doubt, and the files are counted anew.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from nacre.sftp.filesystems.quota.claim import Ahead, LedgerClaim, this_boot
from nacre.sftp.protocol.status import ToldError

_MAGIC = b"nacreLG1"
RECORD = struct.Struct("<8sIIqqQQQQQ16s")
# magic, mark, doubts, bytes, files, period, up, down, due_up, due_down, boot
MARK = 8
"""Where the mark is in a record."""

CLEAN, CHANGING, DOUBTED = 0, 1, 2
CHANGED = CHANGING.to_bytes(4, "little")

ASKED = RECORD.size
"""Where a byte is, behind the record, that is not zero when somebody wants the files counted."""

LENGTH = RECORD.size + 1

PATIENCE = 30.0
"""Seconds to wait for the lock: longer than a write of a disk that is busy."""

_LOOKS = 50
"""How often who only looks at a ledger tries to find it when nobody changes it."""

_PAUSE, _LONGEST_PAUSE = 0.0001, 0.01
_MOST, _LATEST = (1 << 63) - 1, (1 << 64) - 1


def asked(data: bytes) -> bool:
    """Tell whether somebody wants the files counted, of what was read of a ledger."""
    return data[ASKED:LENGTH] not in (b"", b"\0")


class Usage:
    """The figures of a ledger.

    :ivar bytes: those of the user's files; ``files`` their number, with directories and links.
    :ivar period: when the period began whose transfers these are, in seconds since the epoch.
    :ivar up: bytes that were written in this period; ``down`` those that were read.
    :ivar due_up: until when the bytes that were written take at the user's rate, in nanoseconds of
        the monotonic clock; ``due_down`` likewise.
    :ivar doubted: ``bytes`` and ``files`` may be wrong: the files are to be counted.
    :ivar doubts: how often they were doubted.
    """

    __slots__ = (
        *("bytes", "doubted", "doubts", "down", "due_down", "due_up", "files", "period"),
        *("up", "_boot"),
    )

    def __init__(self) -> None:
        self.bytes = self.files = self.period = self.up = self.down = 0
        self.due_up = self.due_down = self.doubts = 0
        self.doubted = False
        self._boot = bytes(16)

    @classmethod
    def decode(cls, data: bytes) -> Usage:
        """Return the figures of a record; one that is empty, or none, is in doubt."""
        found = cls()
        if len(data) < RECORD.size or data[: len(_MAGIC)] != _MAGIC:
            found.doubt()
            return found
        _, mark, found.doubts, *rest = RECORD.unpack_from(data)
        found.bytes, found.files, found.period, found.up, found.down = rest[:5]
        found.due_up, found.due_down, found._boot = rest[5:]
        found.doubted = mark == DOUBTED
        if mark == CHANGING or asked(data):
            found.doubt()
        return found

    def encode(self) -> bytes:
        """Return the record; figures below 0 are in doubt: another program changes the files."""
        if min(self.bytes, self.files) < 0:
            self.doubt()
        figures = [self.bytes, self.files, self.period, self.up, self.down]
        if min(figures) < 0 or max(figures) > _MOST:
            figures = [min(max(0, figure), _MOST) for figure in figures]
        mark = DOUBTED if self.doubted else CLEAN
        due = min(self.due_up, _LATEST), min(self.due_down, _LATEST)
        return RECORD.pack(_MAGIC, mark, self.doubts, *figures, *due, self._boot)

    def doubt(self) -> None:
        """Have the files counted before the next change."""
        self.doubted = True
        self.doubts = (self.doubts + 1) & 0xFFFFFFFF

    def settle(self, size: int, count: int) -> None:
        """Take what was counted."""
        self.bytes, self.files, self.doubted = size, count, False

    @property
    def counts(self) -> bool:
        """Whether what is stored there counts."""
        return True

    def so_far(self) -> Ahead:
        """Return the figures as a claim has them."""
        return Ahead(self.period, self.up, self.down, self.bytes, self.files)

    def transfers(self) -> tuple[int, ...]:
        """Return what is known of transfers."""
        return self.period, self.up, self.down, self.due_up, self.due_down

    def take_back(self, transfers: tuple[int, ...]) -> None:
        """Know of transfers what was known before."""
        self.period, self.up, self.down, self.due_up, self.due_down = transfers

    def moved(self, now: int) -> None:
        """Make the times of rates those of another clock: nothing is known of it but its ``now``.

        :param now: what a :meth:`rest` is counted from.
        """
        self.due_up, self.due_down = self.due_up + now, self.due_down + now

    def rest(self, now: int) -> None:
        """Keep of the times of rates how many nanoseconds are left at ``now``."""
        self.due_up, self.due_down = max(0, self.due_up - now), max(0, self.due_down - now)

    def seen_since(self, boot: bytes) -> bool:
        """Note the system's start; return whether it was the same one before."""
        before, self._boot = self._boot, boot
        return before == boot


class Ledger:
    """An open ledger, for one session. Its methods block, and may be called in several threads.

    :param file: this object's own, and opened for it alone: a lock belongs to what was opened.
    :param claim: where several servers have the ledger; None where this one alone has it.
    """

    OTHERS = "other sessions have been changing your"

    def __init__(self, file: FileIO, claim: LedgerClaim | None = None) -> None:
        self._file = file
        self._claim = claim
        self._asked = self._marked = False
        self._number = file.fileno()
        self._alone = threading.Lock()

    def read(self) -> Usage:
        """Return the figures as they are now, without waiting for anybody."""
        return Usage.decode(os.pread(self._number, LENGTH, 0))

    @contextmanager
    def held(self, tree: str = "", patience: float = PATIENCE) -> Iterator[Usage]:
        """Hold the ledger; what is changed of the figures is written at the end, or at an error.

        :param tree: what is looked at or changed: the directory of a filesystem, as it was
            configured. The ledger of a user does not tell them apart.
        :param patience: seconds to wait for others who hold it.
        :raises ToldError: others have held it for too long.
        """
        deadline = time.monotonic() + patience
        if not self._alone.acquire(timeout=patience):
            raise self._locked(patience)
        try:
            self._lock(deadline, patience)
            while self._claim is not None and not self._claim.holds():
                fcntl.flock(self._number, fcntl.LOCK_UN)  # the server writes what others counted
                if not self._claim.acquire(deadline - time.monotonic()):
                    raise self._locked(patience)
                self._lock(deadline, patience)
            try:
                usage = self._take(tree)
                before, self._marked = usage.transfers(), False
                try:
                    yield usage
                finally:
                    self._put(usage)
                    self._cover(usage, before)
            finally:
                fcntl.flock(self._number, fcntl.LOCK_UN)
        finally:
            self._alone.release()

    def _take(self, tree: str) -> Usage:
        data = os.pread(self._number, LENGTH, 0)
        self._asked = asked(data)
        return Usage.decode(data)

    def _put(self, usage: Usage) -> None:
        os.pwrite(self._number, usage.encode(), 0)
        if self._asked:
            os.pwrite(self._number, b"\0", ASKED)  # it is in doubt now

    def _cover(self, usage: Usage, before: tuple[int, ...]) -> None:
        """Have the database know how far the figures go.

        If it gives no answer, what was to be transferred is not, unless files have been changed.
        """
        if self._claim is None:
            return
        try:
            self._claim.cover(usage.so_far())
        except BaseException:
            if not self._marked:
                usage.take_back(before)
                os.pwrite(self._number, usage.encode(), 0)
            raise

    def mark(self, usage: Usage) -> None:
        """Mark that files are changed from now on; who holds the ledger calls this."""
        self._marked = True
        os.pwrite(self._number, CHANGED, MARK)

    def expect(self, usage: Usage, size: int, count: int) -> None:
        """Note how much may be added until the ledger is let go; the files of a user are counted
        anew if that is not known.
        """

    def _locked(self, patience: float) -> ToldError:
        return ToldError(
            errno.EAGAIN,
            f"{self.OTHERS} files for {patience:.0f} seconds: try again",
        )

    def _lock(self, deadline: float, patience: float) -> None:
        pause = _PAUSE
        while True:
            try:
                fcntl.flock(self._number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise self._locked(patience) from None
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def close(self) -> None:
        """Close it."""
        self._file.close()
        if self._claim is not None:
            self._claim.close()


def open_ledger(directory: Path, user: str) -> FileIO:
    """Return a user's ledger, opened anew, which is made if there is none. May block.

    The account of a session can't open it, but writes to what was opened: what is behind the record
    is cut off. After a start of the system the figures are in doubt, as they may be older than the
    files.

    :param directory: that of all ledgers.
    :raises OSError: it can't be opened, or is locked for too long.
    """
    file = open_private(directory, user, LENGTH)
    try:
        boot = this_boot()
        ledger = Ledger(file)
        if not ledger.read().seen_since(boot):
            with ledger.held() as usage:
                if not usage.seen_since(boot):
                    usage.doubt()
                    usage.due_up = usage.due_down = 0
    except BaseException:
        file.close()
        raise
    return file


def open_private(directory: Path, name: str, longest: int) -> FileIO:
    """Return a file that only this account can open; it is made if there is none.

    :param longest: who may write to the file has written too much if it is longer.
    :raises OSError: it can't be opened.
    """
    directory.mkdir(mode=0o700, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    file = FileIO(os.open(directory / name, flags, 0o600), "r+")
    if os.fstat(file.fileno()).st_size > longest:
        os.truncate(file.fileno(), longest)
    return file


def read_ledger(directory: Path, user: str) -> Usage | None:
    """Return a user's figures; None if there is no ledger yet. Blocks for half a second at most.

    :raises OSError: it can't be read.
    """
    data = read_settled(directory / user, LENGTH)
    return None if data is None else Usage.decode(data)


def read_settled(path: Path, length: int) -> bytes | None:
    """Return the beginning of a ledger when nobody changes it; None if there is none.

    Blocks for half a second at most: then what is read is amid a change.

    :raises OSError: it can't be read.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:
        for _ in range(_LOOKS):
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return file.read(length)
            time.sleep(_LONGEST_PAUSE)
        return file.read(length)


def sent_ledger(data: bytes) -> bytes:
    """Return a ledger as another server can take it."""
    if len(data) < RECORD.size:
        return data
    usage = Usage.decode(data[: RECORD.size])
    usage.rest(time.monotonic_ns())
    return usage.encode() + data[RECORD.size :]


def taken_ledger(data: bytes, after: Ahead | None) -> bytes:
    """Return a ledger as this server can use it.

    :param data: what another one has sent; empty for a new one.
    :param after: how far it may have counted since, if it has died; otherwise None.
    """
    usage = Usage.decode(data[: RECORD.size])
    usage.moved(time.monotonic_ns())
    usage.seen_since(this_boot())
    if after is not None:
        usage.doubt()
        count_ahead(usage, after)
    return usage.encode() + data[RECORD.size :]


def count_ahead(usage: Usage, ahead: Ahead) -> None:
    """Count as transferred what a server may have transferred that has died."""
    if not ahead.up and not ahead.down:
        return  # it has transferred nothing that is limited
    if ahead.period != usage.period:
        usage.period, usage.up, usage.down = ahead.period, 0, 0
    usage.up, usage.down = max(usage.up, ahead.up), max(usage.down, ahead.down)


def is_from_here(data: bytes) -> bool:
    """Tell whether a ledger was written since the system has started."""
    return len(data) >= RECORD.size and Usage.decode(data[: RECORD.size]).seen_since(this_boot())


def count_later(directory: Path, users: Iterable[str] | None = None) -> None:
    """Have the files of users counted before their next change: what counts is another now.

    :param users: their names; None for all who have a ledger.
    :raises OSError: a ledger can't be written.
    """
    if users is None:
        users = os.listdir(directory) if directory.is_dir() else ()
    for user in users:
        with suppress(FileNotFoundError), (directory / user).open("r+b", buffering=0) as file:
            os.pwrite(file.fileno(), b"\1", ASKED)  # without the lock, which may be held for long


def remove_ledger(directory: Path, user: str) -> None:
    """Remove a user's ledger, if there is one.

    :raises OSError: it can't be removed.
    """
    (directory / user).unlink(missing_ok=True)
