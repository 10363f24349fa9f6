"""How files are copied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from nacre.value import value

Links: TypeAlias = Literal["follow", "copy", "skip"]
"""What becomes of symbolic links inside trees."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told of a source's path, the bytes of it that are transferred, and its size."""


@value(kw_only=True)
class CopyOptions:
    """How to copy.

    :ivar recursive: take directories, with all that is in them.
    :ivar preserve: keep permissions and times.
    :ivar resume: go on where an earlier copy broke off; the part that is there is compared by hash
        where the server can hash (``check-file``), and else trusted.
    :ivar atomic: copy to a temporary name, then rename: under its own name no half file shows.
    :ivar verify: compare original and copy by hash; a server that can't hash is read from.
    :ivar fsync: bring each file to the disk before it counts as copied.
    :ivar links: symbolic links inside trees: ``follow`` copies what they point at, ``copy`` makes
        links, ``skip`` leaves them out.
    :ivar progress: called as bytes arrive.
    :ivar on_error: told of a file that can't be copied, and the copy goes on; without it the first
        such error ends the copy.
    :ivar on_skip: told of files that are neither regular nor directories, and of skipped links.
    :ivar on_file: told of source, target and whether it is a directory, when one is begun.
    """

    recursive: bool = False
    preserve: bool = False
    resume: bool = False
    atomic: bool = False
    verify: bool = False
    fsync: bool = False
    links: Links = "follow"
    progress: Progress | None = None
    on_error: Callable[[OSError], None] | None = None
    on_skip: Callable[[str], None] | None = None
    on_file: Callable[[str, str, bool], None] | None = None
