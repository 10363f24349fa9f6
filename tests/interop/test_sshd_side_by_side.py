"""OpenSSH's sshd and nacre-sshd with the same sshd_config, the same clients and the same accounts.

Each case is a configuration and command lines of OpenSSH's clients. Both servers must treat the
client alike: exit status, output, files.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from interop.clients import Account, Login
from interop.programs import check, missing, require, run
from interop.side_by_side import SERVERS, Both, alike, put, start
from interop.terminal import Terminal
from nacre.daemon.processes.login_records import LASTLOG

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root serves other accounts"),
]

SFTP_SERVER = "/usr/lib/openssh/sftp-server"


Serve = Callable[..., Both]


@pytest.fixture
def serve(
    system_account: Account,
    host_keys: dict[str, Path],
    keys: dict[str, Path],
    tmp_path: Path,
) -> Iterator[Serve]:
    """Start both servers with a configuration, and log in as the account with a key."""
    with ExitStack() as stack:

        def both(*config: str, key: str | None = "ed25519") -> Both:
            logins = {}
            for server in SERVERS:
                daemon = start(server, tmp_path, host_keys["ed25519"], config)
                stack.callback(daemon.stop)
                own = tmp_path / f"client-{server}"
                own.mkdir()
                chosen = None if key is None else keys[key]
                logins[server] = Login(daemon, system_account.name, own, chosen)
            return Both(logins, system_account, tmp_path)

        yield both


# --- who may log in ---


@pytest.mark.parametrize(
    ("config", "allowed"),
    [
        (["AllowUsers {user}"], True),
        (["AllowUsers nobody"], False),
        (["AllowUsers {user}@127.0.0.0/8"], True),
        (["AllowUsers {user}@192.0.2.0/24"], False),
        (["AllowUsers nacre-*@127.0.0.?"], True),
        (["DenyUsers {user}"], False),
        (["DenyUsers {user}@127.0.0.1", "AllowUsers {user}"], False),
        (["DenyUsers {user}@192.0.2.1"], True),
        (["AllowGroups {user}"], True),
        (["AllowGroups wheel"], False),
        (["DenyGroups nacre-*"], False),
        (["AllowUsers {user}", "DenyGroups {user}"], False),
        (["PubkeyAuthentication no"], False),
        (["AuthorizedKeysFile none"], False),
        (["AuthorizedKeysFile missing %h/.ssh/authorized_keys"], True),
        (["PubkeyAuthentication no", "Match User {user}", "PubkeyAuthentication yes"], True),
        (["Match User nobody,{user}", "PubkeyAuthentication no"], False),
        (["Match Group {user}", "PubkeyAuthentication no"], False),
        (["Match Address 127.0.0.0/8", "PubkeyAuthentication no"], False),
        (["Match Address 192.0.2.0/24", "PubkeyAuthentication no"], True),
        (["Match User {user} Address 192.0.2.0/24", "PubkeyAuthentication no"], True),
        (["Match all", "AuthorizedKeysFile none"], False),
    ],
    ids=lambda value: "; ".join(value) if isinstance(value, list) else None,
)
def test_who_may_log_in(
    serve: Serve, system_account: Account, config: list[str], allowed: bool
) -> None:
    both = serve(*(line.format(user=system_account.name) for line in config))
    done = alike(both.ssh("echo in", options=["BatchMode=yes"]))
    assert (done.returncode, done.stdout) == ((0, b"in\n") if allowed else (255, b""))


@pytest.mark.parametrize(
    ("word", "options", "allowed"),
    [
        ("yes", "", True),
        ("prohibit-password", "", True),
        ("forced-commands-only", "", False),
        ("forced-commands-only", 'command="echo forced" ', True),
        ("no", "", False),
        ("no\nMatch Address 127.0.0.1\nPermitRootLogin yes", "", True),
    ],
    ids=["yes", "by key", "forced alone", "forced", "no", "by address"],
)
def test_root(
    serve: Serve, keys: dict[str, Path], tmp_path: Path, word: str, options: str, allowed: bool
) -> None:
    file = tmp_path / "keys of root"
    file.write_text(options + keys["ed25519"].with_suffix(".pub").read_text())
    both = serve(f'AuthorizedKeysFile "{file}"', "StrictModes no", f"PermitRootLogin {word}")
    done = alike(both.ssh("echo in", user="root", options=["BatchMode=yes"]))
    expected = b"forced\n" if options else b"in\n"
    assert done.stdout == (expected if allowed else b"")


@pytest.mark.parametrize("strict", ["yes", "no"])
def test_strict_modes(serve: Serve, system_account: Account, strict: str) -> None:
    file = system_account.home / ".ssh" / "authorized_keys"
    file.chmod(0o622)
    try:
        both = serve(f"StrictModes {strict}")
        done = alike(both.ssh("echo in", options=["BatchMode=yes"]))
    finally:
        file.chmod(0o600)
    assert (done.returncode == 0) is (strict == "no")


@pytest.mark.parametrize("permitted", ["yes", "no"])
def test_an_empty_password(serve: Serve, system_account: Account, permitted: str) -> None:
    both = serve(f"PermitEmptyPasswords {permitted}", key=None)
    check(["passwd", "-d", system_account.name])
    try:
        done = alike(both.ssh("echo in", options=["BatchMode=yes"]))
    finally:
        typed = f"{system_account.name}:{system_account.password}\n"
        check([require("chpasswd")], input=typed.encode())
    assert (done.returncode == 0) is (permitted == "yes")


# --- AuthenticationMethods ---


@pytest.mark.parametrize(
    ("methods", "preferred", "allowed"),
    [
        ("publickey,password", "publickey,password", True),
        ("publickey,password", "password", False),
        ("publickey,password", "publickey", False),
        ("password,publickey", "publickey,password", True),  # the server asks for its order
        ("publickey,keyboard-interactive", "publickey,keyboard-interactive", True),
        ("publickey,keyboard-interactive:pam", "publickey,keyboard-interactive", True),
        ("publickey,keyboard-interactive:bsdauth", "publickey,keyboard-interactive", False),
        ("publickey,password password", "password", True),
        ("publickey,password publickey,keyboard-interactive", "publickey,password", True),
        ("any", "publickey", True),
        ("publickey,publickey", "publickey", False),
    ],
)
def test_authentication_methods(serve: Serve, methods: str, preferred: str, allowed: bool) -> None:
    both = serve(f"AuthenticationMethods {methods}", "KbdInteractiveAuthentication yes")
    options = [
        f"PreferredAuthentications={preferred}",
        "PubkeyAuthentication=yes",
        "NumberOfPasswordPrompts=1",
        "LogLevel=DEBUG1",
    ]
    done = both.ssh("echo in", options=options, answers=[both.account.password])
    assert alike(done).returncode == (0 if allowed else 255)
    if ":bsdauth" in methods:
        return  # sshd says only after the last method that its device is another one
    # What may continue, and when a method has succeeded in part.
    said = {name: _conversation(one.stderr) for name, one in done.items()}
    assert said["sshd"] == said["nacre"]


def _conversation(log: bytes) -> list[str]:
    lines = log.decode(errors="replace").splitlines()
    shown = ("Authentications that can continue", "Authenticated using", "Next authentication")
    return [line for line in lines if any(text in line for text in shown)]


def test_two_keys_are_two_different_keys(serve: Serve, keys: dict[str, Path]) -> None:
    both = serve("AuthenticationMethods publickey,publickey")
    second = ["-i", str(keys["rsa"])]
    assert alike(both.ssh("echo in", flags=second)).stdout == b"in\n"
    assert alike(both.ssh("echo in", options=["BatchMode=yes"])).returncode == 255


def test_methods_by_user(serve: Serve, system_account: Account) -> None:
    both = serve(
        "AuthenticationMethods publickey",
        f"Match User {system_account.name}",
        "AuthenticationMethods publickey,password",
    )
    assert alike(both.ssh("echo in", options=["BatchMode=yes"])).returncode == 255
    done = both.ssh("echo in", answers=[both.account.password])
    assert alike(done).stdout == b"in\n"


@pytest.mark.parametrize("attempts", [1, 3])
def test_max_auth_tries_by_user(serve: Serve, system_account: Account, attempts: int) -> None:
    both = serve(
        "UsePAM no",  # which waits for two seconds after each failure
        "KbdInteractiveAuthentication no",
        f"Match User {system_account.name}",
        f"MaxAuthTries {attempts}",
        key=None,
    )
    done = both.ssh("true", options=["NumberOfPasswordPrompts=5"], answers=["wrong"])
    assert alike(done).returncode == 255
    for one in done.values():
        assert b"too many authentication failures" in one.stderr.lower()
    asked = (both.directory / "asked").read_text().splitlines()
    assert len(asked) == attempts


# --- commands ---


SHOW = 'echo "$SSH_ORIGINAL_COMMAND|$0"; id -un; exit 3'


@pytest.mark.parametrize(
    "command", ["", "rm -rf /", "-s sftp"], ids=["shell", "command", "subsystem"]
)
def test_force_command(serve: Serve, command: str) -> None:
    both = serve(f"ForceCommand {SHOW}", f"Subsystem sftp {SFTP_SERVER} -l INFO")
    flags, words = (["-s"], ["sftp"]) if command.startswith("-s") else (["-T"], [command])
    done = alike(both.ssh(*filter(None, words), flags=flags))
    requested = {"": "", "-s sftp": f"{SFTP_SERVER} -l INFO"}.get(command, command)
    assert done.stdout.decode() == f"{requested}|sh\n{both.account.name}\n"
    assert done.returncode == 3


def test_force_command_by_match_and_not_for_others(serve: Serve, system_account: Account) -> None:
    both = serve(
        f"Match User !{system_account.name},*",
        "ForceCommand echo others",
        f"Match User {system_account.name}",
        "ForceCommand none",
        "Match all",
        "ForceCommand echo everyone",
    )
    assert alike(both.ssh("echo mine")).stdout == b"mine\n"


def test_forced_internal_sftp(serve: Serve) -> None:
    both = serve("ForceCommand internal-sftp -d /etc", "Subsystem sftp internal-sftp")
    assert [one.returncode for one in both.ssh("true").values()] == [1, 1]
    done = both.sftp("pwd", "get passwd /dev/null")
    assert [one.returncode for one in done.values()] == [0, 0]
    assert all(b"Remote working directory: /etc\n" in one.stdout for one in done.values())


def test_a_subsystem_is_a_command_or_nothing(serve: Serve) -> None:
    both = serve("Subsystem hello echo hello; id -un; exit 4", "PermitUserRC no")
    done = alike(both.ssh("hello", flags=["-s"]))
    assert (done.returncode, done.stdout.split()) == (4, [b"hello", both.account.name.encode()])
    assert alike(both.ssh("other", flags=["-s"])).returncode == 255
    assert all(one.returncode == 255 for one in both.sftp("pwd").values())


def test_sftp_server_as_a_program(serve: Serve, tmp_path: Path) -> None:
    if not Path(SFTP_SERVER).exists():
        missing("sftp-server")
    both = serve(f"Subsystem sftp {SFTP_SERVER} -R")
    done = both.sftp("get /etc/passwd " + str(tmp_path / "got"))
    assert [one.returncode for one in done.values()] == [0, 0]
    assert all(one.returncode == 1 for one in both.sftp("mkdir new").values())


# --- the environment ---


def test_the_environment(serve: Serve, system_account: Account) -> None:
    directory = system_account.home / ".ssh"
    file = directory / "environment"
    file.write_text("# mine\nA_FILE=of the file\nB_FILE=no\nSENT=of the file\nnonsense\nSET=file\n")
    shutil.chown(file, system_account.name)
    try:
        both = serve(
            "PermitUserEnvironment A_*,S*",
            'SetEnv SET=server "OTHER=two words" LOGNAME=changed',
            "AcceptEnv SENT SET",
        )
        show = 'echo "$A_FILE|$B_FILE|$SENT|$SET|$OTHER|$LOGNAME|$HOME|$SHELL|$PWD"'
        done = alike(both.ssh(show, options=["SetEnv=SENT=client SET=client"]))
        home = system_account.home
        expected = f"of the file||of the file|server|two words|changed|{home}|/bin/sh|{home}\n"
        assert done.stdout.decode() == expected
    finally:
        file.unlink()


def test_every_variable(serve: Serve) -> None:
    both = serve("PrintMotd no", "SetEnv A=1")
    shown = {}
    for name, one in both.ssh("env").items():
        lines = dict(line.split("=", 1) for line in one.stdout.decode().splitlines())
        for port in ("SSH_CLIENT", "SSH_CONNECTION"):
            lines[port] = re.sub(r" [0-9]+(?= |$)", " PORT", lines[port])
        for own in ("PATH", "MAIL"):  # those of sshd's build
            lines.pop(own, None)
        shown[name] = lines
    assert shown["sshd"] == shown["nacre"]


@pytest.mark.parametrize("pam", ["yes", "no"])
def test_the_umask(serve: Serve, pam: str) -> None:
    done = alike(serve(f"UsePAM {pam}").ssh("umask"))
    assert pam == "yes" or done.stdout == b"0022\n"


def test_no_file_of_variables_without_the_permission(serve: Serve, system_account: Account) -> None:
    file = system_account.home / ".ssh" / "environment"
    file.write_text("A_FILE=x\n")
    try:
        assert alike(serve().ssh('echo "-$A_FILE-"')).stdout == b"--\n"
    finally:
        file.unlink()


def test_accept_env_by_user(serve: Serve, system_account: Account) -> None:
    both = serve("AcceptEnv A", f"Match User {system_account.name}", "AcceptEnv B")
    done = alike(both.ssh('echo "-$A-$B-"', options=["SetEnv=A=1 B=2"]))
    assert b"2-" in done.stdout


@pytest.mark.parametrize("method", ["publickey", "password"])
def test_expose_auth_info(serve: Serve, keys: dict[str, Path], method: str) -> None:
    both = serve(
        "ExposeAuthInfo yes",
        "KbdInteractiveAuthentication no",
        key="ed25519" if method == "publickey" else None,
    )
    show = 'cat "$SSH_USER_AUTH"; stat -c "%U %a" "$SSH_USER_AUTH"'
    done = alike(both.ssh(show, answers=[both.account.password]))
    first, second = done.stdout.decode().splitlines()
    public = " ".join(keys["ed25519"].with_suffix(".pub").read_text().split()[:2])
    assert first == (f"publickey {public}" if method == "publickey" else "password")
    assert second == f"{both.account.name} 600"


RC = 'echo "rc of $USER in $PWD, $# words"; read line; echo "input: $line."\n'


@pytest.mark.parametrize(
    ("config", "runs"),
    [
        ([], True),
        (["PermitUserRC no"], False),
        (["ForceCommand echo forced"], False),
        (["Subsystem hello echo hello"], False),
    ],
    ids=["by default", "PermitUserRC no", "ForceCommand", "subsystem"],
)
def test_rc(serve: Serve, system_account: Account, config: list[str], runs: bool) -> None:
    with put(system_account.home / ".ssh" / "rc", RC, system_account.name):
        both = serve(*config)
        if config and config[0].startswith("Subsystem"):
            done = alike(both.ssh("hello", flags=["-s"]))
        else:
            done = alike(both.ssh("cat", input=b"typed"))
    assert (b"rc of" in done.stdout) is runs


# --- terminals ---


def shown_at_login(login: Login) -> str:
    """Return what the client shows at a terminal before the login shell does anything."""
    with Terminal(login.ssh(flags=["-tt"])) as terminal:
        terminal.type("echo o''ver; exit\n")
        terminal.expect("over")
        return terminal.shown


@pytest.mark.parametrize("quiet", [False, True])
def test_motd(serve: Serve, system_account: Account, quiet: bool) -> None:
    both = serve("PrintMotd yes", "PrintLastLog yes")
    both.ssh("true", flags=["-tt"])  # so that there is a last login
    with ExitStack() as stack:
        if quiet:
            hush = system_account.home / ".hushlogin"
            stack.enter_context(put(hush, "", system_account.name))
        shown = [shown_at_login(login) for login in both.logins.values()]
    message = Path("/etc/motd").read_text().splitlines()
    for text in shown:
        if LASTLOG.exists():  # newer systems have none
            assert ("Last login: " in text) is not quiet
            assert ("from 127.0.0.1" in text) is not quiet
        assert any(line and line in text for line in message) is not quiet


def test_no_terminal(serve: Serve) -> None:
    both = serve("PermitTTY no")
    assert alike(both.ssh("tty", flags=["-tt"])).returncode == 255
    assert alike(both.ssh("tty")).stdout == b"not a tty\n"
    both.logins["nacre"].server.wait_for("reason=.*PermitTTY is no")


# --- ChrootDirectory ---


@pytest.fixture
def jail(system_account: Account) -> Iterator[Path]:
    """A directory that only root can write to, with one of the user's in it."""
    root = Path(f"/srv/nacre-jail-{os.getpid()}")
    inside = root / "in"
    root.mkdir(mode=0o755)
    try:
        inside.mkdir()
        shutil.chown(inside, system_account.name)
        (root / "hello").write_text("hello\n")
        yield root
    finally:
        shutil.rmtree(root)


