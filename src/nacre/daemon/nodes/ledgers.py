"""Keeps the ledgers that this process has of those which all servers of a store share.

A session counts in a file of its server, as with one server alone; see
:mod:`nacre.sftp.filesystems.quota.claim`. The figures are at one server at a time. This thread gets
them from the database when a session needs them, and hands them over when another server does: then
it locks the file, so no session is amid a change. Where one server alone serves a user, the
database hears of nothing but how the figures are, every few seconds.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import socket
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import psycopg

from nacre.daemon.nodes.ledger_rows import (
    LEDGERS_CHANNEL,
    TakenRow,
    extend_ledger,
    leave_ledger,
    pending_ledgers,
    take_ledger,
    write_ledger,
)
from nacre.daemon.nodes.tables import DatabaseConnection, reason_of
from nacre.daemon.nodes.wakeup import Wakeup
from nacre.daemon.store.shared import shared_directory
from nacre.daemon.store.values import LedgerKey, usage_directory
from nacre.sftp.filesystems.quota.claim import (
    ACQUIRE,
    ANSWER,
    REFUSED,
    REQUEST_SIZE,
    TELL,
    Claim,
    ClaimRequest,
    opened_claim,
    send_claim,
    since_start,
)
from nacre.sftp.filesystems.quota.ledger import (
    LENGTH,
    is_from_here,
    open_private,
    sent_ledger,
    taken_ledger,
)
from nacre.sftp.filesystems.quota.shared import LONGEST, SharedLedger, taken_shared

if TYPE_CHECKING:
    from nacre.daemon.store.postgres.store_url import StoreURL

CLAIMS = "usage-claims"
"""The directory of a state directory that has the claims."""

HOLD = 0.05
"""Seconds for which a server has a ledger at least: two that want it in turn get something done."""

_WRITE = 3.0
"""Seconds between two writings of what has changed."""

_LOOK = 1.0
"""Seconds between two looks at what others want: they tell of it, which may be lost."""

_AGAIN = 0.5
"""Seconds from asking for a ledger to asking once more."""

_BUSY, _BUSIEST = 0.002, 0.05
"""Seconds to the next attempt to lock a ledger: they grow from one attempt to the next."""

_PAUSE = 0.5
"""Seconds from a database that fails to the next attempt."""

_STATEMENT = "5s"
_LAST = 3.0
"""Seconds at the end to hand the ledgers over."""

Lease: TypeAlias = tuple[int, int]
"""The number of a lease, and until when it holds, in nanoseconds since the system's start."""

Failure: TypeAlias = Callable[[str], None]


class _Visitor:
    """A session on its socket."""

    def __init__(self, key: LedgerKey, sock: socket.socket) -> None:
        self.key, self.sock = key, sock
        self.number = 0

    def answer(self, done: bool = True) -> None:
        """Answer what was asked last; one who has left, or reads nothing, gets no answer."""
        with suppress(OSError):
            self.sock.send(ANSWER.pack(self.number if done else self.number | REFUSED))


class _Held:
    """A ledger that this process has.

    :ivar lease: the lease that has it.
    :ivar since: since when.
    :ivar written: what the database has; ``asked`` is how often somebody has wanted it counted.
    """

    def __init__(self, lease: int, row: TakenRow) -> None:
        self.lease = lease
        self.since = time.monotonic()
        self.written = b""
        self.asked = row.answered


class _Pace:
    """When the thread has done what it does from time to time.

    :ivar looked: when it looked at what others want; ``wrote`` when it wrote what has changed.
    :ivar pause: seconds to its next attempt to lock a ledger.
    """

    def __init__(self) -> None:
        self.looked = self.wrote = float("-inf")
        self.pause = _BUSY


