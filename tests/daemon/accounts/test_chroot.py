"""Which directories may be the root directory of sessions."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from nacre.daemon.accounts.chroot import refuses_root

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes the root directory")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "a" / "b").mkdir(parents=True)
    return tmp_path / "a" / "b"


@as_root
def test_directories_of_root_alone() -> None:
    assert refuses_root("/") is None
    assert refuses_root("/usr/bin/../lib/") is None


@as_root
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("none", None),
        ("group", "a must belong to root"),
        ("others", "a must belong to root"),
        ("owner", "a must belong to root"),
        ("missing", "c: No such file"),
        ("file", "c is not a directory"),
        ("nul", "embedded null"),
    ],
)
def test_each_directory_of_the_path_counts(
    place: Path, monkeypatch: pytest.MonkeyPatch, fault: str, reason: str | None
) -> None:
    directory, path = place.parent, str(place)
    if fault in ("group", "others"):
        directory.chmod(0o775 if fault == "group" else 0o757)
    elif fault == "owner":
        shutil.chown(directory, "nobody")
    elif fault != "none":
        path += "/\0" if fault == "nul" else "/c"
    if fault == "file":
        (place / "c").touch()
    real = os.stat

    def stat(one: str | Path) -> os.stat_result:
        # Others can write to /tmp, where pytest's directories are.
        return real(one) if str(one).startswith(str(directory)) else real("/")

    with monkeypatch.context() as patch:  # pytest itself asks, with other arguments
        patch.setattr(os, "stat", stat)
        refusal = refuses_root(path)
    assert (refusal is None) is (reason is None)
    if reason is not None:
        assert reason in str(refusal)
        assert str(refusal).startswith(f"ChrootDirectory {path}: ")


@as_root
def test_a_path_must_be_absolute() -> None:
    assert refuses_root("srv") == "ChrootDirectory srv is not an absolute path"


def test_a_server_that_is_not_root_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert refuses_root("/") == "ChrootDirectory needs a server that runs as root"
