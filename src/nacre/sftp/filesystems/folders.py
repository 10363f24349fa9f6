"""Folders: other directories and storages that a user sees below the root, as text.

A folder is ``POINT=TARGET``, or ``POINT=TARGET:ro`` for one that is only read::

    /shared=/srv/shared
    /archive=s3://bucket/prefix:ro

``POINT`` is an absolute path as the user sees it, and ends at the first ``=``.
"""

from __future__ import annotations

from collections.abc import Iterable

from nacre.errors import ConfigurationError
from nacre.sftp.protocol.paths import normalise
from nacre.value import value
from nacre.wire.text import safe

ENCRYPTED = "encrypted+"
"""What a directory or a URL begins with in which files are encrypted
(:mod:`nacre.sftp.filesystems.encrypted`)."""

_MOST = 64
_LONGEST = 4096
_READ_ONLY = ":ro"


@value
class Folder:
    """A directory or a storage, and where the user sees it.

    :ivar point: an absolute path below the user's root, and not the root itself.
    :ivar target: an absolute path of this system, or a URL; perhaps :data:`ENCRYPTED` before it.
    """

    point: str
    target: str
    read_only: bool = False

    def __str__(self) -> str:
        """Return the folder's text."""
        return f"{self.point}={self.target}{_READ_ONLY if self.read_only else ''}"

    @property
    def place(self) -> str:
        """The path or the URL alone."""
        return self.target.removeprefix(ENCRYPTED)

    @property
    def is_storage(self) -> bool:
        """Whether the target is a URL."""
        return "://" in self.target


def written_folders(folders: Iterable[Folder]) -> str:
    """Return the text that :func:`parse_folders` reads as these folders: a line for each."""
    return "\n".join(map(str, folders))


def parse_folders(texts: Iterable[str]) -> tuple[Folder, ...]:
    """Return the folders of several texts, in each of which a line is one, sorted by point.

    :raises ConfigurationError: one is not valid; the message names the word and the remedy.
    """
    lines = [line for text in texts for line in text.split("\n")]
    if len(lines) > _MOST:
        raise ConfigurationError(f"{len(lines)} folders are too many: give {_MOST} at most")
    found: dict[str, Folder] = {}
    for line in lines:
        folder = _folder(line)
        if folder.point in found:
            raise ConfigurationError(f"{folder.point} has two targets: give one of them")
        found[folder.point] = folder
    return tuple([found[point] for point in sorted(found)])


def _folder(line: str) -> Folder:
    if len(line) > _LONGEST or not line.isprintable():
        raise ConfigurationError(
            f"{safe(line, 64)!r} is no folder: write {_LONGEST} printable characters at most"
        )
    point, equals, target = line.partition("=")
    if not equals or not target:
        raise ConfigurationError(
            f"{line!r} names no directory: write POINT=DIR, for example /shared=/srv/shared"
        )
    if not point.startswith("/") or point == "/" or point != normalise(point):
        wanted = normalise(point) if point.strip("/.") else "/shared"
        raise ConfigurationError(
            f"{point!r} in {line!r} is no absolute path below the user's root without . and .. and "
            f"a slash at the end: write for example {wanted!r}"
        )
    read_only = target.endswith(_READ_ONLY)
    target = target.removesuffix(_READ_ONLY)
    place = target.removeprefix(ENCRYPTED)
    if "://" not in place and (not place.startswith("/") or place != normalise(place)):
        raise ConfigurationError(
            f"{place!r} in {line!r} is neither a URL nor an absolute path without . and .. and a "
            f"slash at the end: write for example {normalise(place)!r}"
        )
    return Folder(point, target, read_only)
