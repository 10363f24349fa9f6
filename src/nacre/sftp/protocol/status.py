"""The codes and texts of SSH_FXP_STATUS, from and to Python's exceptions.

A server reports a failure by code and by text, because version 3 has eight codes for all of errno:
a full disk, an existing name and a directory that is not empty are all SSH_FX_FAILURE. Later
versions have more codes (:data:`LATER_CODES`). The texts are those of the C library, so one table
serves both directions.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
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
    """SSH_FX codes (draft-ietf-secsh-filexfer-13, 9.1): version 3 ends with OP_UNSUPPORTED, 4 with
    NO_MEDIA, 5 with LOCK_CONFLICT."""

    OK = 0
    EOF = 1
    NO_SUCH_FILE = 2
    PERMISSION_DENIED = 3
    FAILURE = 4
    BAD_MESSAGE = 5
    NO_CONNECTION = 6
    CONNECTION_LOST = 7
    OP_UNSUPPORTED = 8
    INVALID_HANDLE = 9
    NO_SUCH_PATH = 10
    FILE_ALREADY_EXISTS = 11
    WRITE_PROTECT = 12
    NO_MEDIA = 13
    NO_SPACE_ON_FILESYSTEM = 14
    QUOTA_EXCEEDED = 15
    UNKNOWN_PRINCIPAL = 16
    LOCK_CONFLICT = 17
    DIR_NOT_EMPTY = 18
    NOT_A_DIRECTORY = 19
    INVALID_FILENAME = 20
    LINK_LOOP = 21
    CANNOT_DELETE = 22
    INVALID_PARAMETER = 23
    FILE_IS_A_DIRECTORY = 24
    BYTE_RANGE_LOCK_CONFLICT = 25
    BYTE_RANGE_LOCK_REFUSED = 26
    DELETE_PENDING = 27
    FILE_CORRUPT = 28
    OWNER_INVALID = 29
    GROUP_INVALID = 30
    NO_MATCHING_BYTE_RANGE_LOCK = 31


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

CODES: Mapping[int, int] = {
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
"""The codes of version 3 that OpenSSH's server uses, so that its clients print the same for both
servers."""

LATER_CODES: Mapping[int, int] = {
    errno.EEXIST: FX.FILE_ALREADY_EXISTS,
    errno.EROFS: FX.WRITE_PROTECT,
    errno.ENOSPC: FX.NO_SPACE_ON_FILESYSTEM,
    errno.EDQUOT: FX.QUOTA_EXCEEDED,
    errno.ENOTEMPTY: FX.DIR_NOT_EMPTY,
    errno.ENOTDIR: FX.NOT_A_DIRECTORY,
    errno.ENAMETOOLONG: FX.INVALID_FILENAME,
    errno.ELOOP: FX.LINK_LOOP,
    errno.EINVAL: FX.INVALID_PARAMETER,
    errno.EISDIR: FX.FILE_IS_A_DIRECTORY,
    errno.ENODATA: FX.EOF,
}
"""Codes of later versions, in place of those of :data:`CODES` where the version has them."""

_ERRNO_OF_CODE: Mapping[int, int] = {
    FX.NO_SUCH_FILE: errno.ENOENT,
    FX.PERMISSION_DENIED: errno.EACCES,
    FX.FAILURE: errno.EIO,
    FX.BAD_MESSAGE: errno.EBADMSG,
    FX.NO_CONNECTION: errno.ENOTCONN,
    FX.CONNECTION_LOST: errno.ECONNRESET,
    FX.OP_UNSUPPORTED: errno.EOPNOTSUPP,
    # Codes of later versions, which some servers send in version 3 too.
    FX.INVALID_HANDLE: errno.EBADF,
    FX.NO_SUCH_PATH: errno.ENOENT,
    FX.FILE_ALREADY_EXISTS: errno.EEXIST,
    FX.WRITE_PROTECT: errno.EROFS,
    FX.NO_MEDIA: errno.ENODEV,
    FX.NO_SPACE_ON_FILESYSTEM: errno.ENOSPC,
    FX.QUOTA_EXCEEDED: errno.EDQUOT,
    FX.UNKNOWN_PRINCIPAL: errno.EINVAL,
    FX.LOCK_CONFLICT: errno.EBUSY,
    FX.DIR_NOT_EMPTY: errno.ENOTEMPTY,
    FX.NOT_A_DIRECTORY: errno.ENOTDIR,
    FX.INVALID_FILENAME: errno.EINVAL,
    FX.LINK_LOOP: errno.ELOOP,
    FX.CANNOT_DELETE: errno.EPERM,
    FX.INVALID_PARAMETER: errno.EINVAL,
    FX.FILE_IS_A_DIRECTORY: errno.EISDIR,
    FX.BYTE_RANGE_LOCK_CONFLICT: errno.EBUSY,
    FX.BYTE_RANGE_LOCK_REFUSED: errno.EBUSY,
    FX.DELETE_PENDING: errno.EBUSY,
    FX.OWNER_INVALID: errno.EINVAL,
    FX.GROUP_INVALID: errno.EINVAL,
}

_CLASSES: dict[int, type[SFTPError]] = {
    errno.ENOENT: NoSuchFile,
    errno.EPERM: PermissionDenied,
    errno.EACCES: PermissionDenied,
    errno.EEXIST: AlreadyExists,
    errno.ENOTDIR: NotADirectory,
    errno.EISDIR: IsADirectory,
}


class ToldError(OSError):
    """A failure whose text the client gets, too: it has none of the server's own paths in it."""


_NUMBERS: dict[type[OSError], int] = {
    FileNotFoundError: errno.ENOENT,
    FileExistsError: errno.EEXIST,
    PermissionError: errno.EACCES,
    NotADirectoryError: errno.ENOTDIR,
    IsADirectoryError: errno.EISDIR,
    TimeoutError: errno.ETIMEDOUT,
}


def numbered(error: OSError) -> OSError:
    """Return a failure with an ``errno``; derive it from the type where only a text was given."""
    if error.errno is not None:
        return error
    return OSError(_NUMBERS.get(type(error), errno.EIO), str(error))


def status_of(error: OSError, codes: Mapping[int, int] = CODES) -> tuple[int, str]:
    """Return the code and the text with which a server reports ``error``.

    :param codes: those of the session's version, by ``errno``.
    The text never contains a path: the client must not learn the server's own paths.
    """
    number = error.errno or 0
    code = codes.get(number, FX.FAILURE)
    if isinstance(error, ToldError):
        return code, safe(error.strerror or "", 256)
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
