"""Files of revoked keys: RevokedKeys of sshd_config(5), RevokedHostKeys of ssh_config(5).

A file is looked at for each key that is shown, so a change counts at once. What it says is kept
while it is the same file, because a long list takes seconds to read.
"""

from __future__ import annotations

import os
from threading import Lock

from nacre.config.kept import KeptFiles
from nacre.keys.base import PublicKey
from nacre.keys.signed.revocation import MAXIMUM_SIZE, Revocations, load, unreadable

_KEPT = 4
"""Files whose lists are kept; a long list takes 300 MiB of memory at most."""

_kept = KeptFiles[Revocations](_KEPT, _KEPT * MAXIMUM_SIZE)
_reading = Lock()


def refusal(path: str | os.PathLike[str], key: PublicKey) -> str | None:
    """Return why a key or a certificate counts as revoked, or None. Blocks.

    A file that can't be read revokes every key: one that is revoked must not pass.
    """
    try:
        # Many keys may be shown at once: one thread reads for all.
        with open(path, "rb") as file, _reading:
            made = _kept.get(os.fspath(path), file.fileno(), MAXIMUM_SIZE, _revocations)
            return made.refusal(key)
    except OSError as error:
        return unreadable(error.strerror or str(error)).refusal(key)


def _revocations(data: bytes) -> Revocations:
    if len(data) > MAXIMUM_SIZE:
        return unreadable(f"the file has more than {MAXIMUM_SIZE} bytes")
    return load(data)
