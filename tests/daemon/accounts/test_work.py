"""What a session does, and the environment that its program gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from nacre.config.server.config import ServerConfig
from nacre.daemon.accounts import accounts
from nacre.daemon.accounts.accounts import (
    DEFAULT_CONFIG,
    Account,
    Login,
    system_login,
    virtual_login,
)
from nacre.daemon.accounts.work import Work, program, steps_before, work_of, x11_steps
from nacre.daemon.processes.child import Program
from nacre.daemon.processes.kinds.launcher import Steps, X11Steps
from nacre.daemon.store.values import User
from nacre.errors import ConfigurationError
from nacre.keys.key_options import NO_OPTIONS, parse_options
from nacre.sftp.server.restrictions import parse

PEER, LOCAL = ("192.0.2.1", 40000), ("192.0.2.2", 22)
ALICE = Account(name="alice", uid=4711, gid=4712, groups=(4712, 7), home="/", shell="/bin/bash")
NOLOGIN = replace(ALICE, shell="/usr/sbin/nologin")


def started(
    login: Login,
    command: bytes | None = None,
    sent: Mapping[str, str] = {},
    subsystem: str | None = None,
) -> Program:
    return program(login, work_of(login, command, subsystem), sent, PEER, LOCAL)


def login(account: Account = ALICE, key: str = "", config: ServerConfig = DEFAULT_CONFIG) -> Login:
    return system_login(account, parse_options(key) if key else NO_OPTIONS, config)


# --- what is done ---


def test_a_request_is_done_as_it_is() -> None:
    assert work_of(login(), b"ls", None) == Work(command=b"ls")
    assert work_of(login(), None, None) == Work()
    sftp = work_of(login(), None, "sftp")
    assert sftp.files == login().files
    assert not sftp.forced
    assert not sftp.misused


@pytest.mark.parametrize("by_key", [False, True], ids=["ForceCommand", "command="])
def test_a_forced_command_replaces_every_request(by_key: bool) -> None:
    subsystems = (("sftp", "/usr/lib/sftp-server -l INFO"),)
    config = ServerConfig(subsystems=subsystems, force_command=None if by_key else "only this")
    one = login(key='command="only this"' if by_key else "", config=config)
    for command, subsystem, requested in (
        (b"rm -rf /", None, b"rm -rf /"),
        (None, None, None),
        (None, "sftp", "/usr/lib/sftp-server -l INFO"),
    ):
        work = work_of(one, command, subsystem)
        assert work == Work(command="only this", requested=requested, forced=True)


def test_the_configuration_comes_before_the_key() -> None:
    one = login(key='command="of the key"', config=ServerConfig(force_command="of the server"))
    assert work_of(one, None, None).command == "of the server"


def test_internal_sftp_serves_files_with_its_options() -> None:
    config = ServerConfig(subsystems=(("sftp", "internal-sftp -R"), ("x", "internal-sftp")))
    for name, words in (("sftp", ["-R"]), ("x", [])):
        files = work_of(login(config=config), None, name).files
        assert files is not None
        assert files.restrictions == parse(words)
    # The client's own command of this name is an ordinary one.
    assert work_of(login(), b"internal-sftp", None) == Work(command=b"internal-sftp")


def test_forced_internal_sftp_is_misused_by_all_but_subsystems() -> None:
    one = login(NOLOGIN, config=ServerConfig(force_command="internal-sftp -d /in"))
    assert not work_of(one, None, "sftp").misused
    assert work_of(one, b"ls", None).misused
    assert work_of(one, None, None).misused
    assert work_of(one, b"ls", None).files is not None  # and no shell


def test_a_wrong_option_of_internal_sftp_is_an_error() -> None:
    one = login(config=ServerConfig(force_command="internal-sftp -P opne"))
    with pytest.raises(ConfigurationError, match="opne"):
        work_of(one, None, "sftp")


def test_a_subsystem_may_be_a_program() -> None:
    config = ServerConfig(subsystems=(("hello", "echo hello"), ("hello", "never")))
    run = started(login(config=config), subsystem="hello")
    assert run.arguments == ["bash", "-c", "echo hello"]
    assert run.takes_signals
    assert "SSH_ORIGINAL_COMMAND" not in run.environment


@pytest.mark.parametrize(
    ("account", "config", "files"),
    [
        (ALICE, ServerConfig(), True),
        (NOLOGIN, ServerConfig(), False),
        (NOLOGIN, ServerConfig(subsystems=(("sftp", "internal-sftp"),)), True),
        (NOLOGIN, ServerConfig(force_command="internal-sftp"), True),
    ],
    ids=["shell", "none", "subsystem", "forced"],
)
def test_an_account_without_a_shell_has_files_where_the_configuration_says_so(
    account: Account, config: ServerConfig, files: bool
) -> None:
    assert (login(account, config=config).files is not None) is files


# --- the environment ---


def test_environment() -> None:
    login = system_login(replace(ALICE, home="/tmp"))
    run = started(login, b"id", {"LANG": "C", "HOME": "/evil", "PATH": "/evil"})
    assert run.environment["HOME"] == "/tmp"
    assert "/evil" not in run.environment["PATH"]
    assert run.environment["LANG"] == "C"
    assert run.environment["USER"] == run.environment["LOGNAME"] == "alice"
    assert run.environment["SHELL"] == "/bin/bash"
    assert run.environment["SSH_CLIENT"] == "192.0.2.1 40000 22"
    assert run.environment["SSH_CONNECTION"] == "192.0.2.1 40000 192.0.2.2 22"
    assert run.directory == "/tmp"
    assert run.arguments == ["bash", "-c", b"id"]
    assert run.credentials == ALICE.credentials


def test_the_environment_of_a_login_over_a_pipe_names_no_address() -> None:
    run = program(login(), work_of(login(), b"id", None), {}, ("", 0), ("", 0))
    assert run.environment["SSH_CLIENT"] == "UNKNOWN 65535 65535"
    assert run.environment["SSH_CONNECTION"] == "UNKNOWN 65535 UNKNOWN 65535"


def test_nothing_of_the_servers_environment_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NACRE_SECRET", "x")
    assert "NACRE_SECRET" not in started(system_login(ALICE), None, {}).environment


def test_login_shell_has_a_dash() -> None:
    run = started(system_login(ALICE), None, {})
    assert (run.path, run.arguments) == ("/bin/bash", ["-bash"])


def test_forced_command_replaces_the_clients() -> None:
    login = system_login(ALICE, parse_options('command="only this"'))
    run = started(login, b"rm -rf /", {})
    assert run.arguments == ["bash", "-c", "only this"]
    assert run.environment["SSH_ORIGINAL_COMMAND"] == "rm -rf /"
    shell = started(login, None, {})
    assert shell.arguments == ["bash", "-c", "only this"]
    assert "SSH_ORIGINAL_COMMAND" not in shell.environment


def test_missing_home_is_the_root_directory() -> None:
    run = started(system_login(replace(ALICE, home="/no/such")), None, {})
    assert (run.directory, run.environment["HOME"]) == ("/", "/no/such")


def test_variables_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "environment"
    file.write_text('# comment\nLANG="de_DE.UTF-8"\nexport X=1\n\nnonsense\nPATH=/opt/bin\n')
    monkeypatch.setattr(accounts, "_SYSTEM_ENVIRONMENT", file)
    environment = started(system_login(ALICE), None, {}).environment
    assert environment["LANG"] == "de_DE.UTF-8"
    assert environment["X"] == "1"
    assert environment["PATH"] == "/opt/bin"
    assert "nonsense" not in environment


def test_set_env_comes_before_what_anyone_else_sets() -> None:
    config = ServerConfig(set_env=(("LANG", "C"), ("HOME", "/elsewhere"), ("A", "1")))
    sent = {"LANG": "de_DE", "A": "2", "B": "3"}
    environment = started(login(config=config), None, sent).environment
    names = {name: environment[name] for name in ("LANG", "HOME", "A", "B")}
    assert names == {"LANG": "C", "HOME": "/elsewhere", "A": "1", "B": "3"}


@pytest.mark.parametrize(
    ("permitted", "set_by_key"),
    [("no", set()), ("yes", {"A_1", "B"}), ("A_*", {"A_1"}), ("*,!B", {"A_1"})],
)
def test_variables_of_keys_are_set_where_the_configuration_permits_it(
    permitted: str, set_by_key: set[str]
) -> None:
    config = ServerConfig(permit_user_environment=permitted)
    one = login(key='environment="A_1=x",environment="B=y"', config=config)
    assert {"A_1", "B"} & set(started(one).environment) == set_by_key


def test_what_the_server_has_set_is_not_the_keys_to_change() -> None:
    config = ServerConfig(permit_user_environment="yes")
    key = 'environment="SSH_AUTH_SOCK=/evil",environment="SSH_CLIENT=evil"'
    environment = started(
        login(key=key, config=config), None, {"SSH_AUTH_SOCK": "/tmp/agent"}
    ).environment
    assert environment["SSH_AUTH_SOCK"] == "/tmp/agent"
    assert environment["SSH_CLIENT"] == "192.0.2.1 40000 22"


# --- what comes before the program ---


def test_files_of_the_home_are_for_commands_and_shells_of_the_user() -> None:
    def rc(config: ServerConfig = DEFAULT_CONFIG, key: str = "", sub: str | None = None) -> bool:
        return steps_before(login(key=key, config=config), sub).user_rc

    assert rc()
    assert rc(key='command="x"')
    assert not rc(sub="hello")
    assert not rc(ServerConfig(force_command="x"))
    assert not rc(ServerConfig(permit_user_rc=False))
    assert not rc(key="no-user-rc")
    assert steps_before(login(), None).system_rc


def test_the_root_directory_has_the_tokens_of_the_account() -> None:
    config = ServerConfig(chroot_directory="/srv/%u/%U%h/%%")
    assert steps_before(login(config=config), None).root == "/srv/alice/4711//%"


def test_the_cookie_of_a_display_is_for_xauth() -> None:
    display: Any = SimpleNamespace(
        name="localhost:10.0", for_xauth="unix:10.0", protocol="MIT", cookie="00ff"
    )
    steps = X11Steps(xauth="/usr/bin/xauth", name="unix:10.0", protocol="MIT", cookie="00ff")
    assert x11_steps(login(), display) == steps
    assert x11_steps(login(), None) is None
    assert x11_steps(login(config=ServerConfig(xauth_location=None)), display) is None
    assert steps_before(login(), None, steps).x11 == steps


def test_virtual_users_have_none_of_this() -> None:
    one = virtual_login(
        User(name="alice"), ALICE, config=ServerConfig(permit_user_environment="yes")
    )
    assert steps_before(one, None) == Steps()
