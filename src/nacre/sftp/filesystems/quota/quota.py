"""The limits that hold for a user beside what the sessions have used."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, TypeAlias

from nacre.limits import KIB
from nacre.sftp.filesystems.quota.ledger import PATIENCE, Ledger, Usage
from nacre.sftp.filesystems.quota.limits import QuotaLimits, period_start
from nacre.sftp.protocol.extensions import FileSystemStatus
from nacre.sftp.protocol.paths import join
from nacre.sftp.protocol.status import ToldError

_LONGEST_WAIT = 3600.0
"""Seconds to wait for a rate: more come only from a ledger that somebody has spoilt."""

_SHORTEST_WAIT = 0.002
"""Seconds. A sleep takes 60 microseconds more than it is asked for, so that one for each read of a
fast rate would be the slower one of both; what is not waited for stays due in the ledger."""

_DAY = 86400
_NANO = 1_000_000_000
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


class Counted(NamedTuple):
    """What was found in directories: the bytes of all files, and how many entries there are."""

    bytes: int
    files: int


class Share:
    """The limits of a user, or of a group, and what is used of them, for one session.

    :ivar limits: what may be.
    :ivar ledger: what is used.
    """

    def __init__(self, limits: QuotaLimits, ledger: Ledger) -> None:
        self.limits = limits
        self.ledger = ledger
        self._today = -1.0
        self._start = 0

    def check(self, usage: Usage, size: int, count: int) -> None:
        """Check that there is room for ``size`` more bytes and ``count`` more files.

        :raises ToldError: there is none; the text says which limit is in the way.
        """
        most, group = self.limits.bytes, self.limits.group
        whose = "your quota" if group is None else f"the quota of the group {group}"
        if most is not None and size > 0 and usage.bytes + size > most:
            left = max(0, most - usage.bytes)
            raise _exceeded(
                f"{whose} is {shown_size(most)}: {shown_size(left)} of it are left, and this "
                f"needs {shown_size(size)}"
            )
        most = self.limits.files
        if most is not None and count > 0 and usage.files + count > most:
            who = "you have" if group is None else "its members have"
            raise _exceeded(f"{whose} is {most} files and directories, and {who} {most}")

    def check_transfer(self, usage: Usage, way: str, size: int) -> None:
        """Check that bytes may be read or written in this period; none may be at any time.

        :raises ToldError: they may not.
        """
        limits, now = self.limits, time.time()
        if now // _DAY != self._today:
            self._today, self._start = now // _DAY, period_start(limits.transfer_period, now)
        if usage.period != self._start:
            usage.period, usage.up, usage.down = self._start, 0, 0
        ups = way == "up"
        most = limits.transfer_up if ups else limits.transfer_down
        used = usage.up if ups else usage.down
        if most is not None and size > 0 and used + size > most:
            who = "you" if limits.group is None else f"the group {limits.group}"
            what = "upload" if ups else "download"
            span = "" if limits.transfer_period == "total" else f" a {limits.transfer_period}"
            raise _exceeded(
                f"{who} may {what} {shown_size(most)}{span}, of which "
                f"{shown_size(max(0, most - used))} are left"
            )

    def add(self, usage: Usage, way: str, size: int) -> float:
        """Count transferred bytes; return for how many seconds they have to be waited for."""
        if way == "up":
            usage.up += size
            if self.limits.rate_up is None:
                return 0.0
            usage.due_up, delay = _due(usage.due_up, size, self.limits.rate_up)
        else:
            usage.down += size
            if self.limits.rate_down is None:
                return 0.0
            usage.due_down, delay = _due(usage.due_down, size, self.limits.rate_down)
        return delay

    def lease(self, usage: Usage, way: str, size: int) -> float:
        """Count bytes before they are transferred; return after how many seconds they may be."""
        delay = self.add(usage, way, size)
        rate = self.limits.rate_up if way == "up" else self.limits.rate_down
        return 0.0 if rate is None else max(0.0, delay - size / rate)


Held: TypeAlias = list[tuple[Share, Usage]]


class Change:
    """What a change of files makes of the figures: it is added to those of all ledgers.

    :ivar bytes: the bytes that have come, or gone if it is below 0; ``files`` likewise.
    """

    __slots__ = ("_held", "bytes", "files")

    def __init__(self, held: Held) -> None:
        self._held = held
        self.bytes = self.files = 0

    def doubt(self) -> None:
        """Have the files counted before the next change."""
        for _, usage in self._held:
            usage.doubt()

    @property
    def doubts(self) -> tuple[int, ...]:
        """How often the figures were doubted, and the files counted since: others than before."""
        return tuple(usage.doubts for _, usage in self._held)

    def check(self, size: int, count: int) -> None:
        """Check that there is room for ``size`` more bytes and ``count`` more files.

        :raises ToldError: there is none; the text says which limit is in the way.
        """
        for share, usage in self._held:
            share.check(usage, size, count)
        self.expect(size, count)

    def expect(self, size: int, count: int) -> None:
        """Note what is going to come, in case that the process dies meanwhile."""
        if size > 0 or count > 0:
            for share, usage in self._held:
                share.ledger.expect(usage, size, count)

    def room(self) -> int | None:
        """Return for how many more bytes there is room; None for any number."""
        found = [
            max(0, share.limits.bytes - usage.bytes)
            for share, usage in self._held
            if share.limits.bytes is not None
        ]
        return min(found, default=None)

    def settle(self) -> None:
        """Add what has changed to the figures."""
        for _, usage in self._held:
            usage.bytes += self.bytes
            usage.files += self.files


class Quota:
    """What holds for a user: limits of the user and of groups, for one session. It may block.

    :ivar stores: they limit what is stored; ``sends`` what is written, ``receives`` what is read.
    """

    def __init__(self, *shares: Share) -> None:
        """Hold the session to these; the ledgers are closed with the last filesystem.

        :param shares: in the order in which all sessions lock their ledgers, so that no two wait
            for each other.
        """
        self.shares = shares
        self._stored = [one for one in shares if one.limits.store]
        self._ways = {
            "up": [one for one in shares if one.limits.up],
            "down": [one for one in shares if one.limits.down],
        }
        self._written = [one for one in shares if one.limits.store or one.limits.up]
        self.stores = bool(self._stored)
        self.sends, self.receives = bool(self._ways["up"]), bool(self._ways["down"])
        self._trees: list[tuple[Any, str]] = []

    def watch(self, files: Any, tree: str) -> None:
        """Count the files of a filesystem, whose methods are plain functions, with the others.

        Those of one that is only read count for nothing.

        :param tree: the directory, as it was configured.
        """
        self._trees.append((files, tree))

    def forget(self, files: Any) -> None:
        """Count the files of a filesystem no more; with the last one the ledgers are closed."""
        self._trees = [one for one in self._trees if one[0] is not files]
        if not self._trees:
            self.close()

    def close(self) -> None:
        """Close the ledgers."""
        for share in self.shares:
            share.ledger.close()

    # --- what is stored ---

    @contextmanager
    def changing(self, tree: str, *, up: int = 0, patience: float = PATIENCE) -> Iterator[Change]:
        """Hold the ledgers while the user's files are changed; wait afterwards, if there is a rate.

        Who changes files changes the figures accordingly, also if an OSError ends it.

        :param tree: where they are changed.
        :param up: bytes that are written.
        :param patience: seconds to wait for a ledger that another session holds.
        :raises ToldError: no more may be written in this period, or a ledger is locked.
        """
        with ExitStack() as stack:
            held, stored = self._right(self._written if up else self._stored, tree, patience, stack)
            for share, usage in held:
                share.check_transfer(usage, "up", up)
            for share, usage in stored:
                share.ledger.mark(usage)
            change = Change(stored)
            try:
                yield change
            except BaseException as error:
                if not isinstance(error, OSError):
                    change.doubt()
                raise
            finally:
                change.settle()
            delay = max((share.add(usage, "up", up) for share, usage in held), default=0.0)
        _wait(delay)

    def admit(
        self, tree: str, size: int, count: int, *, up: int = 0, patience: float = PATIENCE
    ) -> None:
        """Check that there is room for what is going to be stored; nothing is held afterwards.

        What is written counts as transferred, and is waited for, if there is a rate.

        :param size: bytes that may be stored later; ``count`` files likewise.
        :param up: bytes that are written.
        :param patience: seconds to wait for a ledger that another session holds.
        :raises ToldError: there is no room, no more may be written in this period, or a ledger is
            locked.
        """
        with ExitStack() as stack:
            shares = self._written if up else self._stored
            held, stored = self._right(shares, tree, patience, stack)
            for share, usage in stored:
                share.check(usage, size, count)
            for share, usage in held:
                share.check_transfer(usage, "up", up)
            delay = max((share.add(usage, "up", up) for share, usage in held), default=0.0)
        _wait(delay)

    def _right(
        self, shares: Sequence[Share], tree: str, patience: float, stack: ExitStack
    ) -> tuple[Held, Held]:
        """Hold ledgers whose figures are right, which the files are counted for if need be.

        :return: all of them, and those that count what is stored.
        """
        while True:
            held = _held(shares, tree, stack, patience)
            stored = [one for one in held if one[0].limits.store and one[1].counts]
            if not any(usage.doubted for _, usage in stored):
                return held, stored
            stack.close()
            self.recount(patience)

    # --- transfers and rates ---

    def transfer(self, way: str, size: int, *, patience: float = PATIENCE) -> None:
        """Count bytes that are read or written, and wait, if there is a rate.

        Nothing is held meanwhile, as :meth:`changing` holds the ledgers.

        :param way: ``up`` or ``down``.
        :param patience: seconds to wait for a ledger that another session holds.
        :raises ToldError: no more may be transferred in this period.
        """
        with ExitStack() as stack:
            held = _held(self._ways[way], "", stack, patience)
            for share, usage in held:
                share.check_transfer(usage, way, size)
            delay = max(share.add(usage, way, size) for share, usage in held)
        _wait(delay)

    def lease(self, way: str, size: int, *, patience: float = PATIENCE) -> float:
        """Count bytes that are transferred later; return after how many seconds they may be.

        :param way: ``up`` or ``down``, of which one is limited at least.
        :param size: below 0, bytes that were counted and not transferred.
        :param patience: seconds to wait for a ledger that another session holds.
        :raises ToldError: no more may be transferred in this period, or a ledger is locked.
        """
        with ExitStack() as stack:
            held = _held(self._ways[way], "", stack, patience)
            for share, usage in held:
                share.check_transfer(usage, way, size)
            return max(share.lease(usage, way, size) for share, usage in held)

    # --- counting ---

    def recount(self, patience: float = PATIENCE) -> None:
        """Count the files, if the figures are in doubt: nothing is changed until that is done.

        :param patience: seconds to wait for a ledger that another session holds.
        :raises ToldError: a directory can't be read, or a ledger is locked.
        """
        doubted = []
        for share, tree in self._figures():
            with share.ledger.held(tree, patience) as usage:
                if usage.doubted:
                    doubted.append((share, tree, usage.doubts))
        if not doubted:
            return  # another session has done it
        found = self.counts()
        of = dict(found) | {"": _total(found)}
        for share, tree, doubts in doubted:
            with share.ledger.held(tree, patience) as usage:
                if usage.doubted and usage.doubts == doubts:
                    usage.settle(*of[tree])

    def _figures(self) -> Iterator[tuple[Share, str]]:
        """Return what is counted: all that a user stores, and for a group each directory."""
        for share in self._stored:
            if share.limits.group is None:
                yield share, ""
                continue
            for tree in dict.fromkeys(one for files, one in self._trees if not files.read_only):
                yield share, tree

    def doubt(self) -> None:
        """Have all files counted by :meth:`recount`."""
        for share, tree in self._figures():
            with share.ledger.held(tree) as usage:
                usage.doubt()

    def counts(self) -> list[tuple[str, Counted]]:
        """Return what there is in each filesystem, with its directory.

        :raises ToldError: a directory can't be read.
        """
        return [(tree, _count(files)) for files, tree in self._trees if not files.read_only]

    def narrowed(self, found: FileSystemStatus) -> FileSystemStatus:
        """Return the state of a file system with the quotas as its size."""
        if self.stores:
            self.recount()
        for share in self._stored:
            found = _narrowed(found, share.limits, share.ledger.read())
        return found


def _total(found: Sequence[tuple[str, Counted]]) -> Counted:
    return Counted(sum(one.bytes for _, one in found), sum(one.files for _, one in found))


def _held(shares: Sequence[Share], tree: str, stack: ExitStack, patience: float = PATIENCE) -> Held:
    return [(one, stack.enter_context(one.ledger.held(tree, patience))) for one in shares]


def _narrowed(found: FileSystemStatus, limits: QuotaLimits, usage: Usage) -> FileSystemStatus:
    changes: dict[str, int] = {}
    if limits.bytes is not None:
        unit = found.frsize or 4 * KIB
        left = max(0, limits.bytes - usage.bytes) // unit
        changes["blocks"] = min(found.blocks, limits.bytes // unit)
        changes |= {"bfree": min(found.bfree, left), "bavail": min(found.bavail, left)}
    if limits.files is not None:
        left = max(0, limits.files - usage.files)
        changes["files"] = limits.files
        changes |= {"ffree": min(found.ffree, left), "favail": min(found.favail, left)}
    names = FileSystemStatus.__annotations__
    return FileSystemStatus(*(changes.get(name, getattr(found, name)) for name in names))


def _count(files: Any) -> Counted:
    size = count = 0
    waiting = ["/"]
    while waiting:
        directory = waiting.pop()
        try:
            entries = files.scandir(directory)
            try:
                for entry in entries:
                    if entry.name in (".", ".."):
                        continue
                    count += 1
                    size += size_of(entry.attributes)
                    if entry.attributes.is_directory:
                        waiting.append(join(directory, entry.name))
            finally:
                if hasattr(entries, "close"):
                    entries.close()
        except (FileNotFoundError, NotADirectoryError):
            continue  # another program has removed it meanwhile
        except OSError as error:
            raise ToldError(
                error.errno or errno.EIO,
                f"your files can't be counted for your quota: {directory}: {error.strerror}",
            ) from error
    return Counted(size, count)


def size_of(attributes: Any) -> int:
    """Return the bytes that a file counts for; none for what is no regular file."""
    return (attributes.size or 0) if attributes.is_file else 0


def shown_size(size: int) -> str:
    """Return a number of bytes for people: the exact one, in the largest unit that fits."""
    unit = 0
    while size and size % 1024 == 0 and unit + 1 < len(_UNITS):
        size, unit = size // 1024, unit + 1
    return f"{size} {_UNITS[unit]}"


def _due(before: int, size: int, rate: int) -> tuple[int, float]:
    """Return until when bytes take at a rate that follow others, and for how many seconds.

    :param before: until when the others take, in nanoseconds of the monotonic clock.
    """
    now = time.monotonic_ns()
    due = max(now, before) + size * _NANO // rate
    return due, (due - now) / _NANO


def _exceeded(text: str) -> ToldError:
    return ToldError(errno.EDQUOT, text)


def _wait(seconds: float) -> None:
    """Wait for what was transferred; a shorter time is left to who transfers next."""
    if seconds >= _SHORTEST_WAIT:
        time.sleep(min(seconds, _LONGEST_WAIT))
