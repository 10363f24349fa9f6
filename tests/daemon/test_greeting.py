"""The last login and the message of the day."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from nacre.config.server.config import ServerConfig
from nacre.daemon import greeting as module
from nacre.daemon.accounts.accounts import Login, own_account, system_login
from nacre.daemon.greeting import greeting, note_login

UID = 7


@pytest.fixture
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Login:
    monkeypatch.setattr(module, "LASTLOG", tmp_path / "lastlog")
    monkeypatch.setattr(module, "MOTD", tmp_path / "motd")
    (tmp_path / "motd").write_text("Beware\n")
    return system_login(replace(own_account(), uid=UID, home=str(tmp_path)))


def test_the_last_login_is_the_one_before(login: Login) -> None:
    module.LASTLOG.touch()
    assert greeting(login) == "Beware\n"
    note_login(UID, "192.0.2.1")
    note_login(UID + 1, "2001:db8::1")
    assert re.fullmatch(
        r"Last login: \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4} from 192\.0\.2\.1\nBeware\n",
        greeting(login),
    )
    assert module.LASTLOG.stat().st_size == (UID + 2) * 292  # lastlog(8)
    note_login(UID, "")
    assert " from " not in greeting(login)


def test_without_the_file_there_is_no_last_login(login: Login) -> None:
    note_login(UID, "192.0.2.1")
    assert not module.LASTLOG.exists()
    assert greeting(login) == "Beware\n"


def test_each_is_shown_as_configured(login: Login) -> None:
    module.LASTLOG.touch()
    note_login(UID, "192.0.2.1")
    silent = replace(login, config=ServerConfig(print_last_log=False))
    assert greeting(silent) == "Beware\n"
    alone = replace(login, config=ServerConfig(print_motd=False))
    assert greeting(alone).count("\n") == 1
    module.MOTD.unlink()
    assert greeting(silent) == ""


def test_a_user_can_have_silence(login: Login) -> None:
    (Path(login.home) / ".hushlogin").touch()
    assert greeting(login) == ""


def test_what_a_peer_could_have_written_is_made_safe(login: Login) -> None:
    module.LASTLOG.touch()
    note_login(UID, "\x1b[31m")
    assert "\x1b" not in greeting(login)
