"""``nacre-sshd`` up to the start of the server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import nacre
from nacre.cli.sshd.command import run
from nacre.daemon.daemon import Daemon
from nacre.errors import ConfigurationError
from nacre.keys import dump_private


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Daemon]:
    daemons: list[Daemon] = []

    def note(daemon: Daemon) -> bool:
        daemons.append(daemon)
        return True

    monkeypatch.setattr(Daemon, "run", note)
    return daemons


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_bytes(dump_private(nacre.generate("ssh-ed25519")))
    path.chmod(0o600)
    return path


@pytest.fixture
def file(tmp_path: Path, key: Path) -> Path:
    path = tmp_path / "sshd_config"
    path.write_text(f"HostKey {key}\nPort 2201\nMaxSessions 3\nMatch User alice\nPermitTTY no\n")
    return path


@pytest.mark.parametrize(
    ("words", "mode", "to_syslog"),
    [
        ([], "background", True),
        (["-D"], "foreground", True),
        (["-De"], "foreground", False),
        (["-i"], "inherited", True),
        (["-id"], "inherited", False),
        (["-d"], "one", False),
    ],
)
def test_how_it_runs(
    started: list[Daemon], file: Path, words: list[str], mode: str, to_syslog: bool
) -> None:
    assert run("nacre-sshd", ["-f", str(file), *words]) == 0
    (daemon,) = started
    assert (daemon.mode, daemon.log.apart) == (mode, to_syslog)
    assert (daemon.users, daemon.state, daemon.config.max_sessions) == ("system", None, 3)


@pytest.mark.parametrize("option", ["-D", "-i", "-d"])
def test_a_server_collects_garbage(file: Path, option: str) -> None:
    """What a login leaves in cycles would fill the memory (9 KiB of each)."""
    program = (
        "import gc\n"
        "from nacre.cli.common.start import start\n"
        "from nacre.cli.sshd.command import run\n"
        "from nacre.daemon.daemon import Daemon\n"
        "Daemon.run = lambda self: print(gc.isenabled()) is None\n"
        f"start(run, 'nacre-sshd', ['-f', {str(file)!r}, {option!r}])\n"
    )
    words = [sys.executable, "-c", program]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "True\n"


def test_the_configuration_is_read_again_with_the_options(
    started: list[Daemon], file: Path
) -> None:
    assert run("nacre-sshd", ["-f", str(file), "-p", "2202", "-o", "MaxAuthTries=2"]) == 0
    (daemon,) = started
    assert daemon.read is not None
    file.write_text("MaxSessions 4\nMaxAuthTries 9\nPort 2203\n")
    again = daemon.read().base
    assert (again.max_sessions, again.max_auth_tries, again.ports) == (4, 2, (2202,))


def test_a_file_says_what_sshd_config_has_no_words_for(
    started: list[Daemon], file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service = tmp_path / "service.toml"
    service.write_text(f'state = "{tmp_path}/state"\naudit = true\n')
    words = ["-f", str(file), "--config", str(service)]
    assert run("nacre-sshd", words) == 0
    (daemon,) = started
    assert (daemon.state, daemon.audit.mode) == (tmp_path / "state", "on")
    assert (daemon.as_sshd, daemon.users, daemon.config.max_sessions) == (True, "system", 3)
    service.write_text("hooks = true\n")
    assert daemon.read is not None
    daemon.read()
    assert daemon.needs_restart() == ("audit", "hooks", "state")
    # What is wrong with it is told by a test too, and keeps a reload from changing anything.
    service.write_text("hook = true\n")
    with pytest.raises(ConfigurationError, match="do you mean hooks"):
        daemon.read()
    assert run("nacre-sshd", [*words, "-t"]) == 255
    assert "do you mean hooks" in capsys.readouterr().err


def test_without_the_command_line_of_nacre_it_says_what_to_install(
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delitem(sys.modules, "nacre.cli.sshd.service", raising=False)
    monkeypatch.setitem(sys.modules, "click", None)
    assert run("nacre-sshd", ["-f", str(file), "--config", str(tmp_path / "x.toml")]) == 255
    assert "--config needs the package click: pip install" in capsys.readouterr().err


def test_the_defaults_are_those_of_sshd(started: list[Daemon]) -> None:
    assert run("nacre-sshd", ["-f", "none"]) == 0
    config = started[0].config
    assert (config.required_rsa_size, config.pid_file) == (1024, "/run/sshd.pid")
    assert config.per_source_penalties is not None
    assert config.ports == (22,)


def test_a_test_says_nothing_when_all_is_well(
    file: Path, capsys: pytest.CaptureFixture[str], started: list[Daemon]
) -> None:
    assert run("nacre-sshd", ["-t", "-f", str(file)]) == 0
    assert capsys.readouterr() == ("", "")
    assert not started


def test_what_holds_is_printed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("nacre-sshd", ["-T", "-f", str(file), "-p", "2204", "-C", "user=alice"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"port 2204", "maxsessions 3", "permittty no"} <= set(lines)
    assert "port 2201" not in lines
    assert run("nacre-sshd", ["-G", "-f", str(file)]) == 0
    assert "permittty yes" in capsys.readouterr().out.splitlines()


def test_without_host_keys_only_the_test_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config"
    file.write_text(f"HostKey {tmp_path / 'missing'}\n")
    for option in ("-t", "-T"):
        assert run("nacre-sshd", [option, "-f", str(file)]) == 1
        said = capsys.readouterr().err
        assert "missing: No such file or directory" in said
        assert "ssh-keygen -A" in said
    assert run("nacre-sshd", ["-G", "-f", str(file)]) == 0


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["-x"], 1, "usage: nacre-sshd"),
        (["-o", "Nonsense=1"], 1, "Nonsense"),
        (["-f", "/no/such/file"], 255, "/no/such/file"),
    ],
)
def test_what_is_wrong_ends_it(
    words: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("nacre-sshd", words) == status
    assert message in capsys.readouterr().err


def test_a_wrong_line_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config"
    file.write_text("Port 22\nMaxSessions many\n")
    assert run("nacre-sshd", ["-t", "-f", str(file)]) == 255
    assert f"{file} line 2: MaxSessions" in capsys.readouterr().err


def test_a_log_file_is_appended_to(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "log"
    with capfd.disabled():
        before = os.dup(2)
        try:
            assert run("nacre-sshd", ["-E", str(log), "-t", "-f", "/no/such/file"]) == 255
            os.write(2, b"to the file\n")
        finally:
            os.dup2(before, 2)
            os.close(before)
    assert "to the file\n" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("nacre-sshd", ["-V"]) == 0
    assert capsys.readouterr().err == f"nacre {nacre.__version__}\n"
    assert run("nacre-sshd", ["--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: nacre-sshd")


def test_it_loads_no_database() -> None:
    program = "import sys, nacre.cli.sshd.command, nacre.daemon.daemon\n"
    program += "assert not {'sqlalchemy', 'click'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
