"""A program that answers questions: how it is run, and its bounds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from nacre.daemon.accounts.accounts import own_account
from nacre.daemon.accounts.directories import command
from nacre.daemon.accounts.directories.command import AskedProgram
from nacre.errors import AccountError

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only programs of root are run")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that only root can write to; its parents, too."""
    path = Path(mkdtemp(prefix="nacre-", dir="/srv"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def program(place: Path, text: str, account: str | None = None) -> AskedProgram:
    path = place / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return AskedProgram(str(path), account or own_account().name)


def test_it_gets_the_question_and_nothing_else(place: Path) -> None:
    asked = program(place, 'printf \'{"pwd": "%s", "got": %s, "words": %d}\' "$PWD" "$(cat)" $#')
    assert asked({"name": "alice"}) == {"pwd": "/", "got": {"name": "alice"}, "words": 0}
    shown = program(place, "env | grep -c SECRET_OF_THE_SERVER; true")
    os.environ["SECRET_OF_THE_SERVER"] = "x"
    try:
        assert shown({}) == 0
    finally:
        del os.environ["SECRET_OF_THE_SERVER"]


def test_it_runs_as_its_account(place: Path) -> None:
    assert program(place, "id -u", "nobody")({}) == 65534
    assert program(place, "id -G", "nobody")({}) == 65534


def test_it_need_not_read_the_question(place: Path) -> None:
    assert program(place, "exec <&-; echo 1")({"password": "x" * 200_000}) == 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("echo '{'", "no JSON"),
        ("yes '[' | head -c 60000 | tr -d '\\n'", "no JSON"),
        ("exit 1", "status 1"),
        ("kill -9 $$", "status -9"),
        ("exec yes", "more than"),
        ("exec sleep 100", "took more than"),
        ("exec >&-; exec sleep 100", "took more than"),
        ("sleep 100 & wait", "took more than"),
    ],
)
def test_what_it_may_not_do(
    place: Path, text: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "more" in reason and "sleep" in text:
        monkeypatch.setattr(command, "SECONDS", 0.5)
    with pytest.raises(AccountError, match=reason):
        program(place, text)({})


def test_others_may_not_be_able_to_change_it(place: Path) -> None:
    asked = program(place, "echo 1")
    asked.check()
    Path(asked.path).chmod(0o777)
    with pytest.raises(AccountError, match="others must not be able to write"):
        asked({})
    with pytest.raises(AccountError, match="others must not be able to write"):
        asked.check()
    with pytest.raises(AccountError, match="not an absolute path"):
        AskedProgram("program", "nobody").check()
    with pytest.raises(AccountError, match="--users-program-account"):
        AskedProgram(asked.path).check()
    with pytest.raises(AccountError, match="no account"):
        AskedProgram(asked.path, "nobody-at-all").check()