def test_internal_sftp_in_a_root_directory(serve: Serve, jail: Path, tmp_path: Path) -> None:
    both = serve(
        f"ChrootDirectory {jail}", "ForceCommand internal-sftp", "Subsystem sftp internal-sftp"
    )
    (tmp_path / "sent").write_text("data")
    done = both.sftp(
        "pwd",
        "ls /",
        f"put {tmp_path / 'sent'} /in/got",
        "-get /etc/passwd",
        "-mkdir /new",
        "ls -n /in",
    )
    assert [one.returncode for one in done.values()] == [0, 0]
    listed = {
        name: [line for line in one.stdout.decode().splitlines() if "sftp>" not in line]
        for name, one in done.items()
    }
    assert any("/hello" in line for line in listed["sshd"])
    assert [line.split() for line in listed["sshd"]] == [line.split() for line in listed["nacre"]]
    assert (jail / "in" / "got").read_text() == "data"
    assert not (jail / "new").exists()
    assert [one.returncode for one in both.ssh("true").values()] == [1, 1]


def test_sftp_starts_where_the_configuration_says(serve: Serve, jail: Path) -> None:
    both = serve(
        f"ChrootDirectory {jail}",
        "ForceCommand internal-sftp -d /in",
        "Subsystem sftp internal-sftp",
    )
    for one in both.sftp("pwd").values():
        assert b"Remote working directory: /in\n" in one.stdout


