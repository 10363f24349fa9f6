from collections.abc import AsyncIterator

import pytest

from nacre.sftp.client.client import SFTPClient
from party_fixtures import (  # noqa: F401
    client,
    host_key,
    make_server,
    nothing_left,
    records,
    server,
    ssh,
)
from sftp.client.lines import MemoryLine, open_memory


@pytest.fixture
async def both() -> AsyncIterator[tuple[SFTPClient, MemoryLine]]:
    """A client whose server has its files in memory, and the line between them."""
    sftp, line = await open_memory()
    async with sftp:
        yield sftp, line
