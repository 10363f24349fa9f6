"""What ``nacre-sshd --config`` says in a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from nacre.cli.sshd.service import ServiceFile
from nacre.daemon.audit.events import AuditPlan
from nacre.daemon.edge_settings import NO_EDGE
from nacre.daemon.state import default_path
from nacre.errors import ConfigurationError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "service.toml"
    path.write_text("")
    return path


def test_a_file_that_says_nothing_has_the_defaults_of_serve(file: Path) -> None:
    assert ServiceFile(str(file)).options == {
        "state": default_path(),
        "gate_user": None,
        "end_processes": False,
        "watch": "told",
        "edge": NO_EDGE,
        "recording": None,
        "audit": AuditPlan("off", False),
        "hooks": None,
        "drain": 0,
    }


def test_what_a_file_may_say(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file.write_text(
        'state = "here"\naudit = true\nhooks = true\nbans = 20\nend-processes = true\n'
        f'gate-user = "nobody"\nrecord = "{tmp_path}/records"\nmetrics = "127.0.0.1:9100"\n'
    )
    found = ServiceFile(str(file)).options
    assert found["state"] == tmp_path / "here"
    assert found["audit"].mode == "on"
    assert found["hooks"] is not None
    assert found["end_processes"]
    assert found["gate_user"] == "nobody"
    assert found["recording"] is not None
    assert found["edge"].ban_points == 20
    assert found["edge"].metrics is not None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('users = "store"', "service.toml line 1: there is no 'users'"),
        ('listen = "127.0.0.1:22"', "there is no 'listen'"),
        ("[option]\nPort = 22", "there is no 'option"),
        ("\naudit = 1", "service.toml line 2: audit takes true or false"),
        ("audit", "is no TOML"),
        ('record-user = "nobody"', "--record-user.*need --record"),
    ],
)
def test_what_is_wrong_is_named(file: Path, text: str, reason: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=reason):
        ServiceFile(str(file))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can't read"):
        ServiceFile(str(tmp_path / "missing"))


def test_what_has_changed_holds_after_the_next_start(file: Path) -> None:
    file.write_text("audit = true\n")
    made = ServiceFile(str(file))
    made.read_again()
    assert made.needs_restart() == ()
    file.write_text("audit = true\nbans = 20\n")
    made.read_again()
    assert made.needs_restart() == ("bans",)
    file.write_text("bans = true\n")
    with pytest.raises(ConfigurationError, match="bans takes"):
        made.read_again()
    assert "edge" in made.options
