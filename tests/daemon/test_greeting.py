"""The last login and the message of the day."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from nacre.config.server.config import ServerConfig
from nacre.daemon import greeting as module
from nacre.daemon.accounts.accounts import Login, own_account, system_login
from nacre.daemon.greeting import greeting
from nacre.daemon.processes import login_records, wtmpdb
from nacre.daemon.processes.login_records import TerminalLogin, note_login

UID = 7
TTY = "/dev/pts/7"


def come(uid: int, host: str) -> None:
    """Record a login at a terminal."""
    note_login(TerminalLogin("alice", uid, 0, host, "192.0.2.1"), TTY)


@pytest.fixture
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Login:
    for place, name in (
        *((login_records, name) for name in ("UTMP", "WTMP", "LASTLOG")),
        *((module, name) for name in ("LASTLOG", "MOTD")),
    ):
        monkeypatch.setattr(place, name, tmp_path / name.lower())
    monkeypatch.setattr(wtmpdb, "DATABASE", bytes(tmp_path / "wtmp.db"))
    (tmp_path / "motd").write_text("Beware\n")
    return system_login(replace(own_account(), uid=UID, home=str(tmp_path)))


def test_the_last_login_is_the_one_before(login: Login) -> None:
    login_records.LASTLOG.touch()
    assert greeting(login) == "Beware\n"
    come(UID, "192.0.2.1")
    come(UID + 1, "2001:db8::1")
    assert re.fullmatch(
        r"Last login: \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4} from 192\.0\.2\.1\nBeware\n",
        greeting(login),
    )
    assert login_records.LASTLOG.stat().st_size == (UID + 2) * 292  # lastlog(8)
    come(UID, "")
    assert " from " not in greeting(login)


def test_without_the_file_there_is_no_last_login(login: Login) -> None:
    come(UID, "192.0.2.1")
    assert not login_records.LASTLOG.exists()
    assert greeting(login) == "Beware\n"


def test_each_is_shown_as_configured(login: Login) -> None:
    login_records.LASTLOG.touch()
    come(UID, "192.0.2.1")
    silent = replace(login, config=ServerConfig(print_last_log=False))
    assert greeting(silent) == "Beware\n"
    alone = replace(login, config=ServerConfig(print_motd=False))
    assert greeting(alone).count("\n") == 1
    (Path(login.home) / "motd").unlink()
    assert greeting(silent) == ""


def test_what_pam_says_comes_first(login: Login) -> None:
    said = (
        "One",
        "Two\nlines",
    )
    assert greeting(replace(login, texts=said)) == "One\nTwo\nlines\nBeware\n"


def test_the_message_of_the_day_is_shown_once(login: Login) -> None:
    said = ("From a module\nBeware",)
    assert greeting(replace(login, texts=said)) == "From a module\nBeware\n"


def test_a_user_can_have_silence(login: Login) -> None:
    (Path(login.home) / ".hushlogin").touch()
    said = ("One",)
    assert greeting(login) == greeting(replace(login, texts=said)) == ""


def test_what_a_peer_could_have_written_is_made_safe(login: Login) -> None:
    login_records.LASTLOG.touch()
    come(UID, "\x1b[31m")
    assert "\x1b" not in greeting(login)
