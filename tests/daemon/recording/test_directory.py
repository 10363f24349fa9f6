"""The directory of recordings."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from nacre.daemon.recording.directory import (
    create,
    find_recordings,
    kept_recordings,
    newest,
    open_directory,
    remove_old,
)
from nacre.errors import StateError

WHEN = 86400.0 * 365


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


def names(path: Path) -> list[str]:
    return [one.relative_to(path).as_posix() for one in sorted(path.glob("*/*"))]


def test_it_is_made_for_the_owner_alone(path: Path) -> None:
    for _ in range(2):
        os.close(open_directory(path, None))
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a directory away")
def test_it_belongs_to_the_account_of_the_recorder(path: Path) -> None:
    os.close(open_directory(path, (1, 1)))
    assert (path.stat().st_uid, path.stat().st_gid) == (1, 1)
    with pytest.raises(StateError, match="belongs to the account 1, and the recorder is 2"):
        open_directory(path, (2, 2))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a directory away")
def test_a_link_that_others_put_in_its_place_is_not_followed(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()

    def mkdir(name: Path, mode: int) -> None:
        name.symlink_to(other)

    monkeypatch.setattr(os, "mkdir", mkdir)
    with pytest.raises(StateError, match="Not a directory"):
        open_directory(path, (1, 1))
    assert other.stat().st_uid == 0


def test_others_may_not_use_it(path: Path) -> None:
    path.mkdir(mode=0o700)
    path.chmod(0o750)
    with pytest.raises(StateError, match="chmod 700"):
        open_directory(path, None)


def test_others_may_not_put_another_one_in_its_place(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(StateError, match=f"can change the directory {shared}"):
        open_directory(shared / "recordings", None)
    shared.chmod(0o1777)
    os.close(open_directory(shared / "recordings", None))


def test_one_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="No such file"):
        open_directory(tmp_path / "no" / "recordings", None)
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="Not a directory"):
        open_directory(tmp_path / "file", None)


def test_a_file_is_new_and_for_its_owner(path: Path) -> None:
    directory = open_directory(path, None)
    made = []
    for sealed in (False, True, False):
        descriptor, name = create(directory, "../al ice\n", WHEN, sealed=sealed)
        made.append(name)
        assert stat.S_IMODE(os.fstat(descriptor).st_mode) == 0o600
        os.close(descriptor)
    os.close(directory)
    assert sorted(made) == names(path)
    assert all(name.startswith("1971-01-01/000000.000-.._al_ice_-") for name in made)
    assert [Path(name).suffix for name in made] == [".cast", ".sealed", ".cast"]
    assert [one.relative_to(path).as_posix() for one in find_recordings(path)] == names(path)


def test_old_ones_are_removed_and_nothing_else(path: Path) -> None:
    directory = open_directory(path, None)
    for when in (WHEN, WHEN, 2 * WHEN):
        os.close(create(directory, "alice", when, sealed=False)[0])
    first, second, third = sorted(path.glob("*/*"))
    other = path / "1971-01-01" / "notes.txt"
    other.touch()
    link = path / "1971-01-01" / "link.cast"
    link.symlink_to(third)
    (path / "elsewhere").mkdir()
    (path / "elsewhere" / "x.cast").touch()
    for one in (first, third, other, path / "elsewhere" / "x.cast"):
        os.utime(one, (5, 5))
    os.utime(link, (5, 5), follow_symlinks=False)
    assert remove_old(directory, 4.0) == 0
    assert remove_old(directory, 6.0) == 3
    os.close(directory)
    assert second.exists()
    assert other.exists()
    assert (path / "elsewhere" / "x.cast").exists()
    # Its day is gone with it.
    assert not third.parent.exists()


def test_a_directory_that_is_not_there_has_no_list(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="No such file"):
        list(find_recordings(tmp_path / "no"))


def test_the_newest_come_first_and_go_on_behind_one(path: Path) -> None:
    directory = open_directory(path, None)
    for name in ("2030-01-01/b.cast", "2030-01-02/a.sealed", "2030-01-02/b.cast", "x/y.cast"):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).touch()
    (path / "2030-01-02" / "b.txt").touch()
    (path / "2030-01-03").touch()
    found = ["2030-01-02/b.cast", "2030-01-02/a.sealed", "2030-01-01/b.cast"]
    assert list(newest(directory)) == found
    for number, one in enumerate(found):
        assert list(newest(directory, one)) == found[number + 1 :]
    os.close(directory)


def test_who_reads_recordings_gets_the_directory_for_a_while(path: Path) -> None:
    with kept_recordings(path, None) as kept:
        assert os.listdir(kept.directory) == []
        assert kept.rights is None
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(kept.directory)
