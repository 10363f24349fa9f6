"""The text of folders."""

from __future__ import annotations

import pytest

from nacre.errors import ConfigurationError
from nacre.sftp.filesystems.folders import Folder, parse_folders, written_folders


def test_folders_are_written_as_they_are_read() -> None:
    given = ["/b=s3://bucket/a=b:ro", "/a/c=/srv/x\n/a=/srv/with space:ro"]
    found = parse_folders(given)
    assert found == (
        Folder("/a", "/srv/with space", read_only=True),
        Folder("/a/c", "/srv/x"),
        Folder("/b", "s3://bucket/a=b", read_only=True),
    )
    assert [folder.is_storage for folder in found] == [False, False, True]
    assert parse_folders([written_folders(found)]) == found


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("/a", "names no directory: write POINT=DIR"),
        ("/a=", "names no directory: write POINT=DIR"),
        ("a=/srv", "write for example '/a'"),
        ("/=/srv", "below the user's root"),
        ("/a/=/srv", "write for example '/a'"),
        ("/a/../b=/srv", "write for example '/b'"),
        ("/a=srv", "write for example '/srv'"),
        ("/a=/srv/../x", "write for example '/x'"),
        ("/a=/srv\n/a=/x", "/a has two targets: give one"),
        ("/a\x01=/srv", "is no folder: write 4096 printable"),
        ("\n".join(f"/{n}=/srv" for n in range(65)), "65 folders are too many: give 64"),
    ],
)
def test_an_error_names_the_word_and_the_remedy(text: str, named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_folders([text])
    assert named in str(caught.value)
