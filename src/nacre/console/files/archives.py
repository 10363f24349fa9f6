"""A directory as a zip archive, made while it is sent: nothing but its list is in memory.

Files are stored as they are, as compression would take the time of others, and with Zip64, so that
no size has to be known before.
"""

from __future__ import annotations

import io
import stat
import time
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass

from nacre.console.files.names import shown
from nacre.console.web.calls import APIRefused
from nacre.console.web.file_connections import AHEAD
from nacre.errors import SFTPError
from nacre.limits import KIB
from nacre.sftp.client.client import SFTPClient

MOST_FILES = 20_000
"""Files and directories of an archive."""

_DEEPEST = 64
"""Directories inside of each other."""

_PIECE = 64 * KIB

_MISSING = "not in this archive.txt"
"""The file that lists what could not be read."""

_DIRECTORY, _FILE = (0o40755 << 16) | 0x10, 0o100644 << 16
"""Type and mode as Unix has them, and the flag of directories of Windows."""

_EARLIEST, _LATEST = 1980, 2107
"""The years that an archive can tell."""


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """A file or directory of an archive.

    :ivar path: on the server; ``name`` in the archive.
    """

    path: str
    name: str
    is_directory: bool
    modified: float


class _Sink(io.RawIOBase):
    """Keeps what was written until it is taken. It can't seek, so sizes stand behind the data."""

    def __init__(self) -> None:
        super().__init__()
        self._parts = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        self._parts += view
        return view.nbytes

    def take(self) -> bytes:
        found = bytes(self._parts)
        self._parts.clear()
        return found


async def listed(sftp: SFTPClient, top: str) -> list[ArchivedFile]:
    """Return what is in a directory, without symbolic links and special files.

    :raises APIRefused: it is too much for an archive.
    :raises SFTPError: the directory itself can't be read.
    """
    found: list[ArchivedFile] = []
    waiting = [(top, "", 0)]
    while waiting:
        directory, prefix, depth = waiting.pop()
        names: set[str] = set()
        try:
            async for entry in sftp.scandir(directory):
                kind = entry.stat()
                is_directory = stat.S_ISDIR(kind.st_mode)
                if entry.name in (".", "..") or not (is_directory or stat.S_ISREG(kind.st_mode)):
                    continue
                if len(found) >= MOST_FILES or depth >= _DEEPEST:
                    raise APIRefused(
                        413,
                        f"an archive has at most {MOST_FILES} files, {_DEEPEST} directories deep: "
                        "take a part of it, or SFTP",
                    )
                name = prefix + _free(safe_name(entry.name), names)
                path = f"{directory.rstrip('/')}/{entry.name}"
                found.append(ArchivedFile(path, name, is_directory, kind.st_mtime))
                if is_directory:
                    waiting.append((path, f"{name}/", depth + 1))
        except SFTPError:
            if not depth:
                raise
            found.append(ArchivedFile(directory, prefix, False, 0.0))  # told as one that is missing
    return found


def safe_name(name: str) -> str:
    """Return a name that leads nowhere else on any system when the archive is unpacked."""
    found = "".join(
        "_" if one in '\\/:*?"<>|\N{REPLACEMENT CHARACTER}' else one for one in shown(name)
    )
    return found.rstrip(". ") or "_"


def _free(name: str, used: set[str]) -> str:
    """Return a name that is not used in the directory yet, whatever a system holds for equal."""
    found, number = name, 1
    while found.casefold() in used:
        number += 1
        found = f"{name} ({number})"
    used.add(found.casefold())
    return found


async def archive(sftp: SFTPClient, files: list[ArchivedFile]) -> AsyncIterator[bytes]:
    """Yield the archive in pieces."""
    sink = _Sink()
    missing: list[str] = []
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as made:
        for one in files:
            if one.is_directory:
                made.writestr(_info(f"{one.name}/", one.modified), b"")
                continue
            try:
                file = await sftp.open(one.path, "rb")
            except SFTPError as error:
                missing.append(f"{shown(one.path)}: {error.strerror}\n")
                continue
            file.ahead = AHEAD
            async with file:
                with made.open(_info(one.name, one.modified), "w", force_zip64=True) as entry:
                    while piece := await file.read(_PIECE):
                        entry.write(piece)
                        yield sink.take()
        if missing:
            text = "".join(missing).encode("utf-8", "replace")
            name = _free(_MISSING, {one.name.casefold() for one in files})
            made.writestr(_info(name, time.time()), text)
    yield sink.take()


def _info(name: str, modified: float) -> zipfile.ZipInfo:
    moment = time.gmtime(max(0.0, min(modified, 1 << 40)))[:6]
    if not _EARLIEST <= moment[0] <= _LATEST:
        moment = (_EARLIEST, 1, 1, 0, 0, 0)
    found = zipfile.ZipInfo(name, moment)
    # Unpacked, a directory without x could not be entered.
    found.external_attr = _DIRECTORY if name.endswith("/") else _FILE
    return found
