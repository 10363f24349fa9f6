"""What the members of a group have used together, in a file that all their sessions share.

A member's session can count the member's own directories alone. So the ledger of a group has a
place for each directory that a member writes to, and the figures of the group are the sums of all
places. A directory of several members has one place, and counts once.

Who changes files marks the ledger and the place, and notes there how much may be added at most. If
the process dies, the next member adds the places up anew and takes that for added, so the group
never has more than its limit; the place is in doubt until a session that has the directory, or
``nacre group usage --recount``, counts it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path

from nacre.sftp.filesystems.quota.claim import Ahead, LedgerClaim, opened_claim, this_boot
from nacre.sftp.filesystems.quota.ledger import (
    ASKED,
    CHANGED,
    CHANGING,
    CLEAN,
    DOUBTED,
    LENGTH,
    MARK,
    RECORD,
    Ledger,
    Usage,
    asked,
    count_ahead,
    open_private,
    read_settled,
    taken_ledger,
)
from nacre.sftp.filesystems.quota.limits import LARGEST, QuotaLimits
from nacre.sftp.filesystems.quota.quota import Quota, Share

_PLACE = struct.Struct("<16sIIqqqq")
# key, mark, doubts, bytes, files, the bytes and the files that may be added
_MORE = struct.Struct("<qq")
_FIRST, _STEP = 128, 64
"""Where the first place is in the file, and how far it is from one to the next."""

_MARK_OF_PLACE, _MORE_OF_PLACE = 16, 40
_COUNT, _LEFT = 56, 57
"""Where bytes are, in a place, that are not zero when somebody wants the directory counted, and
when no member has the directory any more. They are written without the lock, as is ``ASKED``.
"""

MOST_PLACES = 1 << 16
"""The most directories of one group: their places are 4 MiB."""

LONGEST = _FIRST + MOST_PLACES * _STEP
"""The most bytes of a group's ledger."""

_EMPTY = bytes(16)
_LOST = b"lost with server"
"""The key of the place for what a server may have added that has died, on top of what it had told.
It stands there until the directories of all members have been counted.
"""


class TreePlace:
    """What is known of one directory.

    :ivar at: where it is in the file.
    :ivar key: what the directory is found by.
    :ivar more_bytes: what a change that has not ended may add; ``more_files`` likewise.
    :ivar asked: somebody wants it counted.
    :ivar left: no member has the directory any more.
    """

    __slots__ = (
        *("asked", "at", "bytes", "doubts", "files", "key", "left", "mark"),
        *("more_bytes", "more_files"),
    )

    def __init__(self, at: int, data: bytes) -> None:
        found = _PLACE.unpack_from(data)
        self.key, self.mark, self.doubts, self.bytes, self.files = found[:5]
        self.more_bytes, self.more_files = found[5:]
        self.at = at
        self.asked, self.left = bool(data[_COUNT]), bool(data[_LEFT])

    @property
    def counted(self) -> bool:
        """Whether the figures are those of the directory."""
        return self.mark == CLEAN and not self.asked

    def encode(self) -> bytes:
        """Return what is written of it; sums of what somebody has spoilt are cut to what fits."""
        figures = self.bytes, self.files, self.more_bytes, self.more_files
        fitting = (min(max(0, figure), LARGEST) for figure in figures)
        return _PLACE.pack(self.key, self.mark, self.doubts, *fitting)

    def doubt(self) -> None:
        """Have the directory counted before it is changed."""
        self.mark, self.doubts = DOUBTED, (self.doubts + 1) & 0xFFFFFFFF

    def end_change(self) -> bool:
        """Take for added what a process that has died may have added; tell whether it did."""
        if self.mark != CHANGING:
            return False
        self.bytes += self.more_bytes
        self.files += self.more_files
        self.more_bytes = self.more_files = 0
        self.doubt()
        return True


