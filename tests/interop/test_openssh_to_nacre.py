"""OpenSSH's client logs in to ``nacre serve``."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from interop.clients import PASSWORD, Login, askpass
from interop.daemons import Daemon, State, start_nacre
from interop.programs import environment, run
from interop.suites import Suite, echo, echo_with_each, legacy_words, openssh_knows, openssh_suites
from interop.terminal import Terminal


@pytest.fixture(scope="module")
def legacy_server(
    keys: dict[str, Path], host_keys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    """``nacre serve`` with the legacy tier switched on and a host key of each type."""
    state = State(tmp_path_factory.mktemp("legacy") / "state")
    state.add_user("any", keys=[key.with_suffix(".pub") for key in keys.values()])
    for name in {"dsa", "ecdsa384", "ecdsa521"} & set(host_keys):
        key = state.path / f"ssh_host_{name}_key"
        key.write_bytes(host_keys[name].read_bytes())
        key.chmod(0o600)
    options = [word for option in legacy_words() for word in ("-o", option)]
    with start_nacre(state, *options) as daemon:
        yield daemon


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_algorithm(
    legacy_server: Daemon, to_nacre: Login, record_property: Callable[[str, object], None]
) -> None:
    login = replace(to_nacre, server=legacy_server)
    suites = openssh_suites()
    assert {"curve25519-sha256", "ssh-ed25519", "hmac-sha2-256"} <= {s.name for s in suites}
    table, failures = echo_with_each(suites, lambda words: login.ssh(*words))
    record_property("table: OpenSSH's client to nacre serve", table)
    assert not failures, "\n\n".join(failures)


def test_a_post_quantum_method_is_agreed_on(to_nacre: Login) -> None:
    """OpenSSH 9.0 to 9.8 has no ML-KEM; 9.9 prefers it."""
    done = run([*to_nacre.ssh("LogLevel=DEBUG1"), "true"])
    assert done.returncode == 0
    ml_kem = openssh_knows("kex", ["mlkem768x25519-sha256"])
    chosen = (ml_kem or ["sntrup761x25519-sha512"])[0]
    assert f"kex: algorithm: {chosen}\r\n".encode() in done.stderr


@pytest.mark.parametrize(
    "suite",
    [
        Suite("kex", "diffie-hellman-group1-sha1"),
        Suite("host key", "ssh-rsa"),
        Suite("cipher", "3des-cbc"),
        Suite("MAC", "hmac-md5"),
    ],
    ids=lambda suite: suite.name,
)
def test_legacy_only_when_named(to_nacre: Login, suite: Suite) -> None:
    done = run([*to_nacre.ssh(*suite.words(), "LogLevel=INFO"), "true"])
    assert done.returncode == 255
    assert b"no matching" in done.stderr


# --- authentication ---


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa256", "ecdsa384", "ecdsa521", "rsa"])
def test_publickey(to_nacre: Login, keys: dict[str, Path], kind: str) -> None:
    assert run([*to_nacre.using(keys[kind]).ssh(), "echo in"]).stdout == b"in\n"


@pytest.mark.parametrize("kind", ["dsa", "rsa"])
def test_legacy_publickey(
    legacy_server: Daemon, to_nacre: Login, keys: dict[str, Path], kind: str
) -> None:
    if kind not in keys:
        pytest.skip("this OpenSSH makes no DSA keys")
    word = f"PubkeyAcceptedAlgorithms={'ssh-dss' if kind == 'dsa' else 'ssh-rsa'}"
    login = replace(to_nacre, server=legacy_server, key=keys[kind])
    assert run([*login.ssh(word), "echo in"]).stdout == b"in\n"
    refused = run([*replace(to_nacre, key=keys[kind]).ssh(word, "BatchMode=yes"), "echo in"])
    assert refused.returncode == 255
    assert b"Permission denied" in refused.stderr


@pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
def test_typed_password(to_nacre: Login, tmp_path: Path, method: str) -> None:
    command = to_nacre.using(None).ssh(f"PreferredAuthentications={method}")
    done = run([*command, "echo in"], **askpass(tmp_path, "wrong", PASSWORD))
    assert done.stdout == b"in\n", done.stderr
    assert len((tmp_path / "asked").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("policy", "methods", "admitted"),
    [
        ("any", "password", True),
        ("any", "publickey", True),
        ("any", "keyboard-interactive", True),
        ("password", "password", True),
        ("password", "keyboard-interactive", True),
        ("password", "publickey", False),
        ("publickey", "publickey", True),
        ("publickey", "password", False),
        ("publickey", "keyboard-interactive", False),
        ("password-publickey", "password", False),
        ("password-publickey", "publickey", False),
        ("password-publickey", "publickey,password", True),
        ("password-publickey", "password,publickey", True),
        ("password-publickey", "publickey,keyboard-interactive", True),
        ("password-publickey", "keyboard-interactive,publickey", True),
    ],
)
def test_policy(to_nacre: Login, tmp_path: Path, policy: str, methods: str, admitted: bool) -> None:
    login = replace(to_nacre, user=policy)
    # OpenSSH leaves out a method at the first try where this many answers are refused.
    command = login.ssh(f"PreferredAuthentications={methods}", "NumberOfPasswordPrompts=1")
    if "publickey" not in methods:
        command = login.using(None).ssh(
            f"PreferredAuthentications={methods}", "NumberOfPasswordPrompts=1"
        )
    done = run([*command, "echo in"], **askpass(tmp_path, PASSWORD))
    if admitted:
        assert done.stdout == b"in\n", done.stderr
    else:
        assert done.returncode == 255
        assert b"Permission denied" in done.stderr


def test_partial_success_is_reported(to_nacre: Login, tmp_path: Path) -> None:
    login = replace(to_nacre, user="password-publickey")
    done = run([*login.ssh(flags=["-v"]), "true"], **askpass(tmp_path, PASSWORD))
    assert done.returncode == 0, done.stderr
    assert b"with partial success" in done.stderr


def test_unknown_user_looks_like_a_known_one(
    legacy_server: Daemon, to_nacre: Login, tmp_path: Path
) -> None:
    words = "PreferredAuthentications=password", "NumberOfPasswordPrompts=1"
    said = []
    for user in ("any", "nobody-has-this-name"):
        login = replace(to_nacre, server=legacy_server, user=user, key=None)
        done = run([*login.ssh(*words), "true"], **askpass(tmp_path, "wrong"))
        assert done.returncode == 255
        said.append(done.stderr.replace(user.encode(), b"USER"))
    assert said[0] == said[1]


def test_the_seventh_attempt_never_happens(to_nacre: Login, tmp_path: Path) -> None:
    words = "PreferredAuthentications=password", "NumberOfPasswordPrompts=20", "LogLevel=INFO"
    done = run([*to_nacre.using(None).ssh(*words), "true"], **askpass(tmp_path, "wrong"))
    assert done.returncode == 255
    assert len((tmp_path / "asked").read_text().splitlines()) == 6
    assert b"too many authentication failures" in done.stderr


# --- sessions ---


def test_exit_status_streams_and_end_of_input(to_nacre: Login) -> None:
    done = run([*to_nacre.ssh(), "wc -c; echo wrong >&2; exit 42"], input=b"12345")
    assert (done.stdout.strip(), done.stderr, done.returncode) == (b"5", b"wrong\n", 42)


def test_binary_data_comes_through_unchanged(to_nacre: Login) -> None:
    echo(to_nacre.ssh())


def test_command_killed_by_a_signal(to_nacre: Login) -> None:
    done = run([*to_nacre.ssh(flags=["-v"]), "kill -TERM $$"])
    assert done.returncode == 255
    assert b"exit-signal" in done.stderr


def test_command_ends_with_its_client(to_nacre: Login, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = f"echo $$ > {pid_file}; echo ready; exec cat"
    with subprocess.Popen(
        [*to_nacre.ssh(), script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(),
    ) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"ready\n"
        child = Path("/proc") / pid_file.read_text().strip()
        assert child.exists()
        client.send_signal(signal.SIGKILL)
    _wait_until_gone(child)


def _wait_until_gone(process: Path) -> None:
    waiting = subprocess.run(
        ["tail", "--pid", process.name, "-f", "/dev/null"], timeout=15, check=False
    )
    assert waiting.returncode == 0


def test_environment_by_allow_list(state: State, to_nacre: Login) -> None:
    with start_nacre(state, "-o", "AcceptEnv=NACRE_*") as server:
        command = replace(to_nacre, server=server).ssh("SetEnv=NACRE_A=1 OTHER=2")
        assert run([*command, "echo $NACRE_A-$OTHER-"]).stdout == b"1--\n"


def test_shell_without_terminal(to_nacre: Login) -> None:
    done = run(to_nacre.ssh(flags=["-T"]), input=b"echo $((40 + 2)); exit 5\n")
    assert b"42\n" in done.stdout
    assert done.returncode == 5


def test_shell_at_a_terminal_with_resize(to_nacre: Login) -> None:
    with Terminal(to_nacre.ssh(flags=["-tt"]), rows=24, columns=80) as terminal:
        # Two halves, so that the echo of what is typed is not taken for the answer.
        terminal.type("stty size; echo a''b; tty\n")
        terminal.expect("24 80")
        terminal.expect("ab")
        terminal.expect("/dev/pts/")
        terminal.type("trap 'echo resized to $(stty size)' WINCH; echo re''ady\n")
        terminal.expect("ready")
        terminal.resize(50, 132)
        terminal.type("\n")
        terminal.expect("resized to 50 132")
        # The shell has handed the terminal over before its child prints.
        terminal.type("sh -c \"echo go''ing; exec sleep 60\"\n")
        terminal.expect("going")
        terminal.type("\x03")
        terminal.expect(r"[$#] ")
        terminal.type("echo after''wards $TERM\n")
        terminal.expect("afterwards xterm")
        terminal.type("exit 3\n")
        assert terminal.wait() == 3


def test_password_at_a_terminal(to_nacre: Login) -> None:
    with Terminal(to_nacre.using(None).ssh()) as terminal:
        terminal.expect("assword: ?")
        terminal.type(PASSWORD + "\n")
        terminal.expect(r"[$#] ")
        terminal.type("echo at ho''me $HOME\n")
        terminal.expect("at home .*home-any")
        # Before its prompt the shell does not read the terminal in its own way.
        terminal.expect(r"[$#] ")
        terminal.type("\x04")
        assert terminal.wait() == 0


def test_many_sessions_share_a_connection(to_nacre: Login, tmp_path: Path) -> None:
    socket = f"ControlPath={tmp_path / 'c'}"
    master = to_nacre.ssh("ControlMaster=yes", socket, flags=["-N", "-f"])
    done = subprocess.run(
        master, env=environment(), timeout=30, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0
    try:
        for number in range(12):
            command = to_nacre.ssh(socket, "ControlMaster=no")
            assert run([*command, f"echo {number}"]).stdout == b"%d\n" % number
    finally:
        run(to_nacre.ssh(socket, flags=["-O", "exit"]))


def test_rekey_at_the_clients_will(to_nacre: Login) -> None:
    echo(to_nacre.ssh("RekeyLimit=64K"))


def test_keepalive_is_answered(to_nacre: Login) -> None:
    words = "ServerAliveInterval=1", "ServerAliveCountMax=1"
    assert run([*to_nacre.ssh(*words), "sleep 3.5; echo alive"]).stdout == b"alive\n"
