"""Renames on a store that fails in the middle: how far they came, and what is left."""

from __future__ import annotations

import errno

import pytest

from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.messages import OpenFlag
from nacre.sftp.protocol.status import ToldError
from sftp.filesystems.faults import Faulty, read

pytestmark = pytest.mark.slow

READ = OpenFlag.READ
NEW = OpenFlag.WRITE | OpenFlag.CREAT | OpenFlag.TRUNC
NONE = Attributes()


def tree(faulty: Faulty) -> None:
    faulty.files.mkdir("d", NONE)
    faulty.files.mkdir("d/sub", NONE)
    for number in range(4):
        faulty.put(f"d/{number}", b"x")
    faulty.put("d/sub/4", b"y")


def test_a_rename_that_can_not_copy_is_undone_and_says_how_far_it_came(faulty: Faulty) -> None:
    tree(faulty)
    before = faulty.there()
    faulty.fail(500, "PUT", "/e/2")
    with pytest.raises(ToldError, match="2 of 5 objects copied, the rename is undone") as caught:
        faulty.files.rename("d", "e", replace=False)
    assert caught.value.errno == errno.EIO
    assert faulty.there() == before


def test_a_rename_that_can_not_be_undone_says_so(faulty: Faulty) -> None:
    tree(faulty)
    before = faulty.there()
    faulty.fail(500, "PUT", "/e/2")
    faulty.fail(503, "DELETE", "/e/1")
    with pytest.raises(ToldError, match=r"2 of 5 .* undone; 1 copies could not be deleted"):
        faulty.files.rename("d", "e", replace=False)
    assert set(faulty.there()) == {*before, "e/1"}


def test_a_rename_that_can_not_delete_says_how_far_it_came(faulty: Faulty) -> None:
    tree(faulty)
    faulty.fail(500, "DELETE", "/d/3")
    with pytest.raises(ToldError, match="4 of 5 objects renamed, the others have both names"):
        faulty.files.rename("d", "e", replace=False)
    found = faulty.there()
    assert {"d/3", "e/0", "e/1", "e/2", "e/3", "e/sub/4"} <= set(found)
    assert not {"d/0", "d/1", "d/2", "d/sub/4"} & set(found)


def test_one_object_that_can_not_be_deleted_has_both_names(faulty: Faulty) -> None:
    faulty.put("old", b"old")
    faulty.fail(500, "DELETE", "/old")
    with pytest.raises(ToldError, match="it has both names"):
        faulty.files.rename("old", "new", replace=True)
    assert faulty.there() == ["new", "old"]


def test_names_are_no_patterns(faulty: Faulty) -> None:
    for name in ("[ab]", "a", "*"):
        faulty.put(name, name.encode())
    faulty.files.rename("[ab]", "c", replace=False)
    faulty.files.rename("*", "d", replace=True)
    faulty.files.remove("a")
    assert faulty.there() == ["c", "d"]
    assert read(faulty.files, "c") == b"[ab]"