class SharedUsage(Usage):
    """The figures of a group, of which those of one directory are looked at or changed.

    :ivar place: that of the directory; None for none, and then what is stored is not counted.
    :ivar doubted: the figures of the directory may be wrong.
    :ivar was_doubted: they might have been, when the ledger was locked.
    """

    __slots__ = ("_before", "_written", "place", "was_doubted")

    def begin(self, place: TreePlace | None) -> None:
        """Take the place that is looked at."""
        self.place, self._before = place, (self.bytes, self.files)
        self._written = b"" if place is None else place.encode()
        self.doubted = self.was_doubted = place is not None and not place.counted
        self.doubts = 0 if place is None else place.doubts

    @property
    def counts(self) -> bool:
        """See :attr:`Usage.counts`."""
        return self.place is not None

    def settle(self, size: int, count: int) -> None:
        """Take what was counted in the directory."""
        if self.place is not None:
            self.bytes += size - self.place.bytes
            self.files += count - self.place.files
        self.doubted = False

    def changed(self) -> TreePlace | None:
        """Give the place what has changed of the figures; return it if it is to be written."""
        place = self.place
        if place is None:
            self.bytes, self.files = self._before  # the directory is no member's any more
            return None
        place.bytes += self.bytes - self._before[0]
        place.files += self.files - self._before[1]
        if min(place.bytes, place.files) < 0:  # another program changes the files
            self.bytes -= min(0, place.bytes)
            self.files -= min(0, place.files)
            place.bytes, place.files = max(0, place.bytes), max(0, place.files)
            self.doubt()
        place.mark, place.doubts = DOUBTED if self.doubted else CLEAN, self.doubts
        place.more_bytes = place.more_files = 0
        return None if place.encode() == self._written else place

    @property
    def is_marked(self) -> bool:
        """Whether the place in the file has a mark, as has the group."""
        return not self._written

    def marked(self) -> None:
        """Note that they have."""
        self._written = b""

    def encode(self) -> bytes:
        """Return the record of the group, which is in doubt only if a sum does not fit: then who
        holds the ledger next adds the places up anew.
        """
        self.doubted = not (0 <= self.bytes <= LARGEST and 0 <= self.files <= LARGEST)
        self.bytes, self.files = max(0, self.bytes), max(0, self.files)
        return super().encode()


