"""An object store that fails as a test says."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from sftp.filesystems.faults import Between, Faulty, between
from sftp.filesystems.objects import object_store


@pytest.fixture
def middle() -> Iterator[Between]:
    pytest.importorskip("s3fs")
    where = urlsplit(object_store().endpoint_url)
    with between((str(where.hostname), int(where.port or 0))) as middle:
        yield middle


@pytest.fixture
def faulty(middle: Between) -> Faulty:
    return Faulty(middle, read_timeout=1)
