"""A session of files in lines like those of OpenSSH's sftp-server, for programs that read its log.

The levels are sftp-server's: at INFO the requests that open or change something, and each failure;
at VERBOSE those that look, and the reason why a request was refused. The levels of DEBUG add
nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from nacre.config.values import LogLevel
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.server import Call, Refusal
from nacre.sftp.protocol.status import FX, status_of
from nacre.sftp.server.journal import LONGEST, Journal, operation_name, reason
from nacre.sftp.server.opened import OpenedFile
from nacre.sftp.server.restrictions import DENIED, NOT_ALLOWED, READ_ONLY
from nacre.wire.text import safe

_STATUSES = {
    **{code: code.name.replace("_", " ").capitalize() for code in FX},
    FX.OK: "Success",
    FX.EOF: "End of file",
    FX.OP_UNSUPPORTED: "Operation unsupported",
}

_REFUSALS = {
    READ_ONLY: "Refusing {} request in read-only mode",
    DENIED: "Refusing denylisted {} request",
    NOT_ALLOWED: "Refusing non-allowlisted {} request",
}

_FLAGS = {
    OpenFlag.READ: "READ",
    OpenFlag.WRITE: "WRITE",
    OpenFlag.APPEND: "APPEND",
    OpenFlag.CREAT: "CREATE",
    OpenFlag.TRUNC: "TRUNCATE",
    OpenFlag.EXCL: "EXCL",
}


class TransferLog(Journal):
    """A journal that writes lines."""

    def __init__(self, write: Callable[[LogLevel, str], None], level: int) -> None:
        """Write lines up to ``level`` to ``write``, which takes the level and the text."""
        super().__init__(lambda event, **fields: None, detailed=level >= LogLevel.INFO)
        self._write = write
        self._level = level

    def log(self, level: LogLevel, text: str) -> None:
        """Write a line, unless its level is above the limit."""
        if level <= self._level:
            self._write(level, text)

    def refused(self, refusals: Iterable[Refusal]) -> None:
        """Write why requests were refused, and with which status."""
        for request, why, status in refusals:
            name = request.lower().partition("@")[0]
            text = _REFUSALS.get(why, f"Refusing {{}} request: {why}").format(name)
            self.log(LogLevel.VERBOSE, text)
            self._status(status)

    def broken(self, error: Exception) -> None:
        """Write how the client broke the protocol."""
        self.log(LogLevel.FATAL, safe(str(error)))

    def no_start(self, path: str, problem: OSError) -> None:
        """Write that the session does not start in the directory ``path``."""
        self.log(LogLevel.ERROR, f"chdir to {_quoted(path)} failed: {reason(problem)}")

    def lost(self, op: str, path: str, problem: OSError) -> None:
        """Write that bytes of a file were not stored."""
        self.log(LogLevel.ERROR, f"{op} {_quoted(path)}: {reason(problem)}")

    def ended(self, opened: OpenedFile) -> None:
        """Write that the session ended with a file still open."""
        self.log(LogLevel.INFO, f"forced {self._closed(opened)}")

    def describe(self, call: Call, opened: Any, value: Any, problem: OSError | None) -> None:
        """Write an operation, and the status if it failed."""
        request = call.request
        if isinstance(request, msg.Close):
            self.log(LogLevel.INFO, self._closed(opened))
        elif (lines := _INFO.get(type(request))) is not None:
            for text in lines(request, opened):
                self.log(LogLevel.INFO, text)
        elif (line := _VERBOSE.get(type(request))) is not None:
            self.log(LogLevel.VERBOSE, line(request, opened))
        elif problem is None and (words := _FOUND.get(type(request))) is not None:
            self.log(LogLevel.VERBOSE, f"{words} {_quoted(value)}")
        if problem is not None:
            self._status(status_of(problem, self.codes)[0])

    def _closed(self, opened: Any) -> str:
        if not isinstance(opened, OpenedFile):
            return f"closedir {_quoted(opened.path)}"
        read, written = self.take_bytes(opened)
        return f"close {_quoted(opened.path)} bytes read {read} written {written}"

    def _status(self, code: int) -> None:
        self.log(LogLevel.INFO, f"sent status {_STATUSES[FX(code)]}")


def _quoted(path: str) -> str:
    return f'"{safe(path, LONGEST)}"'


def _opened(request: msg.Open, _: Any) -> list[str]:
    mode = 0o666 if request.attributes.permissions is None else request.attributes.permissions
    flags = ",".join([name for flag, name in _FLAGS.items() if request.flags & flag])
    return [f"open {_quoted(request.path)} flags {flags} mode 0{mode:o}"]


def _made(request: msg.MkDir, _: Any) -> list[str]:
    mode = request.attributes.permissions
    shown = 0o777 if mode is None else mode & 0o7777
    return [f"mkdir name {_quoted(request.path)} mode 0{shown:o}"]


def _set(request: Any, opened: Any) -> list[str]:
    path = _quoted(request.path if opened is None else opened.path)
    return [f"set {path} {change}" for change in _changes(request.attributes)]


def _changes(attributes: Attributes) -> list[str]:
    found = []
    if attributes.size is not None:
        found.append(f"size {attributes.size}")
    if attributes.permissions is not None:
        found.append(f"mode {attributes.permissions & 0o7777:04o}")
    if attributes.mtime is not None:
        local = time.localtime(attributes.mtime)
        found.append(f"modtime {time.strftime('%Y%m%d-%H:%M:%S', local)}")
    if attributes.uid is not None:
        found.append(f"owner {attributes.uid} group {attributes.gid}")
    elif attributes.details.owner is not None:
        names = _quoted(attributes.details.owner), _quoted(attributes.details.group or "")
        found.append("owner {} group {}".format(*names))
    return found


def _named(words: str) -> Callable[[Any, Any], str]:
    """Return a function for a line with the request's paths in the places of ``words``."""

    def line(request: Any, opened: Any) -> str:
        paths = request.paths if opened is None else (opened.path,)
        return words.format(*[_quoted(path) for path in paths if path is not None])

    return line


