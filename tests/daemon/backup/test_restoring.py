"""What is restored, and what is refused: nothing of a refused backup stays."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from nacre.daemon.backup.archive import MANIFEST, BackedUp, dump
from nacre.daemon.backup.restoring import restore
from nacre.daemon.backup.writing import back_up
from nacre.errors import StateError

JUNK = b"no database" * 1000
HASH = hashlib.sha256(JUNK).hexdigest()


@pytest.fixture
def backup(tmp_path: Path) -> bytes:
    state = tmp_path / "state"
    (state / "sub").mkdir(parents=True)
    (state / "key").write_text("secret")
    (state / "key").chmod(0o600)
    (state / "sub" / "public").write_text("p")
    (state / "sub" / "public").chmod(0o644)
    out = io.BytesIO()
    back_up(state, None, out)
    return out.getvalue()


def archive(*members: tuple[str, bytes], **more: object) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        for name, content in members:
            header = tarfile.TarInfo(name)
            header.size, header.mode = len(content), 0o600
            for key, value in more.items():
                setattr(header, key, value)
            file.addfile(header, io.BytesIO(content))
    return out.getvalue()


def test_a_new_directory_gets_all(backup: bytes, tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    restore(io.BytesIO(backup), target)
    assert (target / "key").read_text() == "secret"
    assert target.stat().st_mode & 0o777 == 0o700
    assert (target / "key").stat().st_mode & 0o777 == 0o600
    assert (target / "sub" / "public").stat().st_mode & 0o777 == 0o644
    assert {path.name for path in (tmp_path / "a").iterdir()} == {"b"}


def test_an_empty_directory_is_replaced(backup: bytes, tmp_path: Path) -> None:
    target = tmp_path / "empty"
    target.mkdir(mode=0o700)
    restore(io.BytesIO(backup), target)
    assert (target / "key").read_text() == "secret"


def test_a_directory_with_something_is_left_alone(backup: bytes, tmp_path: Path) -> None:
    target = tmp_path / "full"
    target.mkdir(mode=0o700)
    (target / "own").touch()
    with pytest.raises(StateError, match="is not empty"):
        restore(io.BytesIO(backup), target)
    assert [path.name for path in target.iterdir()] == ["own"]


def test_a_directory_in_use_is_left_alone(backup: bytes, tmp_path: Path) -> None:
    """A server goes on with the files that it has open, even when they were removed."""
    target = tmp_path / "used"
    target.mkdir(mode=0o700)
    with (target / "users.db").open("w"):
        (target / "users.db").unlink()
        with pytest.raises(StateError, match="stop the server"):
            restore(io.BytesIO(backup), target)
    restore(io.BytesIO(backup), target)


def _changed(data: bytes) -> bytes:
    return data.replace(b"secret", b"SECRET")


def _cut(data: bytes) -> bytes:
    return data[: data.index(MANIFEST.encode())]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_changed, "key is not as it was"),
        (_cut, "its end is missing"),
        (lambda data: data[:700], "damaged"),
        (lambda _: b"no archive at all", "is none"),
        (lambda _: b"", "is none"),
        (lambda _: archive(("../out", b"x")), "no backup of nacre"),
        (lambda _: archive(("/out", b"x")), "no backup of nacre"),
        (lambda _: archive(("a/./b", b"x")), "no backup of nacre"),
        (lambda _: archive(("a", b"x"), ("a", b"x")), "no backup of nacre"),
        (lambda _: archive(("a", b""), type=tarfile.SYMTYPE, linkname="/etc"), "no backup"),
        (lambda _: archive((MANIFEST, b"{")), "manifest is damaged"),
        (lambda _: archive((MANIFEST, dump([], 0)), ("a", b"x")), "not its end"),
        (lambda _: archive(("a", b"x"), (MANIFEST, dump([], 0))), "a is not as it was"),
        (
            lambda _: archive((MANIFEST, dump([BackedUp("a", 1, 0o600, HASH)], 0))),
            "a is not as it was",
        ),
        (
            lambda _: archive(
                ("a.db", JUNK), (MANIFEST, dump([BackedUp("a.db", len(JUNK), 0o600, HASH)], 0))
            ),
            r"a\.db is damaged",
        ),
    ],
    ids=range(15),
)
def test_a_damaged_backup_leaves_nothing(
    backup: bytes, tmp_path: Path, change: Callable[[bytes], bytes], said: str
) -> None:
    target = tmp_path / "new" / "state"
    with pytest.raises(StateError, match=said):
        restore(io.BytesIO(change(backup)), target)
    assert list(target.parent.iterdir()) == []
    assert not (tmp_path / "out").exists()


def test_a_mount_point_is_refused(backup: bytes) -> None:
    with pytest.raises(StateError, match=r"mount point|uses"):
        restore(io.BytesIO(backup), Path("/proc"))
