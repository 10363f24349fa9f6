"""Copies to many hosts as a tree: a host that has the files hands them on to others.

For each host the run logs in both to it and to one that has the files, and has ``sftp`` there put
each file under a temporary name. The rest is that of a copy from here: directories, hashes, names
and attributes go over the run's own connection, so a copy that is wrong or late is noticed, and
the host then gets the files from here. The login from host to host is that of lending.py.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import logging
import re
import shlex
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TypeAlias

from nacre.agent.server import serve_agent
from nacre.aio.waiting import Gate
from nacre.client.connection import Connection
from nacre.client.process import Process
from nacre.client.userkeys import UserKey
from nacre.errors import NacreError, SFTPError, StreamClosed
from nacre.fleet.hosts import FleetHost
from nacre.fleet.lending import LentKeyring, lendable
from nacre.fleet.tasks import CopyFiles, within
from nacre.fleet.verdicts import FleetVerdict
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.client.copies import copies_of
from nacre.sftp.client.movers import Copy, Mover, Uploader
from nacre.sftp.client.options import CopyOptions
from nacre.sftp.client.places import RemotePlace, kept
from nacre.sftp.client.transfers import Transfer, at_once
from nacre.value import value

Connected: TypeAlias = Callable[[FleetHost, float | None], AbstractAsyncContextManager[Connection]]
"""Logs in to a host within some seconds, for as long as the context lasts."""

Pairs: TypeAlias = Sequence[tuple[str, str]]
"""The files and directories of this machine, each with its path at a host."""

MOST_FAILED = 3
"""Hosts that fail to hand on, one after the other, until all files come from here."""

_STALLED = 30.0
"""Seconds without a new byte at the next host after which another source is used."""

_LOOK = 5.0
"""Seconds between two looks at how large the copy is."""

_HASHING = 4
"""Files that a host hashes at a time: each is a session, of which a server allows few."""

_LINE = 64 << 10
_NEXT = "nacre-next"
_PLAIN = re.compile(r"[^\x00-\x1f\x7f\"'\\*?\[\]]+")
"""Paths that sftp takes as they are, within quotes."""

_log = logging.getLogger("nacre.fleet")


@value(frozen=False, eq=False)
class Holder:
    """A host that has the files.

    :ivar host: the host, or None for this machine.
    :ivar pairs: which files it has where.
    :ivar busy: hosts that it hands them on to now.
    :ivar failed: whether it could not, once.
    """

    host: FleetHost | None
    pairs: Pairs
    busy: int = 0
    failed: bool = False


class CopyTree:
    """Who hands some files on to whom.

    :param fanout: hosts that one source hands them on to at a time, this machine among them.
    """

    def __init__(self, fanout: int) -> None:
        self._fanout = fanout
        self._own = Holder(None, ())
        self._free: deque[Holder] = deque()
        self._failed = 0
        self._changed = Gate()

    async def take(self, *, own: bool = False) -> Holder:
        """Return a source that hands on to fewer hosts than it may, when there is one.

        :param own: only this machine.
        """
        while True:
            others = not own and self._failed < MOST_FAILED
            if others and self._free:
                # In turn, so that all of them have as much to do.
                holder = self._free.popleft()
            elif self._own.busy < self._fanout:
                holder = self._own
            else:
                await self._changed.wait()
                continue
            holder.busy += 1
            if holder.host is not None and holder.busy < self._fanout:
                self._free.append(holder)
            return holder

    def give_back(self, holder: Holder, *, failed: bool = False) -> None:
        """Note that a source is done with a host; one that has failed is no source any more."""
        full = holder.busy == self._fanout
        holder.busy -= 1
        if failed:
            self._failed += 1
            if not holder.failed and not full:
                self._free.remove(holder)
            holder.failed = True
        elif holder.host is not None:
            self._failed = 0
            if full and not holder.failed:
                self._free.append(holder)
        self._changed.wake()

    def add(self, host: FleetHost, pairs: Pairs) -> None:
        """Note that a host has the files."""
        self._free.append(Holder(host, pairs))
        self._changed.wake()


class FanOut:
    """Performs a copy at many hosts.

    :param connected: logs in to a host that has the files.
    """

    def __init__(self, task: CopyFiles, connected: Connected) -> None:
        self._task = task
        self._connected = connected
        self._trees: dict[tuple[str, ...], CopyTree] = {}

    async def perform(
        self, connection: Connection, host: FleetHost, seconds: float | None
    ) -> FleetVerdict:
        """Copy the files to a host, from another one if there is one that can hand them on."""
        task = self._task
        sources = tuple(host.fill(source, str) for source in task.sources)
        tree = self._trees.get(sources)
        if tree is None:
            tree = self._trees[sources] = CopyTree(task.fanout)
        async with within(seconds), connection.sftp() as sftp:
            copying = _Copying(task, connection, sftp, sources, host.fill(task.target, str))
            pairs, how = await self._copied(tree, copying)
            tree.add(host, pairs)
        return FleetVerdict(host.name, "ok", reason=how)

    async def _copied(self, tree: CopyTree, copying: _Copying) -> tuple[Pairs, str]:
        """Copy the files, and return where they are and, if another host was asked, how it went."""
        key = lendable(copying.connection)
        holder = await tree.take(own=key is None)
        parent = holder.host
        if key is None or parent is None:
            return await _from_here(tree, copying, holder), ""
        failed = False
        try:
            async with self._connected(parent, None) as connection:
                pairs = await _hand_on(key, connection, holder.pairs, copying)
            return pairs, f"handed on by {parent.name}"
        except (NacreError, OSError, ValueError) as error:
            if copying.connection.error is not None:
                raise
            failed, how = True, f"{parent.name} did not hand the files on: {error}"
        finally:
            tree.give_back(holder, failed=failed)
        _log.info("%s", how)
        return await _from_here(tree, copying, await tree.take(own=True)), how


async def _from_here(tree: CopyTree, copying: _Copying, source: Holder) -> Pairs:
    """Copy the files from this machine, as a source that was taken."""
    try:
        return await copying.run(Uploader(copying.sftp.session))
    finally:
        tree.give_back(source)


class _Copying:
    """The copy to one host, whoever sends the bytes."""

    def __init__(
        self,
        task: CopyFiles,
        connection: Connection,
        sftp: SFTPClient,
        sources: Sequence[str],
        target: str,
    ) -> None:
        self.connection = connection
        self.sftp = sftp
        self.place = _HashingPlace(connection, sftp)
        self._task = task
        self._sources = sources
        self._target = target
        self._pairs: Pairs | None = None

    async def run(self, mover: Mover) -> Pairs:
        """Copy the files, and return where they are.

        :raises OSError: a file could not be copied, or differs.
        """
        if self._pairs is None:
            # Once: what a host that failed has left there, such as a directory, is no place to copy
            # into.
            target = self.sftp.path(self._target)
            self._pairs = await copies_of(self._sources, self.place, target)
        task = self._task
        options = CopyOptions(
            recursive=task.recursive, preserve=task.preserve, atomic=True, verify=True
        )
        files = at_once(self.sftp.session.turns.handles)
        transfer = Transfer(self.sftp.local, self.place, mover, options, at_once=files)
        await transfer.run(self._pairs)
        return self._pairs


class _HashingPlace(RemotePlace):
    """The files of a host, of which the host computes the hashes by SFTP, or by ``sha256sum``."""

    def __init__(self, connection: Connection, sftp: SFTPClient) -> None:
        super().__init__(sftp.session)
        self._connection = connection
        self._turn = asyncio.Semaphore(_HASHING)

    async def digest(self, path: str, size: int) -> bytes:
        """Return the hash of a file's first bytes; if the host can't compute it, it is read."""
        if not size or self.hashes_itself():
            return await super().digest(path, size)
        name = shlex.quote(path if path.startswith("/") else f"./{path}")
        # A shell may see other files than SFTP does; then the temporary name is not there.
        line = f"[ -r {name} ] && head -c {size} {name} | sha256sum"
        try:
            async with self._turn:
                done = await self._connection.run(f"exec sh -c {shlex.quote(line)}", max_output=512)
            return _sha256(done.stdout)
        except (NacreError, ValueError):
            self._connection.check()
            return await super().digest(path, size)


def _sha256(line: str) -> bytes:
    """Return the hash that ``sha256sum`` has printed.

    :raises ValueError: it has printed something else.
    """
    found = bytes.fromhex(line.partition(" ")[0])
    if len(found) != 32:
        raise ValueError("no SHA-256")
    return found


async def _hand_on(key: UserKey, parent: Connection, has: Pairs, copying: _Copying) -> Pairs:
    keyring = LentKeyring(key, parent, copying.connection)
    async with serve_agent(None, keyring, log=_log.debug) as agent:
        parent.forward_agent(agent.path)
        async with asyncio.timeout(_STALLED):
            process = await parent.process(_sftp(copying.connection))
        # Its end is not waited for: the host may not tell it.
        return await copying.run(_HandedOn(process, has, copying.place))


def _sftp(end: Connection) -> str:
    """Return the command that starts ``sftp`` at the host that has the files.

    It reads commands from its standard input, knows no host key but that of the next host, and
    logs in with no key but that of the agent.
    """
    key = end.server_host_key
    assert key is not None
    algorithms = [name for name in key.plain.signature_algorithms if name != "ssh-rsa"]
    known = f"{_NEXT} {key.plain.type} {base64.b64encode(key.plain.blob).decode()}"
    options = {
        "User": end.user,
        "HostName": end.host,
        "Port": str(end.port),
        "HostKeyAlias": _NEXT,
        "HostKeyAlgorithms": ",".join(algorithms),
        "GlobalKnownHostsFile": "none",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "IdentityFile": "none",
        "PreferredAuthentications": "publickey",
        "ConnectTimeout": f"{_STALLED:.0f}",
        "ServerAliveInterval": f"{_STALLED / 2:.0f}",
    }
    given = " ".join(f"-o {shlex.quote(f'{name}={text}')}" for name, text in options.items())
    script = (
        "d=$(mktemp -d) && trap 'rm -rf \"$d\"' EXIT && "
        f"printf '%s\\n' {shlex.quote(known)} >\"$d/known\" && "
        f'sftp -q -b - -F none {given} -o UserKnownHostsFile="$d/known" {_NEXT}'
    )
    return f"exec sh -c {shlex.quote(script)}"


class _HandedOn:
    """Has ``sftp`` at a host copy each file to the next one.

    :param process: the program.
    :param has: what the host has where.
    :param place: the files of the next host.
    """

    alone = False

    def __init__(self, process: Process, has: Pairs, place: RemotePlace) -> None:
        self._process = process
        self._has = has
        self._place = place
        self._turn = asyncio.Lock()
        self._count = 0

    async def move(self, copy: Copy) -> int:
        """Have it copy a file; return its size.

        :raises SFTPError: it did not.
        """
        async with self._turn:
            self._count += 1
            done = f"{_NEXT}-{self._count}"
            line = f"put {_quoted(self._there(copy.source))} {_quoted(copy.target)}\n!echo {done}\n"
            async with self._watched(copy.target):
                with suppress(StreamClosed):  # it has ended, and says why
                    await self._process.stdin.write(line.encode("utf-8", "surrogateescape"))
                await self._until(done.encode())
        size = (await self._place.stat(copy.target)).size
        if size is None or size != copy.attributes.size:
            raise SFTPError(errno.EIO, "The copy has another size than the original", copy.source)
        if copy.options.preserve:
            await self._place.set_attributes(copy.target, kept(copy.attributes))
        copy.moved(size)
        return size

    def _there(self, source: str) -> str:
        for ours, theirs in self._has:
            if source == ours or source.startswith(f"{ours.rstrip('/')}/"):
                return theirs + source[len(ours.rstrip("/")) :]
        raise SFTPError(errno.ENOENT, "The host that hands files on does not have it", source)

    async def _until(self, done: bytes) -> None:
        while line := await self._process.stdout.readline(_LINE):
            if line.strip() == done:
                return
        said = (await self._process.stderr.read(_LINE)).decode("utf-8", "replace").strip()
        raise SFTPError(errno.EIO, f"sftp ended: {said[-300:] or 'without a message'}")

    @asynccontextmanager
    async def _watched(self, target: str) -> AsyncIterator[None]:
        """End what is awaited if the copy does not grow any more."""
        deadline = asyncio.timeout(_STALLED)
        watching = asyncio.create_task(self._watch(target, deadline))
        try:
            async with deadline:
                yield
        except TimeoutError:
            if not deadline.expired():
                raise
            raise SFTPError(
                errno.ETIMEDOUT, f"The copy has not grown for {_STALLED:g} seconds", target
            ) from None
        finally:
            watching.cancel()

    async def _watch(self, target: str, deadline: asyncio.Timeout) -> None:
        loop, size = asyncio.get_running_loop(), 0
        while True:
            await asyncio.sleep(_LOOK)
            try:
                now = (await self._place.stat(target)).size or 0
            except OSError:
                continue  # it is not there yet, or the connection is gone, which others notice
            if now > size:
                size = now
                deadline.reschedule(loop.time() + _STALLED)


def _quoted(path: str) -> str:
    """Return a path as a word of a line for ``sftp``.

    :raises SFTPError: programs understand it differently.
    """
    if not _PLAIN.fullmatch(path):
        raise SFTPError(errno.EINVAL, "A file of this name is not handed on", path)
    return f'"{path}"'
