"""Open files of a server."""

from __future__ import annotations

import pytest

from nacre.sftp.client.client import SFTPClient
from sftp.client.lines import MemoryLine


async def test_a_failed_write_is_told_by_flush_or_close(
    both: tuple[SFTPClient, MemoryLine],
) -> None:
    sftp, line = both
    line.files.room = 1000
    file = await sftp.open("/f", "wb")
    await file.write(bytes(2000))
    with pytest.raises(OSError, match="No space") as caught:
        await file.close()
    assert caught.value.filename == "/f"
    assert file.closed
    await sftp.stat("/")
    assert len(line.files.closed) == 1
    with pytest.raises(ValueError, match="closed"):
        await file.read()
