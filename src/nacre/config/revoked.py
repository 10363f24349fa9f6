"""Files of revoked keys: RevokedKeys of sshd_config(5), RevokedHostKeys of ssh_config(5).

A file is looked at for each key that is shown, so a change counts at once. What it says is kept
while it is the same file, because a long list takes seconds to read.
"""

from __future__ import annotations

import os
import stat
import time
from threading import Lock
from typing import TypeAlias

from nacre.keys.base import PublicKey
from nacre.keys.signed.revocation import MAXIMUM_SIZE, Revocations, load, unreadable

_KEPT = 4
"""Files whose lists are kept; a long list takes 300 MiB of memory at most."""

_RECENT = 2_000_000_000
"""Nanoseconds within which a file may be written twice at what it gives as the same time."""

_Identity: TypeAlias = tuple[int, ...]

_kept: dict[str, tuple[_Identity, Revocations]] = {}
_reading = Lock()


def refusal(path: str | os.PathLike[str], key: PublicKey) -> str | None:
    """Return why a key or a certificate counts as revoked, or None. Blocks.

    A file that can't be read revokes every key: one that is revoked must not pass.
    """
    try:
        # Many keys may be shown at once: one thread reads for all.
        with open(path, "rb") as file, _reading:
            return _revocations(os.fspath(path), file.fileno()).refusal(key)
    except OSError as error:
        return unreadable(error.strerror or str(error)).refusal(key)


def _revocations(path: str, descriptor: int) -> Revocations:
    status = os.fstat(descriptor)
    times = (status.st_mtime_ns, status.st_ctime_ns)
    identity = (status.st_dev, status.st_ino, status.st_size, *times)
    known = _kept.pop(path, None)
    if known is None or known[0] != identity:
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(MAXIMUM_SIZE + 1)
        large = len(data) > MAXIMUM_SIZE
        known = (
            identity,
            unreadable(f"the file has more than {MAXIMUM_SIZE} bytes") if large else load(data),
        )
    if stat.S_ISREG(status.st_mode) and max(times) < time.time_ns() - _RECENT:
        while len(_kept) >= _KEPT:
            del _kept[next(iter(_kept))]  # the one that was not asked for longest
        _kept[path] = known
    return known[1]
