"""Why an operation on a file failed, for sftp's and scp's messages."""

from __future__ import annotations

import errno

import pytest

from nacre.cli.common.failures import reason
from nacre.errors import NoSuchFile, SFTPError
from nacre.sftp.protocol.status import FX, failure


def status(code: int, text: str, number: int) -> SFTPError:
    error = SFTPError(number, text)
    error.code = code
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FileNotFoundError(errno.ENOENT, "not this text"), "No such file or directory"),
        (NoSuchFile(errno.ENOENT, "not this text"), "No such file or directory"),
        (failure(FX.FAILURE, "quota\x1b \\ exceeded"), "quota\\x1b \\\\ exceeded"),
        (status(FX.FAILURE, "", errno.EIO), "Failure"),
        (status(FX.FAILURE, "not this text", errno.ENOSPC), "No space left on device"),
        (OSError("no number"), "no number"),
    ],
)
def test_reasons(error: OSError, text: str) -> None:
    assert reason(error) == text
