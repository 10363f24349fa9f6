"""Uploads to a store that fails: nothing is stored, and no parts are left."""

from __future__ import annotations

import pytest

from nacre.limits import MIB
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.status import ToldError
from sftp.filesystems.faults import Faulty, read

pytestmark = pytest.mark.slow

READ = OpenFlag.READ
NEW = OpenFlag.WRITE | OpenFlag.CREAT | OpenFlag.TRUNC
NONE = Attributes()


@pytest.mark.parametrize("fault", ["uploads", "partNumber=1", "partNumber=2", "complete"])
def test_an_upload_that_fails_is_not_stored_and_leaves_no_parts(faulty: Faulty, fault: str) -> None:
    if fault == "complete":
        faulty.fail(500, "POST", "uploadId=")
    else:
        faulty.fail(500, "POST" if fault == "uploads" else "PUT", fault)
    file = faulty.files.open("new", NEW, NONE)
    seen: list[OSError] = []
    for number in range(40):
        try:
            file.pwrite(bytes(MIB // 2), number * (MIB // 2))
        except OSError as error:
            seen.append(error)
    with pytest.raises(ToldError):
        file.close()
    assert bool(seen) == (fault != "complete")
    assert all(isinstance(error, ToldError) for error in seen)
    assert faulty.there() == []
    assert faulty.open_uploads() == []


@pytest.mark.parametrize("size", [3, 20 * MIB])
def test_an_upload_that_breaks_off_leaves_nothing(faulty: Faulty, size: int) -> None:
    faulty.put("old", b"old")
    for name in ("new", "old"):
        file = faulty.files.open(name, NEW, NONE)
        for at in range(0, size, MIB):
            file.pwrite(bytes(min(MIB, size)), at)
        file.abort()
    assert faulty.there() == ["old"]
    assert read(faulty.files, "old") == b"old"
    assert faulty.open_uploads() == []


def test_a_changed_file_that_can_not_be_stored_stays_as_it_was(faulty: Faulty) -> None:
    faulty.put("old", b"old")
    file = faulty.files.open("old", READ | OpenFlag.WRITE, NONE)
    file.pwrite(bytes(20 * MIB), 3)
    faulty.fail(503, "PUT", "partNumber=2")
    with pytest.raises(ToldError):
        file.close()
    assert read(faulty.files, "old") == b"old"
    assert faulty.open_uploads() == []


def test_large_uploads_go_in_parts_that_grow(
    faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nacre.sftp.filesystems.stored._EQUAL_PARTS", 2)
    file = faulty.files.open("new", NEW, NONE)
    for at in range(0, 60 * MIB, MIB):
        file.pwrite(bytes(MIB), at)
    file.close()
    # Parts of 8, 8, 16, 16 and the rest.
    assert faulty.middle.count("PUT", "partNumber=") == 5
    assert faulty.behind.info(f"{faulty.bucket}/prefix/new")["size"] == 60 * MIB
