"""What wakes a thread that waits for descriptors."""

from __future__ import annotations

import os
from contextlib import suppress


class Wakeup:
    """Wakes the thread, which waits for a descriptor."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        for descriptor in (self._read, self._write):
            os.set_blocking(descriptor, False)

    def fileno(self) -> int:
        """Return the descriptor that can be read after :meth:`tell`."""
        return self._read

    def tell(self) -> None:
        """Wake the thread."""
        if self._write >= 0:
            with suppress(BlockingIOError):  # it is full, so the thread is told already
                os.write(self._write, b"!")

    def clear(self) -> None:
        """Wait for the next call."""
        os.read(self._read, 4096)

    def close(self) -> None:
        """Close it; calls of :meth:`tell` do nothing then."""
        os.close(self._read)
        os.close(self._write)
        self._write = -1
