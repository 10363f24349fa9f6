"""``nacre hook``: add, list, remove; how far hooks are is in tests/daemon/hooks."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nacre.cli.hook.command import command
from nacre.daemon.audit.table import FILE
from nacre.daemon.hooks.table import HookTable
from nacre.daemon.hooks.values import DeadLetter, Progress


def hook(state: Path, *words: str) -> Result:
    return CliRunner().invoke(command, [*words, "--state", str(state)])


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def listed(state: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in hook(state, "list", "--json").output.splitlines()]


def test_hooks_are_added_listed_and_removed(state: Path, tmp_path: Path) -> None:
    secret = tmp_path / "key"
    made = hook(state, "add", "mail", "--on", "upload, delete", "--command", "/bin/mail -s 'a b'")
    assert made.exit_code == 0, made.output
    made = hook(
        state,
        *("add", "web", "--url", "https://example.com/x", "--secret-file", str(secret)),
        *("--any-outcome", "--timeout", "5", "--give-up", "3d"),
    )
    assert made.exit_code == 0, made.output
    assert secret.stat().st_mode & 0o777 == 0o600
    assert hook(state, "add", "py", "--python", "mine").exit_code == 0
    mail, py, web = listed(state)
    assert (mail["events"], mail["target"]) == (["upload", "delete"], "/bin/mail -s 'a b'")
    assert (py["kind"], py["events"]) == ("python", [])
    assert (web["secret_file"], web["give_up"]) == (str(secret), 259200)
    assert (web["timeout"], web["any_outcome"]) == (5, True)
    text = hook(state, "list").output
    assert "mail  command /bin/mail -s 'a b'  upload,delete\n" in text
    assert "everything of any outcome" in text
    assert hook(state, "remove", "web").exit_code == 0
    assert [one["name"] for one in listed(state)] == ["mail", "py"]
    assert "no hook web" in hook(state, "remove", "web").output
    assert "already" in hook(state, "add", "py", "--python", "mine").output


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "give one of --command, --url and --python"),
        (("--command", "/a", "--python", "b"), "give one of"),
        (("--command", "mail"), "absolute path"),
        (("--command", "/bin/a 'b"), "No closing quotation"),
        (("--command", "/a", "--secret-file", "f"), "are for --url"),
        (("--url", "https://example.com"), "needs --secret-file"),
        (("--url", "http://example.com", "--secret-file", "f"), "use https"),
        (("--python", "a b"), "neither"),
        (("--python", "a", "--on", "upload,uplaod"), "'uplaod' is none of connect, login"),
        (("--python", "a", "--give-up", "soon"), "no span"),
        (("--python", "a", "--timeout", "0"), "range"),
    ],
    ids=range(11),
)
def test_what_can_not_be_added(state: Path, words: tuple[str, ...], why: str) -> None:
    found = hook(state, "add", "one", *words)
    assert found.exit_code != 0
    assert why in " ".join(found.output.split())
    assert not (state / FILE).exists()


def test_names_are_plain(state: Path) -> None:
    for wrong in ("A", "a b", "-a", "a" * 41, "a/b"):
        assert hook(state, "add", "--python", "a", "--", wrong).exit_code != 0


def test_files_must_be_usable(state: Path, tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("0123456789abcdef")
    secret.chmod(0o644)
    words = ("add", "web", "--url", "https://example.com/", "--secret-file", str(secret))
    assert "chmod 600" in hook(state, *words).output
    secret.chmod(0o600)
    assert "no certificate" in hook(state, *words, "--ca-file", str(secret)).output
    assert hook(state, *words).exit_code == 0


def test_how_far_hooks_are_is_told(state: Path) -> None:
    assert hook(state, "add", "one", "--python", "mine").exit_code == 0
    assert hook(state, "status").output == "hook=one  state=ok  behind=0  delivered=0  dead=0\n"
    with closing(HookTable(state / FILE)) as table:
        number = table.one("one").number
        ill = Progress(position=0, delivered=3, dead=1, last=1, attempts=2, since=1, problem="ill")
        table.save({number: ill}, [DeadLetter(hook=number, event=7, time=1, reason="no")])
    text = hook(state, "status", "one").output
    assert "state=failing" in text
    assert "last=1970-01-01T00:00:00.000001Z  attempts=2" in text
    assert "gave up event 7: no" in text
    told = json.loads(hook(state, "status", "--json").output)
    assert told["given_up"] == [{"event": 7, "reason": "no"}]
    assert "no event 7" in hook(state, "rewind", "one", "7").output


def test_a_test_without_a_server_says_so(state: Path) -> None:
    assert hook(state, "add", "one", "--python", "mine").exit_code == 0
    found = hook(state, "test", "one", "--wait", "1")
    assert found.exit_code == 1
    assert "is there a `nacre serve --hooks`?" in " ".join(found.output.split())
    assert json.loads(hook(state, "status", "--json").output)["behind"] == 1


def test_without_a_state_directory_there_are_none(state: Path) -> None:
    assert hook(state, "list").exit_code == 1
    assert not state.exists()