def test_the_tokens_of_a_root_directory(serve: Serve, jail: Path, system_account: Account) -> None:
    name, uid = system_account.name, system_account.home.stat().st_uid
    (jail / f"{name}-{uid}-%").mkdir()
    (jail / f"{name}-{uid}-%" / "here").touch()
    both = serve(f"ChrootDirectory {jail}/%u-%U-%%", "Subsystem sftp internal-sftp")
    for one in both.sftp("ls /").values():
        assert b"/here" in one.stdout


@pytest.mark.parametrize("fault", ["mode", "owner", "missing", "file", "parent"])
def test_a_root_directory_that_others_could_change(
    serve: Serve, jail: Path, system_account: Account, fault: str
) -> None:
    place = jail
    if fault == "mode":
        jail.chmod(0o775)
    elif fault == "owner":
        shutil.chown(jail, system_account.name)
    elif fault == "missing":
        place = jail / "missing"
    elif fault == "file":
        place = jail / "hello"
    else:
        place = jail / "in" / "deep"
        place.mkdir()
    both = serve(f"ChrootDirectory {place}", "Subsystem sftp internal-sftp")
    assert all(one.returncode == 255 for one in both.sftp("pwd").values())
    assert all(one.returncode == 255 for one in both.ssh("true").values())
    nacre = both.logins["nacre"].server
    assert nacre.wait_for(r"event=refused .*ChrootDirectory")


