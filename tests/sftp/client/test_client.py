"""The client's calls, by the names of os and pathlib."""

from __future__ import annotations

import pytest

from nacre.errors import LocalProtocolError, SFTPError
from nacre.sftp.client.client import SFTPClient
from sftp.client.lines import MemoryLine


async def test_an_extension_that_is_missing(both: tuple[SFTPClient, MemoryLine]) -> None:
    sftp, line = both
    line.session.client.extensions = {}
    with pytest.raises(SFTPError, match="no posix-rename") as caught:
        await sftp.replace("/a", "/b")
    assert caught.value.filename == "/a"
    with pytest.raises(LocalProtocolError):
        line.session.read(b"", 0, 1 << 30, lambda result: None)


async def test_modes_of_open(both: tuple[SFTPClient, MemoryLine]) -> None:
    sftp, _ = both
    for mode in ("", "rw", "rbt", "q", "bb", "+"):
        with pytest.raises(ValueError, match="invalid mode"):
            await sftp.open("/f", mode)
    async with await sftp.open("/f", "wb") as file:
        with pytest.raises(OSError, match="not open for reading"):
            await file.read()
    async with await sftp.open("/f", "rb") as file:
        with pytest.raises(OSError, match="not open for writing"):
            await file.write(b"x")
