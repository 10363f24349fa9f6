"""The progress meter of ``sftp`` and ``scp``, on a terminal."""

from __future__ import annotations

import os
import sys
import time

from nacre.sftp.protocol.paths import last_name
from nacre.wire.text import safe

_REFRESH = 0.2
_TAIL = 40
_UNITS = ("B ", "KB", "MB", "GB", "TB", "PB")


class Meter:
    """Shows a line for each file. Of files that are transferred at once, the first is shown.

    :ivar enabled: whether lines are shown; never if standard output is not a terminal.
    """

    def __init__(self, *, enabled: bool = True) -> None:
        self.enabled = enabled and os.isatty(1)
        self._files: dict[str, tuple[float, int]] = {}
        self._drawn = 0.0
        self._dirty = False

    def update(self, source: str, done: int, size: int) -> None:
        """Take the progress of a file: see :data:`nacre.sftp.client.options.Progress`."""
        if not self.enabled:
            return
        now = time.monotonic()
        begun, first = self._files.setdefault(source, (now, done))
        if done >= size:
            del self._files[source]
            self._draw(source, done, size, now - begun, done - first, final=True)
        elif now - self._drawn >= _REFRESH and source == next(iter(self._files)):
            self._draw(source, done, size, now - begun, done - first, final=False)

    def clear(self) -> None:
        """Forget unfinished files, and end the line, before other text is printed."""
        self._files.clear()
        if self._dirty:
            self._dirty = False
            sys.stdout.write("\n")
            sys.stdout.flush()

    def _draw(
        self, source: str, done: int, size: int, seconds: float, moved: int, *, final: bool
    ) -> None:
        from shutil import get_terminal_size

        columns = get_terminal_size().columns
        room = max(columns - _TAIL, 10)
        percent = 100 if done >= size else int(100 * done / size)
        rate = moved / seconds if seconds > 0 else 0.0
        left = seconds if final else (size - done) / rate if rate else 0.0
        name = safe(last_name(source) or source)[:room]
        line = f"{name:<{room}} {percent:3d}% {_scaled(done)} {_scaled(rate)}/s   {_clock(left)}"
        line += "    " if final else " ETA"
        sys.stdout.write("\r" + line + ("\n" if final else ""))
        sys.stdout.flush()
        self._drawn = time.monotonic()
        self._dirty = not final


def _scaled(count: float) -> str:
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count /= 1024
        unit += 1
    number = f"{count:4.0f}  " if not unit else f"{count:6.1f}"
    return number + _UNITS[unit]


def _clock(seconds: float) -> str:
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    shown = f"{rest // 60:02d}:{rest % 60:02d}"
    return f"{hours}:{shown}" if hours else shown