def put_shell(jail: Path) -> None:
    """Put the system's shell and its libraries into the directory."""
    (jail / "bin").mkdir()
    shutil.copy("/bin/sh", jail / "bin" / "sh")
    for library in re.findall(r"/\S+", check([require("ldd"), "/bin/sh"]).decode()):
        (jail / library.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, jail / library.lstrip("/"))


def test_a_shell_in_a_root_directory(serve: Serve, jail: Path, system_account: Account) -> None:
    put_shell(jail)
    home = jail / str(system_account.home).lstrip("/")
    home.mkdir(parents=True)
    shutil.chown(home, system_account.name)
    both = serve(f"ChrootDirectory {jail}")
    done = alike(both.ssh('echo *; pwd; cd /; echo *; echo "$HOME"; exit 5'))
    assert done.returncode == 5
    assert str(system_account.home).encode() in done.stdout
    for name, login in both.logins.items():
        with Terminal(login.ssh(flags=["-tt"])) as terminal:
            terminal.type("cd /; echo h*o = $((6*7)); exit\n")
            assert terminal.expect("hello = 42"), name


def test_a_root_directory_without_a_shell(serve: Serve, jail: Path) -> None:
    both = serve(f"ChrootDirectory {jail}")
    assert alike(both.ssh("true")).returncode == 1


