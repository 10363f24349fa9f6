"""Directories that may be the root directory of sessions (ChrootDirectory in sshd_config(5))."""

from __future__ import annotations

import os
import stat
from pathlib import PurePosixPath


def refuses_root(path: str) -> str | None:
    """Return why a directory can't be the root directory of sessions, or None. Blocks.

    As in sshd, each directory of the path must belong to root, and no other account may write to
    it: otherwise a user could put files in place that programs with more rights trust.

    :param path: with its tokens replaced.
    """
    if os.geteuid() != 0:
        return "ChrootDirectory needs a server that runs as root"
    place = PurePosixPath(path)
    if not place.is_absolute():
        return f"ChrootDirectory {path} is not an absolute path"
    for directory in (*reversed(place.parents), place):
        try:
            status = os.stat(directory)
        except (OSError, ValueError) as error:
            return f"ChrootDirectory {path}: {directory}: {getattr(error, 'strerror', error)}"
        if not stat.S_ISDIR(status.st_mode):
            return f"ChrootDirectory {path}: {directory} is not a directory"
        if status.st_uid != 0 or status.st_mode & 0o022:
            return (
                f"ChrootDirectory {path}: {directory} must belong to root, and only root may write "
                "to it: chown root, chmod go-w"
            )
    return None
