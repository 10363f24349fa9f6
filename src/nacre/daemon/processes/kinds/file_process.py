"""SFTP and scp over standard input and output: the process of a session that is another account's.

The template forks it (:mod:`nacre.daemon.processes.template`). It starts with the server's rights,
gives them up before it opens any of the user's files, and then enters a sandbox
(:mod:`nacre.daemon.sandbox`), in which it opens no files but those below the root. The account may
not be able to read this program, so every module that a session needs is imported before that.
Standard error is for the server's log: a line of JSON for each record, or the text of a failure
(:mod:`nacre.daemon.processes.file_log` reads it).
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from io import FileIO
from typing import TYPE_CHECKING, Any

import nacre.sftp.server.later  # noqa: F401  # which clients of a later version need
from nacre.config.values import LogLevel
from nacre.daemon.audit.piped import PipedTrail
from nacre.daemon.processes.kinds.launcher import take_rights
from nacre.daemon.processes.template import FIRST_MORE
from nacre.daemon.sandbox.landlock import CHANGE, READ
from nacre.daemon.sandbox.rules import CONFINED, FILES, STORAGE
from nacre.daemon.sandbox.sandbox import Sandbox
from nacre.errors import ConfigurationError, NacreError
from nacre.scp.command import parse_scp
from nacre.scp.piped import serve_piped
from nacre.sftp.filesystems.base import Filesystem
from nacre.sftp.filesystems.folders import ENCRYPTED, Folder, parse_folders
from nacre.sftp.filesystems.local import LocalFilesystem, SystemFilesystem
from nacre.sftp.filesystems.quota.limits import QuotaLimits
from nacre.sftp.filesystems.uploads import with_uploads
from nacre.sftp.server.audit import AuditJournal
from nacre.sftp.server.journal import Journal
from nacre.sftp.server.piped import serve, start_in, widen_pipes, write_all
from nacre.sftp.server.restrictions import UNRESTRICTED, SFTPRestrictions
from nacre.value import value

if TYPE_CHECKING:
    from nacre.sftp.filesystems.quota.quota import Quota

_STDERR = 2

_REHEARSED = bytes.fromhex(
    "00000005 01 00000003"  # INIT of version 3
    "0000000a 10 00000001 00000001 2f"  # REALPATH of /
    "0000000a 11 00000002 00000001 2f"  # STAT of /
)


_VARIABLES = ("AWS_", "AZURE_", "FSSPEC_", "GOOGLE_")
"""How the variables begin by which packages of storages are told addresses and secrets."""


def storage_variables(root: str | None, folders: str | None) -> tuple[tuple[str, str], ...]:
    """Return the server's variables for storages; none where all files are in directories.

    :param folders: as in :class:`FileRoot`.
    """
    others = () if folders is None else parse_folders([folders])
    if "://" not in (root or "") and not any(folder.is_storage for folder in others):
        return ()
    return tuple(pair for pair in os.environ.items() if pair[0].startswith(_VARIABLES))


@value(kw_only=True, repr=False)
class FileRoot:
    """The files that a session may use.

    :ivar root: a directory or a URL, which the session can't leave; None for the whole system.
        With :data:`~nacre.sftp.filesystems.folders.ENCRYPTED` in front, files are encrypted there.
    :ivar home: where relative paths start, if it lies below ``root``.
    :ivar user: the name shown as the owner of files below ``root``.
    :ivar set_id: the user may set the set-user-ID and set-group-ID bits, with the whole system:
        the account belongs to this user alone.
    :ivar folders: what is seen below ``root`` besides: the lines of
        :mod:`nacre.sftp.filesystems.folders`; None for nothing.
    :ivar rights: what may be done in which directory: the lines of
        :mod:`nacre.sftp.filesystems.rules`; None for everything.
    :ivar file_key: the key of encrypted files, in hexadecimal digits.
    :ivar uploads: how uploads come to be (:mod:`nacre.sftp.filesystems.uploads`).
    :ivar partial_uploads: what happens with those that break off.
    :ivar limits: how much may be stored and transferred, by the user and by groups. Who opens the
        files needs the ledger of each of them, in this order.
    :ivar variables: the environment of the storage's packages, which has its secrets.
    :ivar restrictions: what ``internal-sftp`` was configured with; a session with restrictions is
        always served by a process of its own (:func:`main`).
    """

    root: str | None
    home: str
    user: str
    read_only: bool = False
    set_id: bool = False
    folders: str | None = None
    rights: str | None = None
    file_key: str | None = None
    uploads: str = "direct"
    partial_uploads: str = "keep"
    limits: tuple[QuotaLimits, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    restrictions: SFTPRestrictions = UNRESTRICTED

    @classmethod
    def of(cls, given: dict[str, Any]) -> FileRoot:
        """Return the value of which ``given`` is what :func:`dataclasses.asdict` made."""
        more = {
            "restrictions": SFTPRestrictions.of(given["restrictions"]),
            "limits": tuple(QuotaLimits(**one) for one in given["limits"]),
            "variables": tuple((name, text) for name, text in given["variables"]),
        }
        return cls(**{**given, **more})

    def open(self, ledgers: Sequence[FileIO] = ()) -> Filesystem:
        """Return the filesystem.

        :param ledgers: see :meth:`quota`.
        :raises OSError: the directory can't be opened.
        :raises ConfigurationError: fsspec can't use the URL.
        """
        quota = self.quota(ledgers)
        try:
            return self.opener(quota)()
        except BaseException:
            if quota is not None:
                quota.close()
            raise

    def quota(self, ledgers: Sequence[FileIO]) -> Quota | None:
        """Return what counts the files; None where there are no limits.

        :param ledgers: those of the limits, opened for these files, and closed with them.
        :raises ConfigurationError: one is missing.
        """
        if not self.limits:
            return None
        if len(ledgers) != len(self.limits):
            raise ConfigurationError("these files have limits, and no ledger to count them")
        from nacre.sftp.filesystems.quota.shared import quota_of

        return quota_of(self.limits, ledgers)

    def opener(self, quota: Quota | None = None) -> Callable[[], Filesystem]:
        """Return a function that does what :meth:`open` does, and imports nothing any more.

        :param quota: what :meth:`quota` returned.
        """
        # A process that is not the server's own has started without any variable.
        os.environ.update(self.variables)
        opened = self._joined_opener(quota)
        if self.rights is None:
            return opened
        from nacre.sftp.filesystems.rights import RightsFilesystem
        from nacre.sftp.filesystems.rules import parse_rules

        rules = parse_rules([self.rights])
        links = not self._counts
        return lambda: RightsFilesystem(opened(), rules, links=links)

    @property
    def _counts(self) -> bool:
        """Whether what is stored is counted."""
        return any(one.store for one in self.limits)

    @property
    def _folders(self) -> tuple[Folder, ...]:
        return () if self.folders is None else parse_folders([self.folders])

    def _joined_opener(self, quota: Quota | None) -> Callable[[], Filesystem]:
        opened = self._opener(quota)
        if self.folders is None:
            return opened
        from nacre.sftp.filesystems.joined import JoinedFilesystem

        others = {
            folder.point: FileRoot(
                root=folder.target,
                home="/",
                user=self.user,
                read_only=self._is_read_only or folder.read_only,
                file_key=self.file_key,
                uploads=self.uploads,
                partial_uploads=self.partial_uploads,
                rights=self.rights,
            )._opener(quota)
            for folder in self._folders
        }
        return lambda: _joined(JoinedFilesystem, opened, others)

    def _opener(self, quota: Quota | None) -> Callable[[], Filesystem]:
        opened = self._readable_opener(quota)
        return lambda: with_uploads(opened(), self.uploads, self.partial_uploads)

    def _readable_opener(self, quota: Quota | None) -> Callable[[], Filesystem]:
        """Return what opens the files as a client reads them, encrypted or not."""
        opened = self._counted_opener(quota)
        if self._place == self.root:
            return opened
        if self.file_key is None:
            raise ConfigurationError("there is no key for encrypted files: give --file-key")
        from nacre.sftp.filesystems.encrypted import EncryptedFilesystem

        key, streams = bytes.fromhex(self.file_key), self.is_storage
        return lambda: EncryptedFilesystem(opened(), key, streams=streams)

    def _counted_opener(self, quota: Quota | None) -> Callable[[], Filesystem]:
        """Return what opens the files as they are stored, which is what counts."""
        opened = self._plain_opener()
        if quota is None:
            return opened
        # A file goes to a directory with other rights by a second name.
        links, tree = self.rights is not None, self._place or ""
        if self.is_storage:
            from nacre.sftp.filesystems.quota.objects import counting

            return lambda: counting(opened(), quota, tree, links=links)
        from nacre.sftp.filesystems.quota.counted import QuotaFilesystem

        return lambda: QuotaFilesystem(opened(), quota, tree, links=links)

    def _plain_opener(self) -> Callable[[], Filesystem]:
        options: dict[str, Any] = {"user": self.user, "read_only": self._is_read_only}
        if self._place is None:
            return partial(SystemFilesystem, self.home, set_id=self.set_id, **options)
        return _opener_of(self._place, home=self.home, **options)

    @property
    def _place(self) -> str | None:
        """The directory or the URL alone."""
        return None if self.root is None else self.root.removeprefix(ENCRYPTED)

    @property
    def is_storage(self) -> bool:
        """Whether ``root`` is the URL of a storage, which packages for fsspec reach."""
        return self.root is not None and "://" in self.root

    @property
    def _is_read_only(self) -> bool:
        return self.read_only or self.restrictions.read_only

    def sandbox(self, system_root: str | None) -> Sandbox:
        """Return the bounds of a process that serves these files and nothing else.

        :param system_root: the root directory of the process, if it is another than the system's.
        """
        if self.is_storage or any(folder.is_storage for folder in self._folders):
            return Sandbox(STORAGE)
        allowed = READ if self._is_read_only else CHANGE
        if self.root is None:
            return Sandbox(FILES, None if system_root is None else (("/", allowed),))
        root = self.root.removeprefix(ENCRYPTED)
        folders = [(one.place, READ if one.read_only else allowed) for one in self._folders]
        return Sandbox(CONFINED, ((root, allowed), *folders))


def _opener_of(place: str, **options: Any) -> Callable[[], Filesystem]:
    """Return a function that opens a directory or a URL, and imports nothing any more."""
    if "://" not in place:
        return partial(LocalFilesystem, place, **options)
    from nacre.sftp.filesystems.fsspec import load_storage, open_root

    load_storage(place)
    return partial(open_root, place, **options)


def _joined(
    join: Callable[[Filesystem, dict[str, Filesystem]], Filesystem],
    opened: Callable[[], Filesystem],
    others: Mapping[str, Callable[[], Filesystem]],
) -> Filesystem:
    """Open a root and its folders; close those that are open if one can't be opened."""
    root = opened()
    found: dict[str, Filesystem] = {}
    try:
        for point, open_one in others.items():
            try:
                found[point] = open_one()
            except OSError as error:
                reason = error.strerror or str(error)
                raise OSError(
                    error.errno or errno.EIO, f"can't open the folder {point}: {reason}"
                ) from error
        return join(root, found)
    except BaseException:
        for files in (root, *found.values()):
            with suppress(OSError):
                files.close()
        raise


