"""SFTP and scp over standard input and output: the process of a session that is another account's.

It starts with the server's rights and gives them up before it opens any of the user's files. The
account may not be able to read this program, so every module that a session needs is imported
before that: see :func:`main`. The environment holds what to serve. Standard error is for the
server's log: a line of JSON for each record, or the text of a failure
(:mod:`nacre.daemon.processes.file_log` reads it).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import nacre
from nacre.config.values import LogLevel
from nacre.crypto.secrecy import hide_memory
from nacre.daemon.processes.launcher import take_rights
from nacre.errors import NacreError
from nacre.sftp.filesystems.base import Filesystem
from nacre.sftp.filesystems.local import LocalFilesystem, SystemFilesystem
from nacre.sftp.server.journal import Journal
from nacre.sftp.server.piped import serve, start_in, widen_pipes, write_all
from nacre.sftp.server.restrictions import UNRESTRICTED, SFTPRestrictions

VARIABLE = "NACRE_FILES"
"""The variable that holds the :class:`FileRoot` and the rights, as JSON."""

_STDERR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRoot:
    """The files that a session may use.

    :ivar root: a directory or a URL, which the session can't leave; None for the whole system.
    :ivar home: where relative paths start, if it lies below ``root``.
    :ivar user: the name shown as the owner of files below ``root``.
    :ivar set_id: the user may set the set-user-ID and set-group-ID bits, with the whole system:
        the account belongs to this user alone.
    :ivar restrictions: what ``internal-sftp`` was configured with; a session with restrictions is
        always served by a process of its own (:func:`main`).
    """

    root: str | None
    home: str
    user: str
    read_only: bool = False
    set_id: bool = False
    restrictions: SFTPRestrictions = UNRESTRICTED

    @classmethod
    def of(cls, given: dict[str, Any]) -> FileRoot:
        """Return the value of which ``given`` is what :func:`asdict` made."""
        return cls(**{**given, "restrictions": SFTPRestrictions.of(given["restrictions"])})

    def open(self) -> Filesystem:
        """Return the filesystem.

        :raises OSError: the directory can't be opened.
        :raises ConfigurationError: fsspec can't use the URL.
        """
        return self.opener()()

    def opener(self) -> Callable[[], Filesystem]:
        """Return a function that does what :meth:`open` does, and imports nothing any more."""
        options: dict[str, Any] = {"user": self.user, "read_only": self.read_only}
        if self.restrictions.read_only:
            options["read_only"] = True
        if self.root is None:
            return partial(SystemFilesystem, self.home, set_id=self.set_id, **options)
        options["home"] = self.home
        if "://" not in self.root:
            return partial(LocalFilesystem, self.root, **options)
        from nacre.sftp.filesystems.fsspec import load_storage, open_root

        load_storage(self.root)
        return partial(open_root, self.root, **options)


def environment(
    files: FileRoot,
    command: bytes | None,
    rights: tuple[int, int, tuple[int, ...]],
    peer: str,
    *,
    root: str | None = None,
    detailed: bool = False,
) -> dict[str, str]:
    """Return the environment variables for :func:`main`.

    :param command: an scp command; None for SFTP.
    :param rights: the numbers of the user, the group, and all groups to take on.
    :param peer: the client's identification line.
    :param root: the directory that becomes the root directory of the process.
    :param detailed: whether to record each file operation.
    """
    given = {
        "files": asdict(files),
        "command": None if command is None else os.fsdecode(command),
        "rights": rights,
        "peer": peer,
        "root": root,
        "detailed": detailed,
    }
    return {VARIABLE: json.dumps(given)}


def command_line(files: FileRoot) -> list[str]:
    """Return the command that runs :func:`main`, isolated from the user's files.

    With ``-I``, no variable, working directory or home directory decides what is imported:
    otherwise a user who may upload a file could have it executed.
    """
    here = os.path.dirname(os.path.dirname(os.path.abspath(nacre.__file__)))
    # A local directory needs this package alone; a storage needs packages installed beside it.
    paths = [here, *sys.path[1:]] if files.root is not None and "://" in files.root else [here]
    code = f"import sys; sys.path += {paths!r}; from {__name__} import main; main()"
    return [sys.executable, "-I", "-S", "-c", code]


def main() -> None:
    """Serve what the environment describes, with the rights that it names.

    Nothing may be imported after :func:`take_rights`: what is imported on demand is taken here.
    """
    given = json.loads(os.environ.pop(VARIABLE))
    files = FileRoot.of(given["files"])
    restrictions = files.restrictions
    start = restrictions.start_directory(home=files.home, user=files.user)
    open_files = files.opener()
    command = given["command"]
    detailed = given["detailed"] or restrictions.log_level >= LogLevel.INFO
    journal = Journal(_record, detailed=detailed)
    serve_session = (
        partial(serve, journal, restrictions=restrictions, peer=given["peer"])
        if command is None
        else _scp(journal, command)
    )
    # A user who reached /proc/self/mem could do what the restrictions forbid.
    hide_memory()
    if given["root"] is not None:
        os.chroot(given["root"])
        os.chdir("/")
    take_rights(*given["rights"])
    os.umask(0o022 if restrictions.umask is None else restrictions.umask)
    widen_pipes()
    try:
        filesystem = open_files()
    except (OSError, NacreError) as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from None
    if start:
        start_in(filesystem, start, journal)
    raise SystemExit(serve_session(filesystem))


def _record(event: str, **fields: object) -> None:
    """Write a record for the server's log; a server that is gone needs none."""
    with suppress(OSError):
        write_all(_STDERR, json.dumps({"event": event, **fields}).encode() + b"\n")


def _scp(journal: Journal, line: str) -> Callable[[Filesystem], int]:
    """Return a function that carries out an scp command line, and imports nothing any more.

    It serves until the client is done, and returns the exit status.
    """
    from nacre.scp.command import parse_scp
    from nacre.scp.piped import serve_piped

    def serve_session(filesystem: Filesystem) -> int:
        command = parse_scp(os.fsencode(line))
        assert command is not None
        return serve_piped(filesystem, command, journal)

    return serve_session