class SharedLedger(Ledger):
    """An open ledger of a group, for one session of a member."""

    OTHERS = "other members of the group have been changing"

    def __init__(self, file: FileIO, claim: LedgerClaim | None = None) -> None:
        super().__init__(file, claim)
        self._places: dict[str, int] = {}

    def _take(self, tree: str) -> SharedUsage:
        data = os.pread(self._number, LENGTH, 0)
        usage = SharedUsage.decode(data)
        assert isinstance(usage, SharedUsage)
        if usage.doubted:
            self._add_up(usage, asked(data))
        usage.begin(self._find(tree) if tree else None)
        return usage

    def _put(self, usage: Usage) -> None:
        assert isinstance(usage, SharedUsage)
        if (place := usage.changed()) is not None:
            if not usage.is_marked:  # as the sums are not those of the places for a moment
                os.pwrite(self._number, CHANGED, MARK)
            os.pwrite(self._number, place.encode(), place.at)
            if usage.was_doubted and place.counted:
                self._find_lost(usage)
        os.pwrite(self._number, usage.encode(), 0)

    def _find_lost(self, usage: SharedUsage) -> None:
        """Count no more what a server may have added, when all directories were counted since."""
        lost = None
        for place in self._all():
            if place.key == _LOST:
                lost = place
            elif not place.counted:
                return
        if lost is not None:
            os.pwrite(self._number, bytes(_STEP), lost.at)
            usage.bytes -= lost.bytes
            usage.files -= lost.files

    def mark(self, usage: Usage) -> None:
        """See :meth:`Ledger.mark`."""
        assert isinstance(usage, SharedUsage)
        super().mark(usage)
        if usage.place is not None:
            os.pwrite(self._number, CHANGED, usage.place.at + _MARK_OF_PLACE)
            usage.marked()

    def expect(self, usage: Usage, size: int, count: int) -> None:
        """Note how much the change that is marked may add, in case that this process dies."""
        assert isinstance(usage, SharedUsage)
        if (place := usage.place) is not None:
            place.more_bytes = min(place.more_bytes + max(0, size), LARGEST)
            place.more_files = min(place.more_files + max(0, count), LARGEST)
            more = _MORE.pack(place.more_bytes, place.more_files)
            os.pwrite(self._number, more, place.at + _MORE_OF_PLACE)

    def _add_up(self, usage: SharedUsage, looked_for: bool) -> None:
        """Make the figures of the group those of all places.

        :param looked_for: somebody has asked for it: some place has a byte that says more.
        """
        os.pwrite(self._number, CHANGED, MARK)
        if looked_for:
            os.pwrite(self._number, b"\0", ASKED)
        usage.bytes = usage.files = 0
        for place in self._all():
            if place.left:
                os.pwrite(self._number, bytes(_STEP), place.at)
                continue
            changed = place.end_change()
            if place.asked:
                os.pwrite(self._number, b"\0", place.at + _COUNT)
                place.doubt()
            if changed or place.asked:
                os.pwrite(self._number, place.encode(), place.at)
            usage.bytes += place.bytes
            usage.files += place.files
        os.pwrite(self._number, usage.encode(), 0)

    def _all(self) -> Iterator[TreePlace]:
        return _places(os.pread(self._number, LONGEST - _FIRST, _FIRST))

    def _find(self, tree: str) -> TreePlace | None:
        """Return the place of a directory; None if it has none."""
        key, at = _key(tree), self._places.get(tree)
        if at is not None:
            data = os.pread(self._number, _STEP, at)
            if len(data) == _STEP and data.startswith(key):
                place = TreePlace(at, data)
                return None if place.left else place
        for place in self._all():
            if place.key == key and not place.left:
                self._places[tree] = place.at
                return place
        return None

    def join(self, trees: Iterable[str]) -> None:
        """Have a place for each of these directories; new ones are in doubt.

        :raises OSError: there are too many.
        """
        boot = this_boot()
        trees = set(trees)
        if (
            self._claim is None  # otherwise another server may have changed what is here
            and all(self._find(tree) is not None for tree in trees)
            and self.read().seen_since(boot)
        ):
            return
        with self.held() as usage:
            if not usage.seen_since(boot):
                usage.due_up = usage.due_down = 0
                for place in self._all():
                    place.doubt()
                    os.pwrite(self._number, place.encode(), place.at)
            missing = [tree for tree in trees if self._find(tree) is None]
            for tree in missing:
                if self._find(tree) is None:
                    at = self._room()
                    os.pwrite(self._number, bytes(_STEP), at)
                    os.pwrite(self._number, _PLACE.pack(_key(tree), DOUBTED, 0, 0, 0, 0, 0), at)
            if missing and self._claim is not None:
                self._claim.tell()  # if this server dies, others know what there is to count

    def _room(self) -> int:
        """Return where there is room for one more place.

        :raises OSError: there is none.
        """
        end = os.fstat(self._number).st_size
        at = _FIRST + max(0, -(-(end - _FIRST) // _STEP)) * _STEP
        if at < LONGEST:
            return at
        # Only then a place is used again: who asks without the lock means the one before.
        data = os.pread(self._number, LONGEST - _FIRST, _FIRST)
        for start in range(0, len(data), _STEP):
            if data.startswith(_EMPTY, start):
                return _FIRST + start
        raise OSError(errno.ENOSPC, f"the group has more than {MOST_PLACES} directories")


def _key(tree: str) -> bytes:
    return hashlib.sha256(os.fsencode(tree)).digest()[:16]


def _places(data: bytes) -> Iterator[TreePlace]:
    for start in range(0, len(data) - _STEP + 1, _STEP):
        one = data[start : start + _STEP]
        if not one.startswith(_EMPTY):
            yield TreePlace(_FIRST + start, one)


def open_shared(directory: Path, group: str, trees: Iterable[str]) -> FileIO:
    """Return the ledger of a group, opened anew, which is made if there is none. May block.

    :param directory: that of the ledgers of groups.
    :param trees: the directories of the member whose session it is for, as they are configured.
    :raises OSError: it can't be opened, is locked for too long, or has too many directories.
    """
    file = open_private(directory, group, LONGEST)
    try:
        SharedLedger(file).join(trees)
    except BaseException:
        file.close()
        raise
    return file


def quota_of(limits: Sequence[QuotaLimits], ledgers: Sequence[FileIO]) -> Quota:
    """Return what holds one session to limits of a user and of groups.

    :param ledgers: those of the limits, in their order.
    """
    return Quota(*(_share(one, file) for one, file in zip(limits, ledgers, strict=True)))


def _share(limits: QuotaLimits, file: FileIO) -> Share:
    file, claim = opened_claim(file)
    if claim is not None:
        claim.limit(limits)
    return Share(limits, (SharedLedger if limits.group else Ledger)(file, claim))


def taken_shared(data: bytes, after: Ahead | None) -> bytes:
    """Return the ledger of a group as this server can use it; see ``taken_ledger``."""
    made = bytearray(taken_ledger(data, None))
    if after is None:
        return bytes(made)
    usage = SharedUsage.decode(bytes(made))
    count_ahead(usage, after)
    more_bytes, more_files, lost = after.bytes, after.files, None
    for place in _places(bytes(made[_FIRST:])):
        place.end_change()
        if place.key == _LOST:
            lost = place
            continue
        place.doubt()
        made[place.at : place.at + _PLACE.size] = place.encode()
        more_bytes -= place.bytes
        more_files -= place.files
    if more_bytes > 0 or more_files > 0:
        made.extend(bytes(max(0, _FIRST - len(made))))
        at = len(made) if lost is None else lost.at
        made.extend(bytes(max(0, at + _STEP - len(made))))
        figures = max(0, more_bytes), max(0, more_files)
        made[at : at + _PLACE.size] = _PLACE.pack(_LOST, CLEAN, 0, *figures, 0, 0)
    usage.doubt()  # the places are added up
    made[: RECORD.size] = Usage.encode(usage)
    return bytes(made)


def read_shared(directory: Path, group: str, trees: Iterable[str]) -> tuple[Usage, bool] | None:
    """Return a group's figures, and whether they are those of these directories.

    Blocks for half a second at most. Returns None if there is no ledger yet.

    :raises OSError: it can't be read.
    """
    data = read_settled(directory / group, LONGEST)
    return None if data is None else shared_figures(data, trees)


def shared_figures(data: bytes, trees: Iterable[str]) -> tuple[Usage, bool]:
    """Return the figures in a group's ledger, and whether they are those of these directories."""
    usage, known, counted = Usage.decode(data), set(), True
    usage.bytes = usage.files = 0
    for place in _places(data[_FIRST:]):
        if not place.left:
            known.add(place.key)
            counted = place.key != _LOST and counted
            counted = not place.end_change() and place.counted and counted
            usage.bytes += place.bytes
            usage.files += place.files
    return usage, counted and known >= set(map(_key, trees))


def count_shared(directory: Path, group: str, trees: Iterable[str] | None) -> None:
    """Have directories of a group counted before they are changed; see ``count_later``.

    :param trees: which ones; None for all.
    :raises OSError: the ledger can't be written.
    """
    keys = None if trees is None else set(map(_key, trees))
    _ask(directory / group, _COUNT, lambda key: keys is None or key in keys)


def keep_shared(
    directory: Path, group: str, trees: Iterable[str], gone: Iterable[str] | None = None
) -> None:
    """Count no other directories than these for a group any more.

    :param gone: of the others these alone; None for all.
    :raises OSError: the ledger can't be written.
    """
    keys = set(map(_key, trees))
    left = None if gone is None else set(map(_key, gone))
    keys.add(_LOST)
    _ask(directory / group, _LEFT, lambda key: key not in keys and (left is None or key in left))


def _ask(path: Path, where: int, chosen: Callable[[bytes], bool]) -> None:
    """Write a byte into places, without the lock, which may be held for long."""
    with suppress(FileNotFoundError), path.open("r+b", buffering=0) as file:
        number = file.fileno()
        for place in _places(os.pread(number, LONGEST - _FIRST, _FIRST)):
            if chosen(place.key):
                os.pwrite(number, b"\1", place.at + where)
        os.pwrite(number, b"\1", ASKED)