# --- banners and forwarding ---


def test_banner_by_user(serve: Serve, system_account: Account, tmp_path: Path) -> None:
    (tmp_path / "all").write_text("for all\n")
    (tmp_path / "one").write_text("for one\n")
    both = serve(
        f"Banner {tmp_path / 'all'}",
        f"Match User {system_account.name}",
        f"Banner {tmp_path / 'one'}",
        "Match User nobody",
        "Banner none",
    )
    options = ["LogLevel=INFO", "BatchMode=yes"]
    for user, banner in ((None, b"for one"), ("nobody", b""), ("root", b"for all")):
        for name, one in both.ssh("true", user=user, options=options).items():
            assert banner in one.stderr, name
            assert (b"for" in one.stderr) is bool(banner), name


@pytest.mark.parametrize(
    ("config", "allowed"),
    [
        ([], True),
        (["DisableForwarding yes"], False),
        (["AllowTcpForwarding no"], False),
        (["AllowTcpForwarding remote"], False),
        (["AllowTcpForwarding no", "Match User {user}", "AllowTcpForwarding local"], True),
        (["Match User {user}", "DisableForwarding yes"], False),
        (["PermitOpen 127.0.0.1:1"], False),
    ],
    ids=lambda value: "; ".join(value) if isinstance(value, list) else None,
)
def test_forwarding_by_user(
    serve: Serve, system_account: Account, config: list[str], allowed: bool
) -> None:
    both = serve(*(line.format(user=system_account.name) for line in config))
    for login in both.logins.values():
        done = run(
            [*login.ssh(flags=["-W", f"127.0.0.1:{login.server.port}"])], input=b"SSH-2.0-probe\r\n"
        )
        assert done.stdout.startswith(b"SSH-2.0-") is allowed


