"""``nacre state``."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from click.testing import CliRunner, Result

from nacre.cli.state.command import command
from nacre.daemon.store.store import FILE, UserStore
from nacre.daemon.store.values import StoredUser


def state(*words: object, given: bytes | None = None) -> Result:
    return CliRunner().invoke(command, [str(word) for word in words], input=given)


def make(path: Path) -> None:
    path.mkdir(mode=0o700)
    with closing(UserStore(path / FILE)) as store:
        store.add(StoredUser(name="alice"))


def users(path: Path) -> list[str]:
    with closing(UserStore(path / FILE, create=False)) as store:
        return [user.name for user, _ in store.stored()]


def test_a_file(tmp_path: Path) -> None:
    make(tmp_path / "state")
    done = state("backup", tmp_path / "b.tar", "--state", tmp_path / "state")
    assert (done.exit_code, done.stderr.startswith("1 files, ")) == (0, True)
    done = state("restore", tmp_path / "b.tar", "--state", tmp_path / "second")
    assert done.exit_code == 0, done.output
    assert users(tmp_path / "second") == ["alice"]


def test_standard_input_and_output(tmp_path: Path) -> None:
    make(tmp_path / "state")
    done = state("backup", "-", "--state", tmp_path / "state")
    assert done.exit_code == 0
    again = state("restore", "-", "--state", tmp_path / "second", given=done.stdout_bytes)
    assert again.exit_code == 0, again.output
    assert users(tmp_path / "second") == ["alice"]


def test_errors_have_a_text(tmp_path: Path) -> None:
    done = state("backup", tmp_path / "b", "--state", tmp_path / "none")
    assert (done.exit_code, "can't use the state directory" in done.output) == (1, True)
    done = state("restore", tmp_path / "none", "--state", tmp_path / "second")
    assert (done.exit_code, "No such file" in done.output) == (1, True)
