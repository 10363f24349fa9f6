"""The options of sessions and copies, and the callbacks that report on copies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias, TypedDict

from nacre.value import value

Links: TypeAlias = Literal["follow", "copy", "skip"]
"""What to do with symbolic links inside trees."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with a source's path, the number of its bytes transferred so far, and its size."""


class SFTPOptions(TypedDict, total=False):
    """The options of an SFTP session; see :meth:`~nacre.sftp.client.session.SFTPSession.begin`."""

    read_size: int | None
    window: int | None
    idle_timeout: float | None
    version: int


@value(kw_only=True)
class CopyOptions:
    """How to copy.

    :ivar recursive: copy directories with everything in them.
    :ivar preserve: keep permissions and times.
    :ivar resume: continue an earlier copy that was interrupted. Its bytes are compared by hash if
        the server can hash (``check-file``), else they are trusted.
    :ivar atomic: copy to a temporary name, then rename, so that no partial file has the name.
    :ivar in_place: of uploads: truncate an existing file at the end of its copy, not before, so
        that a file that is copied onto itself keeps its bytes.
    :ivar verify: compare original and copy by hash; if the server can't hash, the file is read.
    :ivar fsync: bring each file to the disk before it counts as copied.
    :ivar links: symbolic links inside trees: ``follow`` copies what they point at, ``copy`` makes
        links, ``skip`` leaves them out.
    :ivar progress: called as bytes arrive.
    :ivar on_error: called with the error of a file that can't be copied; the others are copied.
        Without it, the first error ends the copy.
    :ivar on_skip: called with the path of a skipped link, and of a file that is neither regular nor
        a directory.
    :ivar on_file: called before each file with source, target, and whether it is a directory.
    """

    recursive: bool = False
    preserve: bool = False
    resume: bool = False
    atomic: bool = False
    in_place: bool = False
    verify: bool = False
    fsync: bool = False
    links: Links = "follow"
    progress: Progress | None = None
    on_error: Callable[[OSError], None] | None = None
    on_skip: Callable[[str], None] | None = None
    on_file: Callable[[str, str, bool], None] | None = None
