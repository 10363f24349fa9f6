"""Codes, texts, exceptions."""

from __future__ import annotations

import errno
import os
import pickle

import pytest

from nacre.errors import NacreError, NoSuchFile, SFTPError
from nacre.sftp.protocol.status import FX, ToldError, failure, numbered, status_of


@pytest.mark.parametrize(
    ("number", "code", "python"),
    [
        (errno.ENOENT, FX.NO_SUCH_FILE, FileNotFoundError),
        (errno.ENOTDIR, FX.NO_SUCH_FILE, NotADirectoryError),
        (errno.EACCES, FX.PERMISSION_DENIED, PermissionError),
        (errno.EPERM, FX.PERMISSION_DENIED, PermissionError),
        (errno.EROFS, FX.PERMISSION_DENIED, OSError),
        (errno.EEXIST, FX.FAILURE, FileExistsError),
        (errno.EISDIR, FX.FAILURE, IsADirectoryError),
        (errno.ENOTEMPTY, FX.FAILURE, OSError),
        (errno.ENOSPC, FX.FAILURE, OSError),
        (errno.EDQUOT, FX.FAILURE, OSError),
        (errno.EFBIG, FX.FAILURE, OSError),
        (errno.EOPNOTSUPP, FX.OP_UNSUPPORTED, OSError),
        (errno.EINVAL, FX.BAD_MESSAGE, OSError),
    ],
)
def test_an_error_comes_back_as_it_was(number: int, code: int, python: type[OSError]) -> None:
    sent, message = status_of(OSError(number, "with a path", "/secret"))
    assert sent == code
    assert message == os.strerror(number)
    error = failure(sent, message, "/a")
    assert isinstance(error, python)
    assert isinstance(error, SFTPError)
    assert isinstance(error, NacreError)
    assert (error.errno, error.filename, error.code) == (number, "/a", code)
    assert "'/a'" in str(error)


@pytest.mark.parametrize(
    ("code", "message", "number"),
    [
        (FX.NO_SUCH_FILE, "No such file", errno.ENOENT),
        (FX.PERMISSION_DENIED, "", errno.EACCES),
        (FX.FAILURE, "Failure", errno.EIO),
        (FX.FAILURE, "NO SPACE LEFT ON DEVICE.", errno.ENOSPC),
        (FX.FAILURE, "scp: /x/y: Is a directory", errno.EISDIR),
        (FX.OP_UNSUPPORTED, "what?", errno.EOPNOTSUPP),
        (14, "", errno.ENOSPC),
        (11, "whatever", errno.EEXIST),
        (4_000_000_000, "", errno.EIO),
    ],
)
def test_what_servers_say(code: int, message: str, number: int) -> None:
    error = failure(code, message)
    assert error.errno == number
    assert error.strerror


def test_an_unknown_error_tells_nothing() -> None:
    assert status_of(OSError("no errno, /secret")) == (FX.FAILURE, "Failure")


def test_a_servers_text_is_safe_to_print() -> None:
    error = failure(FX.FAILURE, "\x1b[2Jgone" + "x" * 1000)
    assert error.strerror is not None
    assert error.strerror.startswith("\\x1b[2Jgone")
    assert len(error.strerror) < 300


def test_both_paths_of_a_rename() -> None:
    error = failure(FX.NO_SUCH_FILE, "", "/a", "/b")
    assert type(error) is NoSuchFile
    assert (error.filename, error.filename2) == ("/a", "/b")
    again = pickle.loads(pickle.dumps(error))
    assert (again.errno, again.filename) == (errno.ENOENT, "/a")


def test_a_text_for_the_client_is_sent_as_it_is() -> None:
    told = ToldError(errno.EIO, "2 of 5 objects\x07 copied")
    assert status_of(told) == (FX.FAILURE, "2 of 5 objects\\x07 copied")
    assert status_of(numbered(PermissionError("/a/path"))) == (
        FX.PERMISSION_DENIED,
        "Permission denied",
    )
