"""The form of a backup: a tar archive whose last file is a manifest with the hashes of the others.

The manifest comes last, so an archive that was cut off has none, and is refused.
"""

from __future__ import annotations

import json
from typing import Any

from nacre.errors import StateError
from nacre.value import value

MANIFEST = "manifest.json"
VERSION = 1
"""The version of the form, which the manifest says under ``nacre-backup``."""

MOST_MANIFEST = 64 * 1024 * 1024
"""Bytes of a manifest that is read."""


@value
class BackedUp:
    """A file of a backup.

    :ivar path: its path below the state directory.
    :ivar sha256: the hash of its content, in hexadecimal.
    """

    path: str
    size: int
    mode: int
    sha256: str


def dump(entries: list[BackedUp], made: int) -> bytes:
    """Return a manifest.

    :param made: when the backup was made, in seconds since the epoch.
    """
    files = [
        {"path": one.path, "size": one.size, "mode": one.mode, "sha256": one.sha256}
        for one in entries
    ]
    return json.dumps({"nacre-backup": VERSION, "made": made, "files": files}, indent=1).encode()


def load(text: bytes) -> dict[str, BackedUp]:
    """Return the files that a manifest names.

    :raises StateError: it is of another form.
    """
    try:
        found: Any = json.loads(text)
        version, files = found["nacre-backup"], found["files"]
        entries = [
            BackedUp(str(one["path"]), int(one["size"]), int(one["mode"]), str(one["sha256"]))
            for one in files
        ]
    except (ValueError, TypeError, LookupError) as error:
        raise StateError("the backup's manifest is damaged") from error
    if version != VERSION:
        raise StateError(
            f"the backup has version {version!r:.20}, and this nacre reads {VERSION}: restore it "
            "with the nacre that has made it"
        )
    return {one.path: one for one in entries}
