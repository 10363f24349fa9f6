"""Copies of files and trees between two places, many files at once over one connection.

One task walks the sources and fills a bounded queue; worker tasks copy the files in it. Links are
made and directories get their attributes at the end, when nothing is written into them any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import secrets
import stat
from collections.abc import Coroutine, Sequence
from contextlib import aclosing
from typing import Any

from nacre.errors import AlreadyExists, ConnectionLost, SFTPError
from nacre.sftp.client.movers import Copy, Mover
from nacre.sftp.client.options import CopyOptions
from nacre.sftp.client.places import Place, kept
from nacre.sftp.protocol.attributes import Attributes, Entry
from nacre.sftp.protocol.paths import join, last_name

_DEPTH = 64
"""Nested directories, at most: links that are followed may form circles."""

_AT_ONCE = 64
_AT_ONCE_UNKNOWN = 16
"""Files in flight, at most: if the server announces how many it opens, and if it does not."""


class Transfer:
    """One call of ``get``, ``put`` or ``copy``."""

    def __init__(
        self, source: Place, target: Place, mover: Mover, options: CopyOptions, *, at_once: int
    ) -> None:
        self._source = source
        self._target = target
        self._mover = mover
        self._options = options
        self._at_once = at_once
        self._jobs: asyncio.Queue[tuple[str, str, Attributes] | None] = asyncio.Queue(2 * at_once)
        self._workers = 0
        self._group: asyncio.TaskGroup | None = None
        self._directories: list[tuple[str, Attributes]] = []
        self._links: list[tuple[str, str]] = []
        self._left_out: list[str] = []

    async def run(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Copy each source to its target, which is the copy's own path, not its directory.

        :raises OSError: the first file that can't be copied, unless ``on_error`` is given.
        """
        found = [(source, target, await self._look(source)) for source, target in pairs]
        if len(found) == 1 and (only := found[0][2]) is not None and not only.is_directory:
            await self._guarded(self._copy(found[0][0], found[0][1], only), found[0][0])
            return
        try:
            async with asyncio.TaskGroup() as self._group:
                for source, target, attributes in found:
                    if attributes is not None:
                        await self._add(source, target, attributes, 0)
                for _ in range(self._workers):
                    await self._jobs.put(None)
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        await self._finish()

    async def _look(self, source: str) -> Attributes | None:
        found: list[Attributes] = []

        async def look() -> None:
            attributes = await self._source.stat(source)
            if attributes.is_directory and not self._options.recursive:
                raise IsADirectoryError(errno.EISDIR, "Is a directory", source)
            found.append(attributes)

        await self._guarded(look(), source)
        return found[0] if found else None

    async def _guarded(self, work: Coroutine[Any, Any, None], path: str) -> None:
        """Do the work for one file; pass its error to ``on_error``, or raise it."""
        on_error = self._options.on_error
        try:
            await work
        except OSError as error:
            if on_error is None or isinstance(error, ConnectionLost):
                raise
            if error.filename is None:
                error.filename = path
            on_error(error)

    # --- walking ---

    async def _add(self, source: str, target: str, attributes: Attributes, depth: int) -> None:
        if attributes.is_directory:
            await self._guarded(self._add_directory(source, target, attributes, depth), source)
        elif attributes.is_symlink:
            await self._guarded(self._add_link(source, target, depth), source)
        elif attributes.is_file or attributes.permissions is None:
            await self._jobs.put((source, target, attributes))
            if self._workers < self._at_once and self._group is not None:
                self._workers += 1
                self._group.create_task(self._work())
        elif self._options.on_skip is not None:
            self._options.on_skip(source)
        else:
            self._left_out.append(source)

    async def _add_directory(
        self, source: str, target: str, attributes: Attributes, depth: int
    ) -> None:
        if depth >= _DEPTH:
            raise SFTPError(errno.ELOOP, "Too many levels of directories", source)
        if self._options.on_file is not None:
            self._options.on_file(source, target, True)
        mode = stat.S_IMODE(0o755 if attributes.permissions is None else attributes.permissions)
        await self._make_directory(target, mode | 0o700)
        if self._options.preserve or mode & 0o700 != 0o700:
            self._directories.append((target, self._kept(attributes)))
        seen: set[str] = set()
        # Directories are entered when this one is listed: so one of them is open at a time.
        below: list[Entry] = []
        async with aclosing(self._source.listing(source)) as entries:
            async for entry in entries:
                # Listed twice, a name could be a link first and then a path to write through.
                if entry.name in seen:
                    continue
                seen.add(entry.name)
                if entry.attributes.is_directory or entry.attributes.is_symlink:
                    below.append(entry)
                else:
                    await self._add_entry(source, target, entry, depth)
        for entry in below:
            await self._add_entry(source, target, entry, depth)

    async def _add_entry(self, source: str, target: str, entry: Entry, depth: int) -> None:
        path, copy = join(source, entry.name), join(target, entry.name)
        await self._add(path, copy, entry.attributes, depth + 1)

    async def _make_directory(self, target: str, mode: int) -> None:
        try:
            await self._target.mkdir(target, mode & 0o777)
        except OSError as error:
            if isinstance(error, ConnectionLost):
                raise
            try:
                there = await self._target.stat(target)
            except FileNotFoundError:
                raise error from None
            if not there.is_directory:
                raise AlreadyExists(errno.EEXIST, "File exists", target) from None

    async def _add_link(self, source: str, target: str, depth: int) -> None:
        if self._options.links == "copy":
            self._links.append((await self._source.readlink(source), target))
        elif self._options.links == "follow":
            attributes = await self._source.stat(source)
            await self._add(source, target, attributes, depth)
        elif self._options.on_skip is not None:
            self._options.on_skip(source)

    def _kept(self, attributes: Attributes) -> Attributes:
        found = kept(attributes)
        return found if self._options.preserve else Attributes(permissions=found.permissions)

    async def _finish(self) -> None:
        """Make the links, as no file can be written through them now, then set attributes."""
        for pointed, target in self._links:
            await self._guarded(self._target.symlink(pointed, target), target)
        for target, attributes in reversed(self._directories):
            await self._guarded(self._target.set_attributes(target, attributes), target)
        if self._left_out:
            await self._guarded(self._report_left_out(), self._left_out[0])

    async def _report_left_out(self) -> None:
        raise OSError(
            errno.EOPNOTSUPP,
            f"{len(self._left_out)} files were left out, because they are neither regular files, "
            "directories nor links; give on_skip to copy without them",
            self._left_out[0],
        )

    # --- files ---

    async def _work(self) -> None:
        while (job := await self._jobs.get()) is not None:
            source, target, attributes = job
            await self._guarded(self._copy(source, target, attributes), source)

    async def _copy(self, source: str, target: str, attributes: Attributes) -> None:
        options = self._options
        if options.on_file is not None:
            options.on_file(source, target, False)
        written = _temporary(target, fixed=options.resume) if options.atomic else target
        try:
            alone = self._mover.alone
            try:
                await self._fetch(source, written, attributes, resume=options.resume)
            except SFTPError:
                if alone or not self._mover.alone:
                    raise
                # Meanwhile the server gave a handle to two files: what is written may be another's.
                await self._fetch(source, written, attributes, resume=False)
            if options.atomic:
                await self._target.replace(written, target)
        except BaseException as error:
            if options.atomic and not options.resume and not isinstance(error, ConnectionLost):
                await _undisturbed(self._target.remove(written))
            raise

    async def _fetch(
        self, source: str, target: str, attributes: Attributes, *, resume: bool
    ) -> None:
        size = attributes.size or 0
        start = 0
        if resume:
            start = await self._resume_point(source, target, size)
        progress = self._options.progress
        done = start
        if progress is not None:
            progress(source, done, size)

        def moved(count: int) -> None:
            nonlocal done
            done += count
            if progress is not None:
                progress(source, done, size)

        copy = Copy(source, target, attributes, start, self._options, moved)
        copied = await self._mover.move(copy)
        if self._options.verify and await self._differs(source, target, copied):
            raise SFTPError(errno.EIO, "The copy differs from the original", source)

    async def _resume_point(self, source: str, target: str, size: int) -> int:
        try:
            have = (await self._target.stat(target)).size or 0
        except FileNotFoundError:
            return 0
        if not have or have > size:
            return 0
        can_hash = self._source.hashes_itself() and self._target.hashes_itself()
        if can_hash and await self._differs(source, target, have):
            return 0
        return have

    async def _differs(self, source: str, target: str, size: int) -> bool:
        original = await self._source.digest(source, size)
        return original != await self._target.digest(target, size)


def at_once(handles: int) -> int:
    """Return how many files to copy at once if ``handles`` may be open; 0 is unknown."""
    return max(1, min(_AT_ONCE, handles // 2)) if handles else _AT_ONCE_UNKNOWN


def _temporary(target: str, *, fixed: bool) -> str:
    """Return a name in the directory of ``target``; ``fixed``: the same each time, to resume."""
    name = last_name(target).encode("utf-8", "surrogateescape")
    token = hashlib.sha256(name).hexdigest()[:16] if fixed else secrets.token_hex(8)
    directory = target.rstrip("/")[: -len(last_name(target))]
    return f"{directory}.nacre-{token}"


async def _undisturbed(work: Coroutine[Any, Any, None]) -> None:
    """Finish the work even if the caller is cancelled; ignore its errors."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.shield(task)
    with contextlib.suppress(OSError):
        if not task.cancelled():
            task.exception()
