"""Which calls of a session may be carried out now, and which must wait for others.

Wanted: the calls of one file in their order (draft-ietf-secsh-filexfer-02, section 6.1); different
files side by side; a request for a path must not overtake an earlier write to that file.

Plan: calls wait in lanes. Each file with pending calls has a lane, and all requests that name paths
share another. The calls of a lane are carried out in order, those of different lanes side by side.
A request for the path of a file with pending calls joins that file's lane. A call that concerns
several lanes runs alone: it waits for all calls before it, and all later calls wait for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice

from nacre.sftp.protocol.extensions import CopyData
from nacre.sftp.protocol.paths import normalise
from nacre.sftp.protocol.server import Call
from nacre.sftp.server.opened import OpenedFile
from nacre.sftp.server.rows import together


class Lane:
    """Calls that are carried out in order.

    :ivar busy: some of them are ready or being carried out.
    :ivar opened: the file they are about, or None for requests that name paths.
    :ivar path: the absolute path under which the file was opened; "" without a file.
    :ivar row: the calls that are being carried out.
    """

    __slots__ = ("busy", "calls", "opened", "path", "row")

    def __init__(self, opened: object = None, start: str = "/") -> None:
        self.calls: deque[Call] = deque()
        self.row: list[Call] = []
        self.busy = False
        self.opened = opened
        self.path = normalise(opened.path, start) if isinstance(opened, OpenedFile) else ""

    def next_row(self) -> list[Call]:
        """Return the first calls that are carried out together; they stay in the lane."""
        return list(islice(self.calls, together(self.calls)))


class Lanes:
    """The calls of one session that wait or are being carried out.

    :ivar running: rows of calls that are being carried out.
    :ivar ready: lanes with calls of which none is being carried out.
    :ivar alone: a call that concerns several lanes; no call is put into a lane meanwhile.
    :ivar paths: the lane of requests that name paths.
    """

    def __init__(self, most: int, start: str = "/") -> None:
        """Let at most ``most`` rows of calls be carried out at the same time.

        :param start: the absolute path at which relative paths start.
        """
        self._most = most
        self._start = start
        self._of_files: dict[object, Lane] = {}
        self.running = 0
        self.ready: deque[Lane] = deque()
        self.alone: Call | None = None
        self.paths = Lane()

    def put(self, call: Call) -> None:
        """Put a call into its lane, or make it the one that runs alone."""
        lane = self._lane(call)
        if lane is None:
            self.alone = call
            return
        lane.calls.append(call)
        if not lane.busy:
            lane.busy = True
            self.ready.append(lane)

    def _lane(self, call: Call) -> Lane | None:
        """Return the lane of a call, or None when it concerns several."""
        if isinstance(call.request, CopyData):
            return None
        if call.files:
            opened = call.files[0]
            if (lane := self._of_files.get(opened)) is None:
                lane = self._of_files[opened] = Lane(opened, self._start)
            return lane
        if not self._of_files:
            return self.paths
        named = [path for path in call.request.paths if path is not None]
        paths = {normalise(path, self._start) for path in named}
        busy = [lane for lane in self._of_files.values() if lane.path in paths]
        if not busy:
            return self.paths
        return busy[0] if len(busy) == len(named) == 1 else None

    def take_ready(self) -> Lane | None:
        """Return a lane whose next row may be carried out; None when there is none, or no room."""
        if self.ready and self.running < self._most:
            return self.ready.popleft()
        return None

    def start(self, lane: Lane, row: list[Call]) -> None:
        """Take a row out of its lane: it is being carried out from now on."""
        for _ in row:
            lane.calls.popleft()
        lane.row = row
        self.running += 1

    def start_alone(self) -> list[Call] | None:
        """Return the call that runs alone, as a row, once no other runs or is ready to."""
        if self.alone is None or self.running or self.ready:
            return None
        self.running += 1
        return [self.alone]

    def finish(self, lane: Lane, row: list[Call]) -> None:
        """Note that a row was carried out: the rest of its lane is ready."""
        self.running -= 1
        lane.row = []
        if row[0] is self.alone:
            self.alone = None
        if lane.calls:
            self.ready.append(lane)
        else:
            lane.busy = False
            # The file may be closed now. If it is not, its next call makes a new lane.
            self._of_files.pop(lane.opened, None)

    @property
    def carried_out(self) -> Iterator[Call]:
        """The calls that are being carried out."""
        for lane in (self.paths, *self._of_files.values()):
            yield from lane.row
        if self.alone is not None:
            yield self.alone

    def clear(self) -> list[Call]:
        """Drop all calls that wait, because the session is over, and return them."""
        self.ready.clear()
        dropped: list[Call] = []
        for lane in (self.paths, *self._of_files.values()):
            dropped += lane.calls
            lane.calls.clear()
        return dropped