class LedgerKeeper:
    """See :mod:`nacre.daemon.nodes.ledgers`.

    :param state: the state directory.
    :param settle: has the files of a user, or of a group, counted anew here; it may block.
    """

    def __init__(
        self, url: StoreURL, state: Path, settle: Callable[[LedgerKey], None] | None = None
    ) -> None:
        self._url = url
        self._state = state
        self._settle = settle
        self._coming: list[_Visitor] = []
        self._closed = False
        self._wakeup = Wakeup()
        self._thread: threading.Thread | None = None
        # These are the thread's own.
        self._visitors = selectors.DefaultSelector()
        self._sessions: Counter[LedgerKey] = Counter()
        self._waiting: dict[LedgerKey, list[_Visitor]] = {}
        self._loading: dict[LedgerKey, tuple[int, TakenRow]] = {}
        self._held: dict[LedgerKey, _Held] = {}
        self._wanted: set[LedgerKey] = set()
        self._again: dict[LedgerKey, float] = {}
        self._pace = _Pace()
        self._heard = self._failed = False

    def begin(self, lease: Callable[[], Lease | None], fail: Failure) -> None:
        """Keep them from now on.

        :param lease: returns the lease of this process, or None.
        :param fail: is told that the database can't be used, in the thread.
        """
        self._lease, self._fail = lease, fail
        self._thread = threading.Thread(target=self._run, name="node-ledgers", daemon=True)
        self._thread.start()

    def open(self, key: LedgerKey, trees: Sequence[str] = ()) -> FileIO:
        """Return the socket of a ledger for one session. May block.

        :param trees: the directories of the session's user, for the ledger of a group.
        :raises OSError: it can't be opened, is not to be had, or has too many directories.
        """
        if key.kind == "group":
            file, claim = opened_claim(self._admit(key))
            ledger = SharedLedger(file, claim)
            try:
                ledger.join(trees)
            finally:
                ledger.close()
        return self._admit(key)

    def _admit(self, key: LedgerKey) -> FileIO:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ExitStack() as stack:
            stack.callback(theirs.close)
            stack.callback(ours.close)
            with open_private(*self._place(key)) as ledger, self._claim(key) as claim:
                # A session reads the claim, and can't write it.
                shown = os.open(f"/proc/self/fd/{claim.fileno()}", os.O_RDONLY | os.O_CLOEXEC)
                try:
                    send_claim(ours, ledger.fileno(), shown)
                finally:
                    os.close(shown)
            stack.pop_all()
        ours.setblocking(False)
        self._coming.append(_Visitor(key, ours))
        self._wakeup.tell()
        return FileIO(theirs.detach(), "r+")

    def close(self) -> None:
        """Hand all ledgers over, if the database answers soon; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._wakeup.tell()
        if self._thread is not None:
            self._thread.join(_LAST)
        if self._thread is None or not self._thread.is_alive():
            self._wakeup.close()

    # --- files ---

    def _place(self, key: LedgerKey) -> tuple[Path, str, int]:
        if key.kind == "group":
            return shared_directory(self._state), key.name, LONGEST
        return usage_directory(self._state), key.name, LENGTH

    def _claim(self, key: LedgerKey) -> FileIO:
        return open_private(self._state / CLAIMS, f"{key.kind}.{key.name}", LENGTH)

    @contextmanager
    def _locked(self, key: LedgerKey) -> Iterator[tuple[FileIO, FileIO] | None]:
        """Lock a ledger, and return it with its claim; None if a session is amid a change."""
        with open_private(*self._place(key)) as ledger, self._claim(key) as claim:
            try:
                fcntl.flock(ledger, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
                return
            yield ledger, claim  # it is let go when it is closed

    # --- in the thread ---

    def _run(self) -> None:
        self._visitors.register(self._wakeup, selectors.EVENT_READ)
        while not self._closed:
            try:
                with self._url.connect(autocommit=True) as connection:
                    # What the last transaction has done is not known.
                    self._held, self._loading, self._wanted = {}, {}, set()
                    connection.add_notify_handler(self._hear)
                    connection.execute(f"SET statement_timeout = '{_STATEMENT}'")
                    connection.execute(f"LISTEN {LEDGERS_CHANNEL}")
                    number = connection.fileno()
                    self._visitors.register(number, selectors.EVENT_READ)
                    try:
                        while not self._closed:
                            self._turn(connection)
                        self._leave_all(connection)
                    finally:
                        self._visitors.unregister(number)
            except Exception as error:  # whatever it is, the thread goes on
                self._on_failure(error)
        for visitor in self._all_visitors():
            visitor.sock.close()

    def _on_failure(self, error: Exception) -> None:
        if not self._failed:
            self._fail(reason_of(error))
            if not isinstance(error, psycopg.Error | OSError):
                traceback.print_exception(error)
        self._failed = True
        if not self._closed:
            time.sleep(_PAUSE)

    def _hear(self, notice: psycopg.Notify) -> None:
        lease = self._lease()
        if lease is not None and notice.payload == str(lease[0]):
            self._heard = True

    def _turn(self, connection: DatabaseConnection) -> None:
        """Wait until there is something to do, and do it."""
        for visitor in self._all_coming():
            self._visitors.register(visitor.sock, selectors.EVENT_READ, visitor)
            self._sessions[visitor.key] += 1
        lease = self._lease()
        if lease is not None:
            self._look(connection, lease)
            busy = self._hand_over(connection)
            for key in list(self._waiting):
                busy = self._serve(connection, key, lease) or busy
            self._write_all(connection)
            self._failed = False
            seconds = self._seconds()
        else:
            busy, seconds = bool(self._waiting), _LOOK  # there will be one in a moment
        if busy:
            seconds, self._pace.pause = self._pace.pause, min(1.5 * self._pace.pause, _BUSIEST)
        else:
            self._pace.pause = _BUSY
        for found, _ in self._visitors.select(seconds):
            if found.data is not None:
                self._read(connection, found.data)
            elif found.fileobj is self._wakeup:
                self._wakeup.clear()
            else:
                connection.execute("SELECT 1")  # the handler hears, or the connection is gone

    def _seconds(self) -> float:
        due = min([self._pace.looked + _LOOK, *(self._again[key] for key in self._waiting)])
        due = min([due, *(self._held[key].since + HOLD for key in self._wanted)])
        return max(0.0, due - time.monotonic())

    def _all_coming(self) -> Iterator[_Visitor]:
        while self._coming:
            yield self._coming.pop(0)

    def _all_visitors(self) -> list[_Visitor]:
        registered = [one.data for one in self._visitors.get_map().values()]
        return [*self._coming, *(one for one in registered if isinstance(one, _Visitor))]

    # --- what sessions ask ---

    def _read(self, connection: DatabaseConnection, visitor: _Visitor) -> None:
        try:
            data = visitor.sock.recv(REQUEST_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        request = ClaimRequest.decode(data)
        if request is None:  # it has left, or says what no session says
            self._visitors.unregister(visitor.sock)
            visitor.sock.close()
            self._sessions[visitor.key] -= 1
            if not self._sessions[visitor.key]:
                del self._sessions[visitor.key]
            self._give_up(visitor)
            return
        visitor.number = request.number
        if request.what == ACQUIRE:
            waiting = self._waiting.setdefault(visitor.key, [])
            if visitor not in waiting:
                waiting.append(visitor)
            self._again.setdefault(visitor.key, float("-inf"))
        else:
            self._tell(connection, visitor, request)

    def _give_up(self, visitor: _Visitor) -> None:
        waiting = self._waiting.get(visitor.key, [])
        if visitor in waiting:
            waiting.remove(visitor)
            if not waiting:
                del self._waiting[visitor.key]
                self._again.pop(visitor.key, None)

    def _tell(
        self, connection: DatabaseConnection, visitor: _Visitor, request: ClaimRequest
    ) -> None:
        """Tell the database of a ledger, whichever process of this server has it.

        The session holds the lock of the ledger meanwhile. It is refused if the lease has lost the
        ledger.
        """
        key = visitor.key
        with self._claim(key) as file, open_private(*self._place(key)) as ledger:
            claim = Claim.read(file.fileno())
            if request.what == TELL:
                data = sent_ledger(os.pread(ledger.fileno(), LONGEST, 0))
                done = write_ledger(connection, key, claim.owner, data)
            else:
                ahead = claim.ahead.extended(request.ahead)
                done = extend_ledger(connection, key, claim.owner, ahead)
                if done:
                    claim._replace(ahead=ahead).write(file.fileno())
        visitor.answer(done)

    def _serve(self, connection: DatabaseConnection, key: LedgerKey, lease: Lease) -> bool:
        """Get the ledger that sessions wait for; tell whether to try again at once."""
        number, until = lease
        if until <= since_start():
            self._again[key] = time.monotonic() + _AGAIN
            return False
        held = self._held.get(key)
        if held is None or held.lease != number:
            if self._loading.get(key, (number,))[0] != number:
                del self._loading[key]
            if key not in self._loading:
                if time.monotonic() < self._again[key]:
                    return False
                row = take_ledger(connection, key, number)
                if row is None:
                    self._again[key] = time.monotonic() + _AGAIN
                    return False
                self._loading[key] = number, row
            if not self._load(key):
                return True
        elif key in self._wanted:  # another server is first
            self._again[key] = held.since + HOLD
            return False
        with self._locked(key) as files:
            if files is None:
                return True
            claim = Claim.read(files[1].fileno())
            claim._replace(owner=number, until=until).write(files[1].fileno())
        for visitor in self._waiting.pop(key):
            visitor.answer()
        self._again.pop(key, None)
        return False

    def _load(self, key: LedgerKey) -> bool:
        """Write a ledger that this process has got into its file; tell whether that was possible.

        Of a lease that has died, the file may be this server's own. Then it is exact.
        """
        number, row = self._loading[key]
        with self._locked(key) as files:
            if files is None:
                return False
            ledger, claim = (one.fileno() for one in files)
            owner = Claim.read(claim).owner
            here = os.pread(ledger, LONGEST, 0)
            if row.before is None or owner != row.before or not is_from_here(here):
                take = taken_shared if key.kind == "group" else taken_ledger
                data = take(row.record, None if row.before is None else row.ahead)
                os.ftruncate(ledger, 0)
                os.pwrite(ledger, data, 0)
            Claim(number, 0, row.ahead).write(claim)
        del self._loading[key]
        self._held[key] = _Held(number, row)
        if row.asked > row.answered and self._settle is not None:
            self._settle(key)
            self._held[key].asked = row.asked
        return True

    # --- what other servers want ---

    def _look(self, connection: DatabaseConnection, lease: Lease) -> None:
        """See which ledgers others want, or want counted."""
        now = time.monotonic()
        if not self._heard and now < self._pace.looked + _LOOK:
            return
        if self._heard:  # it may be what somebody waits for
            self._again = dict.fromkeys(self._again, float("-inf"))
        self._heard, self._pace.looked = False, now
        self._held = {key: one for key, one in self._held.items() if one.lease == lease[0]}
        self._wanted = set()
        for key, wanted, asked in pending_ledgers(connection, lease[0]):
            held = self._held.get(key)
            if held is None:
                if key in self._loading:
                    self._load(key)
                elif key not in self._waiting:  # it was given to who wants it no more
                    row = take_ledger(connection, key, lease[0])
                    if row is not None:
                        self._loading[key] = lease[0], row
                        self._load(key)
                continue
            if wanted:
                self._wanted.add(key)
            if asked > held.asked and self._settle is not None:
                self._settle(key)
                held.asked = asked

    def _hand_over(self, connection: DatabaseConnection) -> bool:
        """Hand over what others want; tell whether to try again at once."""
        busy, now = False, time.monotonic()
        for key in list(self._wanted):
            if now < self._held[key].since + HOLD:
                continue
            busy = not self._leave(connection, key) or busy
        return busy

    def _leave(self, connection: DatabaseConnection, key: LedgerKey) -> bool:
        held = self._held[key]
        with self._locked(key) as files:
            if files is None:
                return False
            ledger, claim = (one.fileno() for one in files)
            # If this fails, nobody knows which server has it: then the files are counted anew.
            Claim().write(claim)
            data = sent_ledger(os.pread(ledger, LONGEST, 0))
            leave_ledger(connection, key, held.lease, data, held.asked)
        del self._held[key]
        self._wanted.discard(key)
        return True

    def _leave_all(self, connection: DatabaseConnection) -> None:
        deadline = time.monotonic() + _LAST / 2
        while self._held and time.monotonic() < deadline:
            left = [self._leave(connection, key) for key in list(self._held)]
            if not all(left):
                time.sleep(_BUSY)

    def _write_all(self, connection: DatabaseConnection) -> None:
        """Write what has changed, for who looks at it, and in case that this server dies; hand over
        what no session needs any more.
        """
        now = time.monotonic()
        if now < self._pace.wrote + _WRITE:
            return
        self._pace.wrote = now
        for key, held in list(self._held.items()):
            if not self._sessions[key]:
                self._leave(connection, key)
                continue
            with self._locked(key) as files:
                if files is None:
                    continue
                data = os.pread(files[0].fileno(), LONGEST, 0)
            state = data + bytes([held.asked & 255])
            if state == held.written:
                continue
            if write_ledger(connection, key, held.lease, sent_ledger(data), held.asked):
                held.written = state
            else:  # the user was removed, or another server has it
                self._drop(key)

    def _drop(self, key: LedgerKey) -> None:
        with self._claim(key) as claim:
            Claim().write(claim.fileno())
        self._held.pop(key, None)
        self._wanted.discard(key)
