from __future__ import annotations

from pathlib import Path

from nacre.sftp.filesystems.local import LocalFilesystem
from nacre.sftp.protocol.attributes import FileDetails
from nacre.sftp.protocol.chosen import version
from nacre.sftp.server.agreed import Agreed
from nacre.sftp.server.calls import BASIC
from nacre.sftp.server.later import LATER


def test_operations_and_attributes_are_those_of_the_version(tmp_path: Path) -> None:
    files = LocalFilesystem(tmp_path)
    agreed = Agreed(files)
    assert agreed.operations is BASIC
    for number, operations in ((6, LATER), (3, BASIC), (4, LATER)):
        agreed.on(version(number))
        assert agreed.operations is operations
        assert (files.stat("/").details == FileDetails()) == (number == 3)
    files.close()
