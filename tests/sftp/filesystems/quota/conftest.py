"""What tests of quotas have in common."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sftp.filesystems.quota.ledgers import OPENED


@pytest.fixture(autouse=True)
def closed_ledgers() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()
