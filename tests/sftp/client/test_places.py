"""The two places that files are copied between."""

from __future__ import annotations

from pathlib import Path

import pytest

from nacre.errors import SFTPError
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.protocol.attributes import Attributes, Entry
from sftp.client.lines import MemoryLine


async def test_names_that_lead_elsewhere_are_refused(
    both: tuple[SFTPClient, MemoryLine], tmp_path: Path
) -> None:
    sftp, line = both
    line.files.directories.add("/d")
    for name in ("../evil", "/evil", "a/b", "", "nul\0"):
        entry = Entry(name, "", Attributes(size=1, permissions=0o100644))
        line.files.children = lambda directory, entry=entry: iter([entry])  # type: ignore[method-assign,misc]
        with pytest.raises(SFTPError, match="a name that is not valid"):
            await sftp.get("/d", tmp_path / "copy", recursive=True)
    # The second call found the first one's directory, and made one in it.
    assert {path.name for path in tmp_path.rglob("*")} == {"copy", "d"}