def request(
    files: FileRoot,
    command: bytes | None,
    rights: tuple[int, int, tuple[int, ...], int],
    peer: str,
    *,
    root: str | None = None,
    detailed: bool = False,
    audit: bool | None = None,
) -> dict[str, object]:
    """Return what :func:`main` is to do, as values of JSON.

    :param command: an scp command; None for SFTP.
    :param rights: the numbers of the user, the group, and all groups to take on, and the umask.
    :param peer: the client's identification line.
    :param root: the directory that becomes the root directory of the process.
    :param detailed: whether to record each file operation.
    :param audit: whether to hash what is transferred, where each operation is told on the first of
        the further descriptors; None where it is not. The ledgers of the limits are the last of
        these descriptors.
    """
    from dataclasses import asdict  # which the process itself need not load

    return {
        "files": asdict(files),
        "command": None if command is None else os.fsdecode(command),
        "rights": rights,
        "peer": peer,
        "root": root,
        "detailed": detailed,
        "audit": audit,
    }


def main(given: dict[str, Any], link: object) -> None:
    """Serve what :func:`request` describes, with the rights that it names, in a sandbox.

    Nothing may be imported after :func:`take_rights`: a storage's packages are imported before.
    """
    files = FileRoot.of(given["files"])
    restrictions = files.restrictions
    start = restrictions.start_directory(home=files.home, user=files.user)
    first = FIRST_MORE + (given["audit"] is not None)
    ledgers = [FileIO(first + number, "r+") for number in range(len(files.limits))]
    open_files = files.opener(files.quota(ledgers))
    sandbox = files.sandbox(given["root"])
    command = given["command"]
    detailed = given["detailed"] or restrictions.log_level >= LogLevel.INFO
    journal = _journal(given["audit"], detailed=detailed)
    serve_session = (
        partial(serve, journal, restrictions=restrictions, peer=given["peer"])
        if command is None
        else partial(_serve_scp, journal, command)
    )
    if given["root"] is not None:
        os.chroot(given["root"])
        os.chdir("/")
    take_rights(*given["rights"])
    if restrictions.umask is not None:
        os.umask(restrictions.umask)
    widen_pipes()
    try:
        sandbox.enter()
        filesystem = open_files()
    except (OSError, NacreError) as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from None
    if start:
        start_in(filesystem, start, journal)
    raise SystemExit(serve_session(filesystem))


def _journal(hashes: bool | None, *, detailed: bool) -> Journal:
    if hashes is None:
        return Journal(_record, detailed=detailed)
    trail = PipedTrail(socket.socket(fileno=FIRST_MORE), hashes=hashes)
    return AuditJournal(trail, _record, logs=detailed)


def rehearse() -> None:
    """Serve requests of this process, so that what is made on first use is made."""
    for root in (None, "/"):
        files = FileRoot(root=root, home="/", user="", restrictions=SFTPRestrictions())
        files.sandbox(None).prepare()
    source, written = os.pipe()
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.write(written, _REHEARSED)
        os.close(written)
        serve(Journal(_record, detailed=False), SystemFilesystem("/"), source, null)
    finally:
        os.close(source)
        os.close(null)


def _record(event: str, **fields: object) -> None:
    """Write a record for the server's log; a server that is gone needs none."""
    with suppress(OSError):
        write_all(_STDERR, json.dumps({"event": event, **fields}).encode() + b"\n")


def _serve_scp(journal: Journal, line: str, filesystem: Filesystem) -> int:
    """Carry out an scp command line until the client is done; return the exit status."""
    command = parse_scp(os.fsencode(line))
    assert command is not None
    return serve_piped(filesystem, command, journal)
