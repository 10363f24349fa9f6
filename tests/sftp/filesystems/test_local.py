"""Where relative paths of local files start; the rest is in test_every_filesystem.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nacre.sftp.filesystems.local import LocalFilesystem, SystemFilesystem


def test_relative_paths_start_at_a_directory_below_the_root(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "srv" / "files").mkdir(parents=True)
    (tmp_path / "srv" / "files" / "one").touch()
    (tmp_path / "link").symlink_to("/srv")
    files = LocalFilesystem(tmp_path, home=tmp_path / "home")
    files.start_at("/link/files")
    assert files.start == files.realpath(".") == "/srv/files"
    assert files.stat("one").size == 0
    assert files.realpath("..") == "/srv"
    assert files.home("") == "/home"
    files.start_at("..")
    assert files.start == "/srv"
    files.close()


@pytest.mark.parametrize("directory", ["/none", "/file", "file/none", ""])
def test_a_start_that_is_no_directory_is_refused_and_changes_nothing(
    tmp_path: Path, directory: str
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "file").touch()
    files = LocalFilesystem(tmp_path, home=tmp_path / "home")
    if directory:
        with pytest.raises(OSError, match=r"No such file|Not a directory"):
            files.start_at(directory)
    else:
        files.start_at(directory)
    assert files.start == files.realpath(".") == "/home"
    files.close()


def test_a_start_does_not_lead_out_of_the_root(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "out").symlink_to("/")
    files = LocalFilesystem(tmp_path / "root")
    files.start_at("../../..")
    assert files.realpath(".") == "/"
    assert os.listdir(tmp_path / "root") == []
    with pytest.raises(FileNotFoundError):
        files.start_at("../out")
    files.close()


def test_the_home_directory_of_the_system_stays(tmp_path: Path) -> None:
    files = SystemFilesystem(str(tmp_path), user="alice")
    files.start_at("/")
    assert files.home("alice") == str(tmp_path)
    files.close()
