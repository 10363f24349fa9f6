"""The client's calls that copy files and trees, and ``glob``, which finds the files to copy."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import TypeAlias, TypedDict, Unpack

from nacre.sftp.client.calls import Calls, Path
from nacre.sftp.client.movers import Copier, Downloader, Mover, Uploader
from nacre.sftp.client.options import CopyOptions, Links, Progress
from nacre.sftp.client.places import LocalPlace, Place, RemotePlace
from nacre.sftp.client.session import SFTPSession
from nacre.sftp.client.transfers import Transfer, at_once
from nacre.sftp.protocol.paths import components, has_wildcards, join, last_name, literal, matches
from nacre.wire import given

Paths: TypeAlias = Path | Sequence[Path]

_NOT_AT_ONCE = ("recursive", "resume", "atomic", "in_place")
"""Options with which a file is not opened under its final name, written from its start, or
truncated when it is opened."""


class TransferOptions(TypedDict, total=False):
    """The options of copies; see :class:`~nacre.sftp.client.options.CopyOptions`."""

    recursive: bool
    preserve: bool
    resume: bool
    atomic: bool
    in_place: bool
    verify: bool
    fsync: bool
    links: Links
    progress: Progress | None
    on_error: Callable[[OSError], None] | None
    on_skip: Callable[[str], None] | None
    on_file: Callable[[str, str, bool], None] | None


class Copies(Calls):
    """Copies between this machine and a server, on the server, and to another server.

    :ivar local: the files of this machine.
    """

    def __init__(self, session: SFTPSession) -> None:
        super().__init__(session)
        self.local = LocalPlace(session.disk)

    async def get(
        self,
        remote: Paths,
        local: Path | None = None,
        *,
        glob: bool = False,
        **options: Unpack[TransferOptions],
    ) -> None:
        """Copy files from the server to this machine.

        :param local: the copy's path, or a directory to copy into; by default the current one.
        :param glob: whether ``remote`` holds patterns.
        :param options: see :class:`~nacre.sftp.client.options.CopyOptions`.
        :raises OSError: a file can't be read or written; ``filename`` is its path.
        """
        sources = await self._sources(remote, glob)
        target = os.fsdecode(local) if local is not None else "."
        mover = Downloader(self.session)
        try:
            if len(sources) == 1 and not options.get("recursive"):
                mover.expect(sources[0])
            await self._transfer(self._remote, self.local, mover, sources, target, options)
        finally:
            mover.forget()

    async def put(
        self,
        local: Paths,
        remote: Path | None = None,
        *,
        glob: bool = False,
        **options: Unpack[TransferOptions],
    ) -> None:
        """Copy files from this machine to the server: :meth:`get` in the other direction."""
        paths = [os.fsdecode(path) for path in _listed(local)]
        if glob:
            paths = [found for path in paths for found in await glob_in(self.local, path)]
        target = self.path(remote if remote is not None else ".")
        mover = Uploader(self.session)
        try:
            # Opening creates and truncates, so a copy is opened early only if it is named like its
            # source: any other name may be a directory's.
            named_alike = len(paths) == 1 and last_name(paths[0]) == target.rpartition("/")[2]
            if named_alike and not any(options.get(word) for word in _NOT_AT_ONCE):
                await mover.expect(paths[0], target)
            await self._transfer(self.local, self._remote, mover, paths, target, options)
        finally:
            mover.forget()

    async def copy(
        self,
        source: Paths,
        target: Path,
        to: Copies | None = None,
        *,
        glob: bool = False,
        **options: Unpack[TransferOptions],
    ) -> None:
        """Copy files on the server; with ``copy-data`` no bytes are transferred.

        :param to: the client of another server to copy to.
        """
        there = to or self
        sources = await self._sources(source, glob)
        mover = Copier(self.session, there.session)
        goal = RemotePlace(there.session)
        await self._transfer(self._remote, goal, mover, sources, there.path(target), options)

    async def glob(self, pattern: str) -> list[str]:
        """Return the paths that match ``pattern``, sorted: ``*``, ``?``, ``[a-z]``, ``\\``.

        Wildcards do not match a leading dot; ``**`` matches any number of directories.
        """
        given.text(pattern, "pattern")
        if pattern.startswith("/"):
            return await glob_in(self._remote, pattern)
        base = self.path("")
        return await glob_in(self._remote, pattern, "" if base == "." else base)

    async def _sources(self, paths: Paths, glob: bool) -> list[str]:
        if not glob:
            return [self.path(path) for path in _listed(paths)]
        found = []
        for path in _listed(paths):
            some = await self.glob(os.fsdecode(path))
            found += [self.path(one) for one in some]
        return found

    async def _transfer(
        self,
        source: Place,
        target: Place,
        mover: Mover,
        sources: list[str],
        copy: str,
        options: TransferOptions,
    ) -> None:
        pairs = await copies_of(sources, target, copy)
        files = at_once(self.session.turns.handles)
        await Transfer(source, target, mover, CopyOptions(**options), at_once=files).run(pairs)


async def copies_of(sources: Sequence[str], target: Place, copy: str) -> list[tuple[str, str]]:
    """Return each source with the path of its copy.

    :param copy: the copy's path, or a directory to copy into.
    """
    into = copy.endswith("/") or len(sources) > 1 or await _is_directory(target, copy)
    return [(path, join(copy, last_name(path)) if into else copy) for path in sources]


def _listed(paths: Paths) -> Sequence[Path]:
    return [paths] if isinstance(paths, (str, bytes, os.PathLike)) else paths


async def _is_directory(place: Place, path: str) -> bool:
    try:
        return (await place.stat(path)).is_directory
    except OSError:
        return False


async def glob_in(place: Place, pattern: str, base: str = "") -> list[str]:
    """Return the paths in ``place`` that match ``pattern``, sorted.

    :param base: the directory a relative pattern starts from; the returned paths lack it.
    """
    root, names = components(pattern)
    found = [root]
    for number, name in enumerate(names):
        last = number == len(names) - 1
        found = [path for at in found for path in await _step(place, base, at, name, last)]
    return found


async def _step(place: Place, base: str, at: str, name: str, last: bool) -> list[str]:
    if name == "**":
        return await _all_below(place, base, at)
    if not has_wildcards(name):
        path = join(at, literal(name))
        return [path] if not last or await _is_there(place, join(base, path)) else []
    hits: list[str] = []
    try:
        async with aclosing(place.names(join(base, at) or ".")) as blocks:
            async for block in blocks:
                hits += [join(at, found) for found in block if matches(found, name)]
    except OSError as error:
        if isinstance(error, ConnectionError):
            raise
    return sorted(hits)


async def _all_below(place: Place, base: str, at: str) -> list[str]:
    async with aclosing(place.listing(join(base, at) or ".")) as entries:
        below = [
            join(at, entry.name)
            async for entry in entries
            if entry.attributes.is_directory and not entry.name.startswith(".")
        ]
    found = [at]
    for directory in below:
        found += await _all_below(place, base, directory)
    return found


async def _is_there(place: Place, path: str) -> bool:
    try:
        await place.stat(path, follow=False)
    except OSError as error:
        if isinstance(error, ConnectionError):
            raise
        return False
    return True
