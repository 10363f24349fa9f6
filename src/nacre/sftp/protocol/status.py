"""The codes and texts of SSH_FXP_STATUS, from and to Python's exceptions.

A server reports a failure by code and by text, because version 3 has eight codes for all of errno:
a full disk, an existing name and a directory that is not empty are all SSH_FX_FAILURE. The texts
are those of the C library, so one table serves both directions.
"""

from __future__ import annotations

import errno
from enum import IntEnum

from nacre.errors import (
    AlreadyExists,
    IsADirectory,
    NoSuchFile,
    NotADirectory,
    PermissionDenied,
    SFTPError,
)
from nacre.wire.text import safe


class FX(IntEnum):
    """SSH_FX codes of version 3 (draft-ietf-secsh-filexfer-02 section 7)."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    FAILURE = 4
    BAD_MESSAGE = 5
    NO_CONNECTION = 6
    CONNECTION_LOST = 7
    OP_UNSUPPORTED = 8


_TEXTS = {
    errno.EPERM: "Operation not permitted",
    errno.ENOENT: "No such file or directory",
    errno.EIO: "Input/output error",
    errno.EBADF: "Bad file descriptor",
    errno.ENOMEM: "Cannot allocate memory",
    errno.EACCES: "Permission denied",
    errno.EBUSY: "Device or resource busy",
    errno.EEXIST: "File exists",
    errno.EXDEV: "Invalid cross-device link",
    errno.ENOTDIR: "Not a directory",
    errno.EISDIR: "Is a directory",
    errno.EINVAL: "Invalid argument",
    errno.ENFILE: "Too many open files in system",
    errno.EMFILE: "Too many open files",
    errno.ETXTBSY: "Text file busy",
    errno.EFBIG: "File too large",
    errno.ENOSPC: "No space left on device",
    errno.EROFS: "Read-only file system",
    errno.EMLINK: "Too many links",
    errno.ENAMETOOLONG: "File name too long",
    errno.ENOTEMPTY: "Directory not empty",
    errno.ELOOP: "Too many levels of symbolic links",
    errno.EOPNOTSUPP: "Operation not supported",
    errno.EBADMSG: "Bad message",
    errno.EDQUOT: "Disk quota exceeded",
    errno.ESTALE: "Stale file handle",
    errno.ETIMEDOUT: "Connection timed out",
    errno.ECANCELED: "Operation canceled",
}
_ERRNOS = {shown.casefold(): number for number, shown in _TEXTS.items()}

_CODES = {
    errno.ENOENT: FX.NO_SUCH_FILE,
    errno.ENOTDIR: FX.NO_SUCH_FILE,
    errno.ELOOP: FX.NO_SUCH_FILE,
    errno.EPERM: FX.PERMISSION_DENIED,
    errno.EACCES: FX.PERMISSION_DENIED,
    errno.EROFS: FX.PERMISSION_DENIED,
    errno.EOPNOTSUPP: FX.OP_UNSUPPORTED,
    errno.ENOSYS: FX.OP_UNSUPPORTED,
    errno.ENAMETOOLONG: FX.BAD_MESSAGE,
    errno.EINVAL: FX.BAD_MESSAGE,
}
"""The codes that OpenSSH's server uses, so that its clients print the same for both servers."""

_ERRNO_OF_CODE = {
    FX.NO_SUCH_FILE: errno.ENOENT,
    FX.PERMISSION_DENIED: errno.EACCES,
    FX.FAILURE: errno.EIO,
    FX.BAD_MESSAGE: errno.EBADMSG,
    FX.NO_CONNECTION: errno.ENOTCONN,
    FX.CONNECTION_LOST: errno.ECONNRESET,
    FX.OP_UNSUPPORTED: errno.EOPNOTSUPP,
    # Codes of later versions (draft-ietf-secsh-filexfer-13 section 9.1) that some servers send.
    9: errno.EBADF,
    10: errno.ENOENT,
    11: errno.EEXIST,
    12: errno.EROFS,
    14: errno.ENOSPC,
    15: errno.EDQUOT,
    18: errno.ENOTEMPTY,
    19: errno.ENOTDIR,
    20: errno.EINVAL,
    21: errno.ELOOP,
    24: errno.EISDIR,
}

_CLASSES: dict[int, type[SFTPError]] = {
    errno.ENOENT: NoSuchFile,
    errno.EPERM: PermissionDenied,
    errno.EACCES: PermissionDenied,
    errno.EEXIST: AlreadyExists,
    errno.ENOTDIR: NotADirectory,
    errno.EISDIR: IsADirectory,
}


def status_of(error: OSError) -> tuple[int, str]:
    """Return the code and the text with which a server reports ``error``.

    The text never contains a path: the client must not learn the server's own paths.
    """
    number = error.errno or 0
    code = _CODES.get(number, FX.FAILURE)
    return code, _TEXTS.get(number, "Failure")


def failure(
    code: int, message: str, path: str | None = None, second_path: str | None = None
) -> SFTPError:
    """Return the exception for a status that is not OK.

    A text of the C library is preferred to the code, because it is more precise.

    :param message: the server's text, as it was sent.
    """
    shown = safe(message, 256)
    number = _errno_of_text(message)
    if number is None:
        number = _ERRNO_OF_CODE.get(code, errno.EIO)
        if not shown:
            shown = _TEXTS[number] if number in _TEXTS and code != FX.FAILURE else "Failure"
    made = _CLASSES.get(number, SFTPError)
    return made(number, shown, path, None, second_path, code=code)


def _errno_of_text(message: str) -> int | None:
    """Return the errno of a text of the table, alone or after ``something: ``; else None."""
    whole = message.strip().rstrip(".").casefold()
    return _ERRNOS.get(whole) or _ERRNOS.get(whole.rpartition(": ")[2])