def _one(words: str) -> Callable[[Any, Any], list[str]]:
    line = _named(words)
    return lambda request, opened: [line(request, opened)]


_INFO: dict[type[Any], Callable[[Any, Any], list[str]]] = {
    msg.Open: _opened,
    msg.OpenDir: _one("opendir {}"),
    msg.Remove: _one("remove name {}"),
    msg.MkDir: _made,
    msg.RmDir: _one("rmdir name {}"),
    msg.Rename: _one("rename old {} new {}"),
    msg.SymLink: _one("symlink old {} new {}"),
    msg.SetStat: _set,
    msg.FSetStat: _set,
    ext.LSetStat: _set,
    ext.PosixRename: _one("posix-rename old {} new {}"),
    ext.HardLink: _one("hardlink old {} new {}"),
    ext.StatVFS: _one("statvfs {}"),
}

_VERBOSE: dict[type[Any], Callable[[Any, Any], str]] = {
    msg.Stat: _named("stat name {}"),
    msg.LStat: _named("lstat name {}"),
    msg.RealPath: _named("realpath {}"),
    msg.ReadLink: _named("readlink {}"),
    ext.FSync: _named("fsync {}"),
}

_FOUND: dict[type[Any], str] = {ext.ExpandPath: "expand", ext.HomeDirectory: "home-directory"}
"""Requests of which the path that was found is logged."""

_CHANGES = frozenset({"close", *[operation_name(kind) for kind in _INFO]})


def level_of_operation(name: str) -> LogLevel:
    """Return the level at which an operation is logged, by the name that a journal gives it."""
    return LogLevel.INFO if name in _CHANGES else LogLevel.VERBOSE