@pytest.mark.parametrize(
    ("config", "allowed"),
    [
        ([], True),
        (["AllowAgentForwarding no"], False),
        (["AllowAgentForwarding no", "Match Address 127.0.0.1", "AllowAgentForwarding yes"], True),
        (["Match Group {user}", "DisableForwarding yes"], False),
    ],
    ids=lambda value: "; ".join(value) if isinstance(value, list) else None,
)
def test_agent_forwarding_by_user(
    serve: Serve, system_account: Account, config: list[str], allowed: bool
) -> None:
    both = serve(*(line.format(user=system_account.name) for line in config))
    for login in both.logins.values():
        command = login.ssh(flags=["-A"])
        done = run([require("ssh-agent"), *command, 'test -S "$SSH_AUTH_SOCK"'])
        assert done.returncode == (0 if allowed else 1)


@pytest.mark.parametrize("sessions", [0, 1])
def test_max_sessions_by_user(serve: Serve, system_account: Account, sessions: int) -> None:
    both = serve(f"Match User {system_account.name}", f"MaxSessions {sessions}")
    done = alike(both.ssh("echo in"))
    assert (done.returncode == 0) is bool(sessions)


def test_log_has_the_reason_of_every_refusal(serve: Serve, system_account: Account) -> None:
    both = serve(f"DenyUsers {system_account.name}")
    both.ssh("true", options=["BatchMode=yes"])
    log = both.logins["nacre"].server
    log.wait_for("reason=.*DenyUsers lists the user")
