"""``nacre ssh`` logs in to OpenSSH's server."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from interop.clients import Account, Login
from interop.daemons import Daemon, start_sshd
from interop.programs import environment, run
from interop.suites import echo, echo_with_each, openssh_knows, server_suites
from interop.terminal import Terminal


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_algorithm(to_sshd: Login, record_property: Callable[[str, object], None]) -> None:
    suites = server_suites(to_sshd.server.port)
    assert {"curve25519-sha256", "ssh-ed25519", "hmac-sha2-256"} <= {s.name for s in suites}
    table, failures = echo_with_each(suites, lambda words: to_sshd.nacre_ssh(*words))
    record_property("table: nacre ssh to OpenSSH's server", table)
    assert not failures, "\n\n".join(failures)


def test_a_post_quantum_method_is_agreed_on(to_sshd: Login) -> None:
    """OpenSSH 9.0 to 9.8 has no ML-KEM; 9.9 prefers it."""
    done = run([*to_sshd.nacre_ssh("LogLevel=DEBUG"), "true"])
    assert done.returncode == 0
    chosen = re.search(rb"kex: algorithm: (\S+)", done.stderr)
    assert chosen is not None
    ml_kem = openssh_knows("kex", ["mlkem768x25519-sha256"])
    assert chosen[1].decode() == (ml_kem or ["sntrup761x25519-sha512"])[0]
    assert b"post-quantum" not in done.stderr


@pytest.mark.parametrize(
    ("words", "warned"),
    [
        ([], True),
        (["WarnWeakCrypto=yes"], True),
        (["WarnWeakCrypto=no"], False),
        (["WarnWeakCrypto=no-pq-kex"], False),
        (["LogLevel=ERROR"], False),
    ],
)
def test_a_classic_method_is_warned_of_once(to_sshd: Login, words: list[str], warned: bool) -> None:
    """Each login rekeys: the warning is for the connection, not for each exchange."""
    kex = ["KexAlgorithms=curve25519-sha256", "RekeyLimit=16K"]
    command = to_sshd.nacre_ssh(*words, *kex, "LogLevel=INFO")
    done = run([*command, "head -c 100000 /dev/zero"])
    assert len(done.stdout) == 100_000
    assert done.stderr.count(b"post-quantum") == warned, done.stderr
    assert (b"curve25519-sha256" in done.stderr) is warned
    assert (b"-o WarnWeakCrypto=no-pq-kex hides this" in done.stderr) is warned


def test_nothing_in_common_names_both_lists(
    host_keys: dict[str, Path], authorized_keys: Path, to_sshd: Login, tmp_path: Path
) -> None:
    only = "KexAlgorithms diffie-hellman-group1-sha1"
    with start_sshd(tmp_path, [host_keys["ed25519"]], authorized_keys, only) as server:
        # As with ssh, the level of the message is INFO.
        done = run([*replace(to_sshd, server=server).nacre_ssh("LogLevel=INFO"), "true"])
    assert done.returncode == 255
    assert b"diffie-hellman-group1-sha1" in done.stderr
    assert b"curve25519-sha256" in done.stderr


# --- authentication ---


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa256", "ecdsa384", "ecdsa521", "rsa"])
def test_publickey(to_sshd: Login, keys: dict[str, Path], kind: str) -> None:
    done = run([*to_sshd.using(keys[kind]).nacre_ssh(), "echo in"])
    assert done.stdout == b"in\n", done.stderr


@pytest.mark.parametrize("algorithm", ["ssh-dss", "ssh-rsa"])
def test_legacy_publickey(to_sshd: Login, keys: dict[str, Path], algorithm: str) -> None:
    kind = {"ssh-dss": "dsa", "ssh-rsa": "rsa"}[algorithm]
    if kind not in keys:
        pytest.skip("this OpenSSH makes no DSA keys")
    word = f"PubkeyAcceptedAlgorithms={algorithm}"
    done = run([*to_sshd.using(keys[kind]).nacre_ssh(word), "echo in"])
    assert done.stdout == b"in\n", done.stderr


@pytest.fixture
def with_password(sshd: Daemon, system_account: Account, tmp_path: Path) -> Login:
    return Login(sshd, system_account.name, tmp_path)


def test_password(with_password: Login, system_account: Account) -> None:
    command = with_password.nacre_ssh("PreferredAuthentications=password")
    with Terminal([*command, "echo i''n"]) as terminal:
        terminal.expect("assword: ?")
        terminal.type("wrong\n")
        terminal.expect("assword: ?")
        terminal.type(system_account.password + "\n")
        terminal.expect("in\r\n")
        assert terminal.wait() == 0
        assert system_account.password not in terminal.shown


def test_keyboard_interactive(
    system_account: Account,
    host_keys: dict[str, Path],
    authorized_keys: Path,
    tmp_path: Path,
) -> None:
    with start_sshd(
        tmp_path,
        [host_keys["ed25519"]],
        authorized_keys,
        "UsePAM yes",
        "AuthenticationMethods keyboard-interactive:pam",
    ) as server:
        command = Login(server, system_account.name, tmp_path).nacre_ssh()
        with Terminal([*command, "echo i''n"]) as terminal:
            terminal.expect("assword: ?")
            terminal.type(system_account.password + "\n")
            terminal.expect("in\r\n")
            assert terminal.wait() == 0


@pytest.mark.parametrize("order", ["publickey,password", "password,publickey"])
def test_both_methods_with_partial_success(
    system_account: Account,
    host_keys: dict[str, Path],
    keys: dict[str, Path],
    tmp_path: Path,
    order: str,
) -> None:
    both = f"AuthenticationMethods {order}"
    authorized = system_account.home / ".ssh" / "authorized_keys"
    with start_sshd(tmp_path, [host_keys["ed25519"]], authorized, both) as server:
        login = Login(server, system_account.name, tmp_path, keys["ed25519"])
        with Terminal([*login.nacre_ssh(), "echo i''n"]) as terminal:
            terminal.expect("assword: ?")
            terminal.type(system_account.password + "\n")
            terminal.expect("in\r\n")
            assert terminal.wait() == 0


def test_passphrase_is_asked_for(to_sshd: Login, keys: dict[str, Path], tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.write_bytes(keys["ed25519"].read_bytes())
    locked.chmod(0o600)
    lock = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "open sesame", "-f", locked]
    assert run(lock).returncode == 0
    with Terminal([*to_sshd.using(locked).nacre_ssh(), "echo i''n"]) as terminal:
        terminal.expect("assphrase")
        terminal.type("open sesame\n")
        terminal.expect("in\r\n")
        assert terminal.wait() == 0


def test_refused_login_says_what_was_tried(to_sshd: Login, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    assert run(["ssh-keygen", "-q", "-N", "", "-t", "ed25519", "-f", stranger]).returncode == 0
    done = run([*to_sshd.using(stranger).nacre_ssh("BatchMode=yes", "LogLevel=DEBUG1"), "true"])
    assert done.returncode == 255
    assert b"Permission denied (publickey" in done.stderr
    assert str(stranger).encode() in done.stderr


# --- host keys ---


def test_known_hosts_trusts_at_first_and_stops_at_change(
    host_keys: dict[str, Path],
    keys: dict[str, Path],
    authorized_keys: Path,
    to_sshd: Login,
    tmp_path: Path,
) -> None:
    known = tmp_path / "known"

    def words(strict: str) -> list[str]:
        return [f"UserKnownHostsFile={known}", f"StrictHostKeyChecking={strict}"]

    with start_sshd(tmp_path, [host_keys["ed25519"]], authorized_keys) as server:
        login = replace(to_sshd, server=server)
        with Terminal([*login.nacre_ssh(*words("ask")), "echo i''n"]) as terminal:
            terminal.expect(r"SHA256:\S+")
            terminal.expect(r"yes/no")
            terminal.type("yes\n")
            terminal.expect("in\r\n")
            assert terminal.wait() == 0
        assert f"[127.0.0.1]:{server.port}".encode() in known.read_bytes()
        again = run([*login.nacre_ssh(*words("yes")), "echo in"])
        assert again.stdout == b"in\n", again.stderr
        # OpenSSH reads what nacre wrote.
        assert run([*login.ssh(*words("yes")), "echo in"]).stdout == b"in\n"
        # The host shows another key than the one it was known by.
        other = keys["ed25519"].with_suffix(".pub").read_text()
        known.write_text(f"[127.0.0.1]:{server.port} {other}")
        for strict in ("yes", "ask", "accept-new", "no"):
            changed = run([*login.nacre_ssh(*words(strict), "LogLevel=INFO"), "true"])
            assert b"changed" in changed.stderr.lower()
            assert str(known).encode() in changed.stderr
            assert changed.returncode == (0 if strict == "no" else 255)


# --- sessions ---


def test_exit_status_streams_and_end_of_input(to_sshd: Login) -> None:
    done = run([*to_sshd.nacre_ssh(), "wc -c; echo wrong >&2; exit 42"], input=b"12345")
    assert (done.stdout.strip(), done.stderr, done.returncode) == (b"5", b"wrong\n", 42)


def test_command_killed_by_a_signal(to_sshd: Login) -> None:
    assert run([*to_sshd.nacre_ssh(), "kill -KILL $$"]).returncode == 255


def test_binary_data_comes_through_unchanged(to_sshd: Login) -> None:
    echo(to_sshd.nacre_ssh())


def test_rekey_limit(to_sshd: Login) -> None:
    echo(to_sshd.nacre_ssh("RekeyLimit=64K"))


def test_no_input_is_read_with_n(to_sshd: Login) -> None:
    assert run([*to_sshd.nacre_ssh(flags=["-n"]), "wc -c"], input=b"123").stdout.strip() == b"0"


def test_environment_is_sent(to_sshd: Login) -> None:
    words = "SetEnv=NACRE_A=1", "SendEnv=NACRE_B*"
    done = run([*to_sshd.nacre_ssh(*words), "echo $NACRE_A-$NACRE_BB"], NACRE_BB="2")
    assert done.stdout == b"1-2\n", done.stderr


@pytest.mark.usefixtures("terminal_from_sshd")
def test_shell_at_a_terminal_with_resize(to_sshd: Login) -> None:
    with Terminal(to_sshd.nacre_ssh(flags=["-tt"]), rows=24, columns=80) as terminal:
        terminal.expect(r"[$#] ")
        terminal.type("exec sh\n")
        terminal.expect_size(24, 80)
        terminal.resize(50, 132)
        terminal.expect_size(50, 132)
        # The shell has handed the terminal over before its child prints.
        terminal.type("sh -c \"echo go''ing; exec sleep 60\"\n")
        terminal.expect("going")
        terminal.type("\x03")
        terminal.expect(r"[$#] ")
        terminal.type("echo after''wards $TERM\n")
        terminal.expect("afterwards xterm")
        terminal.type("exit 3\n")
        assert terminal.wait() == 3


@pytest.mark.usefixtures("terminal_from_sshd")
def test_escapes(to_sshd: Login) -> None:
    with Terminal(to_sshd.nacre_ssh(flags=["-tt"])) as terminal:
        terminal.type("echo re''ady\n")
        terminal.expect("ready")
        terminal.type("\r~?")
        terminal.expect(r"~\.")
        terminal.type("\r~.")
        assert terminal.wait() == 255


@pytest.mark.usefixtures("terminal_from_sshd")
def test_terminal_is_as_before_afterwards(to_sshd: Login, tmp_path: Path) -> None:
    command = " ".join(f"'{word}'" for word in to_sshd.nacre_ssh(flags=["-tt"]))
    before = tmp_path / "before"
    script = f"stty -a > {before}; {command} true; stty -a | cmp - {before} && echo same"
    with Terminal(["sh", "-c", script]) as terminal:
        terminal.expect("same")
        terminal.wait()


def test_connection_lost_is_255(
    host_keys: dict[str, Path], authorized_keys: Path, to_sshd: Login, tmp_path: Path
) -> None:
    with (
        start_sshd(tmp_path, [host_keys["ed25519"]], authorized_keys) as server,
        subprocess.Popen(
            [*replace(to_sshd, server=server).nacre_ssh(), "echo $PPID; cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        ) as client,
    ):
        assert client.stdout is not None
        handler = int(client.stdout.readline())
        run(["kill", "-KILL", str(handler)])
        _, said = client.communicate(timeout=20)
    assert client.returncode == 255
    assert said


def test_nobody_listens(to_sshd: Login) -> None:
    command = to_sshd.nacre_ssh()
    command[command.index("-p") + 1] = "1"
    done = run([*command, "true"])
    assert done.returncode == 255
    assert b"127.0.0.1" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("level", ["QUIET", "FATAL", "ERROR"])
def test_loglevel_makes_ssh_silent_about_the_same(
    to_sshd: Login, keys: dict[str, Path], tmp_path: Path, level: str
) -> None:
    other = keys["ecdsa256"].with_suffix(".pub").read_text()
    (tmp_path / "changed").write_text(f"[127.0.0.1]:{to_sshd.server.port} {other}")
    cases = {
        "nobody listens": ("HostName=127.0.0.2",),
        "the key has changed": (
            f"UserKnownHostsFile={tmp_path}/changed",
            "StrictHostKeyChecking=yes",
        ),
        "not let in": ("PreferredAuthentications=password", "BatchMode=yes"),
        # One that ends before ssh has written to it makes ssh say nothing, one time in ten.
        "the proxy ends": ("ProxyCommand=sh -c 'read line'",),
    }
    for name, options in cases.items():
        every = (f"LogLevel={level}", *options)
        theirs, ours = (run([*make(*every), "true"]) for make in (to_sshd.ssh, to_sshd.nacre_ssh))
        assert bool(ours.stderr) == bool(theirs.stderr), (name, theirs.stderr, ours.stderr)
        assert ours.returncode == theirs.returncode == 255, name


def test_trace_shows_the_phases(to_sshd: Login) -> None:
    ssh = to_sshd.nacre_ssh()
    done = run(["trace" if word == "ssh" else word for word in ssh])
    assert done.returncode == 0, done.stderr
    shown = done.stdout.decode()
    for word in ("KEXINIT", "curve25519-sha256", "SHA256:", "USERAUTH_SUCCESS", "OpenSSH"):
        assert word in shown
