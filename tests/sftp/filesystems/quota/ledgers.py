"""Quotas of tests, with a ledger in a directory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nacre.sftp.filesystems.quota.counted import QuotaFilesystem
from nacre.sftp.filesystems.quota.ledger import Ledger, Usage, open_ledger, read_ledger
from nacre.sftp.filesystems.quota.limits import QuotaLimits
from nacre.sftp.filesystems.quota.quota import Quota, Share
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.status import ToldError

NEW = OpenFlag.WRITE | OpenFlag.CREAT | OpenFlag.TRUNC
NONE = Attributes()

OPENED: list[Ledger] = []
"""Ledgers that are closed after the test."""


def quota(directory: Path, **limits: int | str) -> Quota:
    """Return the quota of alice for one more session."""
    ledger = Ledger(open_ledger(directory / "usage", "alice"))
    OPENED.append(ledger)
    return Quota(Share(QuotaLimits(**limits), ledger))  # type: ignore[arg-type]


def used(directory: Path) -> Usage:
    found = read_ledger(directory / "usage", "alice")
    assert found is not None
    return found


def figures(directory: Path) -> tuple[int, int]:
    found = used(directory)
    assert not found.doubted
    return found.bytes, found.files


def counted_anew(files: QuotaFilesystem) -> tuple[int, int]:
    found = [one for _, one in files._quota.counts()]
    return sum(one.bytes for one in found), sum(one.files for one in found)


def put(files: Any, name: str, size: int) -> None:
    file = files.open(name, NEW, NONE)
    try:
        file.pwrite(bytes(size), 0)
    finally:
        file.close()


def refused(number: int, match: str) -> Any:
    return pytest.raises(ToldError, match=match, check=lambda error: error.errno == number)
