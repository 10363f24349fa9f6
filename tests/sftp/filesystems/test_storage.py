"""A storage that fails, is slow or breaks off: a bounded number of requests."""

from __future__ import annotations

import pytest

from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.status import ToldError
from sftp.filesystems.faults import Faulty, read

pytestmark = pytest.mark.slow

READ = OpenFlag.READ
NEW = OpenFlag.WRITE | OpenFlag.CREAT | OpenFlag.TRUNC
NONE = Attributes()
MOST = 12
"""Requests of one call: three of botocore, twice, each of which aiohttp makes anew after a drop."""


@pytest.mark.parametrize("kind", [500, 503, "drop", "silent"])
@pytest.mark.parametrize("method", ["HEAD", "GET", "PUT", "DELETE"])
def test_one_failure_is_not_seen(faulty: Faulty, kind: int | str, method: str) -> None:
    faulty.put("old", b"old")
    faulty.fail(kind, method, times=1)
    files = faulty.files
    assert read(files, "old") == b"old"
    file = files.open("new", NEW, NONE)
    file.pwrite(b"new", 0)
    file.close()
    assert {entry.name for entry in files.scandir("/")} == {".", "..", "old", "new"}
    files.remove("old")
    assert faulty.there() == ["new"]


@pytest.mark.parametrize("kind", [500, 503, "drop", "silent"])
def test_requests_are_repeated_a_few_times_and_then_fail(faulty: Faulty, kind: int | str) -> None:
    faulty.put("old", b"old")
    faulty.fail(kind, "HEAD")
    with pytest.raises(ToldError, match=r"^\[Errno \d+\] the storage (failed|does|did)"):
        faulty.files.stat("old")
    assert 1 < faulty.middle.count("HEAD") <= MOST


def test_an_answer_that_breaks_off_is_asked_for_again(faulty: Faulty) -> None:
    content = bytes(range(256)) * 1000
    faulty.put("old", content)
    faulty.fail("cut", "GET", "/old", times=1)
    assert read(faulty.files, "old") == content
    faulty.fail("cut", "GET", "/old")
    with pytest.raises(ToldError):
        read(faulty.files, "old")
    assert faulty.middle.count("GET", "/old") <= 2 + MOST


def test_a_server_that_is_gone_is_an_error(faulty: Faulty) -> None:
    client = faulty.files._storage.inner
    client.endpoint_url = "http://127.0.0.1:9"
    with pytest.raises(ToldError, match="does not answer as it should: EndpointConnectionError"):
        faulty.files.stat("old")
