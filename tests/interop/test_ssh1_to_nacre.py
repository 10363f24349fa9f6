"""OpenSSH's last client of SSH-1 and PuTTY's log in to ``nacre serve --protocol 2,1``."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from interop.clients import PASSWORD, Login
from interop.daemons import State, start_nacre
from interop.programs import NACRE, check, run
from interop.ssh1_peers import BLOCK, SSH1, contents, echo, home, tree
from interop.terminal import Terminal

# --- OpenSSH's ---


def test_a_key_streams_and_status(ssh1: SSH1) -> None:
    command = [*ssh1.ssh1(), "cat; echo wrong >&2; exit 7"]
    done = run(command, input=b"in\n", **ssh1.environment)
    assert (done.stdout, done.stderr, done.returncode) == (b"in\n", b"wrong\n", 7)


@pytest.mark.parametrize("way", ["password", "TIS"])
@pytest.mark.parametrize(("answer", "status"), [(PASSWORD, 3), ("wrong", 255)])
def test_a_password(ssh1: SSH1, way: str, answer: str, status: int) -> None:
    off = "PasswordAuthentication" if way == "TIS" else "ChallengeResponseAuthentication"
    options = ["-o", f"{off}=no", "-o", "NumberOfPasswordPrompts=1"]
    done = run([*ssh1.ssh1(*options, key=False), "exit 3"], **ssh1.asking(answer))
    assert done.returncode == status, done.stderr.decode()


@pytest.mark.parametrize("key", [True, False])
def test_either_method_is_enough_for_who_needs_both(ssh1: SSH1, key: bool) -> None:
    command = [*ssh1.ssh1(user="password-publickey", key=key), "exit 4"]
    assert run(command, **ssh1.asking(PASSWORD)).returncode == 4


@pytest.mark.parametrize("options", [[], ["-C"], ["-c", "des"]])
def test_a_megabyte_comes_back(ssh1: SSH1, options: list[str]) -> None:
    echo([*ssh1.ssh1(*options), "cat"], 1 << 20, **ssh1.environment)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_eight_mebibytes_come_back(ssh1: SSH1) -> None:
    echo([*ssh1.ssh1(), "cat"], 8 << 20, **ssh1.environment)


def test_a_shell_at_a_terminal_with_resize(ssh1: SSH1) -> None:
    with Terminal(ssh1.ssh1("-tt"), rows=24, columns=80, **ssh1.environment) as terminal:
        terminal.expect_size(24, 80)
        terminal.resize(33, 101)
        terminal.expect_size(33, 101)
        terminal.type("echo a''b; exit 5\n")
        terminal.expect("ab")
        assert terminal.wait() == 5


def test_scp1_copies_a_tree_both_ways(ssh1: SSH1, tmp_path: Path) -> None:
    top = tree(tmp_path)
    (there, up), back = home(ssh1, tmp_path), tmp_path / "back"
    check([*ssh1.scp1(), top, f"any@127.0.0.1:{up}"], **ssh1.environment)
    assert contents(there / up) == contents(top)
    check([*ssh1.scp1(), f"any@127.0.0.1:{up}", back], **ssh1.environment)
    assert contents(back) == contents(top)


# --- PuTTY's ---


def test_plink_with_a_password(ssh1: SSH1) -> None:
    command = [*ssh1.putty("plink", "-pw", PASSWORD), "127.0.0.1", "cat; echo wrong >&2; exit 6"]
    done = run(command, input=b"in\n", **ssh1.environment)
    assert (done.stdout, done.stderr, done.returncode) == (b"in\n", b"wrong\n", 6)


def test_plink_with_a_wrong_password(ssh1: SSH1) -> None:
    command = [*ssh1.putty("plink", "-pw", "wrong"), "127.0.0.1", "exit 6"]
    assert run(command, **ssh1.environment).returncode == 1


def test_plink_with_a_key(ssh1: SSH1) -> None:
    command = [*ssh1.putty("plink", "-i", str(ssh1.puttys)), "127.0.0.1", "exit 6"]
    done = run(command, **ssh1.environment)
    assert done.returncode == 6, done.stderr.decode()


def test_plink_with_a_challenge(ssh1: SSH1) -> None:
    command = [word for word in ssh1.putty("plink") if word != "-batch"]
    since = len(ssh1.server.log)
    with Terminal(
        [*command, "-no-antispoof", "-load", "tis", "-T", "exit 6"], **ssh1.environment
    ) as terminal:
        terminal.expect("Password: ")
        terminal.type(PASSWORD + "\n")
        assert terminal.wait() == 6
    ssh1.server.wait_for("method=keyboard-interactive .*outcome=success", since=since)


@pytest.mark.parametrize("cipher", ["3des", "blowfish", "des"])
def test_plink_with_each_cipher(ssh1: SSH1, cipher: str) -> None:
    since = len(ssh1.server.log)
    echo(
        [*ssh1.putty("plink", "-pw", PASSWORD, "-T", "-load", cipher), "cat"],
        1 << 20,
        **ssh1.environment,
    )
    ssh1.server.wait_for(f"cipher_in={cipher} cipher_out={cipher}", since=since)


@pytest.mark.parametrize("options", [[], ["-C"]])
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_sixteen_mebibytes_through_plink(ssh1: SSH1, options: list[str]) -> None:
    """With Blowfish: plink takes eight seconds of computing for as much with 3DES."""
    command = [*ssh1.putty("plink", "-pw", PASSWORD, "-load", "blowfish", *options), "cat"]
    echo(command, 16 << 20, **ssh1.environment)


@pytest.mark.parametrize("options", [[], ["-C"]])
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_sixteen_mebibytes_to_plink_alone(ssh1: SSH1, options: list[str], tmp_path: Path) -> None:
    """They come faster than it reads: a packet that it holds a part of must not stop it."""
    there, name = home(ssh1, tmp_path)
    data = BLOCK * 16
    (there / name).write_bytes(data)
    plink = ssh1.putty("plink", "-pw", PASSWORD, "-load", "blowfish", *options)
    shown = check([*plink, f"cat {name}"], timeout=60, **ssh1.environment)
    (there / name).unlink()
    assert hashlib.sha256(shown).digest() == hashlib.sha256(data).digest()


def test_plink_at_a_terminal_with_resize(ssh1: SSH1) -> None:
    command = [*ssh1.putty("plink", "-pw", PASSWORD, "-t"), "127.0.0.1"]
    with Terminal(command, rows=24, columns=80, **ssh1.environment) as terminal:
        terminal.expect_size(24, 80)
        terminal.resize(33, 101)
        terminal.expect_size(33, 101)
        terminal.type("exit 5\n")
        assert terminal.wait() == 5


def test_pscp_copies_a_tree_both_ways(ssh1: SSH1, tmp_path: Path) -> None:
    top = tree(tmp_path)
    (there, up), back = home(ssh1, tmp_path), tmp_path / "back"
    pscp = ssh1.putty("pscp", "-pw", PASSWORD, "-q", "-r")
    check([*pscp, top, f"127.0.0.1:{up}"], timeout=60, **ssh1.environment)
    assert contents(there / up) == contents(top)
    check([*pscp, f"127.0.0.1:{up}", back], timeout=60, **ssh1.environment)
    assert contents(back) == contents(top)


def test_psftp_copies_a_tree_both_ways(ssh1: SSH1, tmp_path: Path) -> None:
    """Over an SSH-1 command: psftp looks for a server of SFTP itself."""
    top = tree(tmp_path)
    (there, up), back = home(ssh1, tmp_path), tmp_path / "back"
    script = tmp_path / "script"
    script.write_text(f"put -r {top} {up}\nget -r {up} {back}\nquit\n")
    psftp = ssh1.putty("psftp", "-pw", PASSWORD, "-b", str(script))
    check([*psftp, "127.0.0.1"], timeout=60, **ssh1.environment)
    assert contents(there / up) == contents(top)
    assert contents(back) == contents(top)


# --- our client ---


def test_our_client(ssh1: SSH1, tmp_path: Path) -> None:
    options = ["-F", "none", "-1", "-p", str(ssh1.server.port), "-i", str(ssh1.key)]
    options += ["-o", "StrictHostKeyChecking=yes"]
    options += ["-o", f"UserKnownHostsFile={ssh1.directory / 'known_hosts'}"]
    command = [*NACRE, "ssh", *options, "any@127.0.0.1", "cat; echo wrong >&2; exit 7"]
    done = run(command, input=b"in\n")
    assert (done.stdout, done.returncode) == (b"in\n", 7)
    assert b"SSH-1 is weak" in done.stderr
    assert done.stderr.endswith(b"wrong\n")


def test_our_client_by_default(ssh1: SSH1, tmp_path: Path) -> None:
    """It has SSH-2 with a server that speaks both, and no key for it."""
    options = ["-F", "none", "-p", str(ssh1.server.port), "-i", str(ssh1.key), "-v"]
    options += ["-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={tmp_path / 'known'}"]
    done = run([*NACRE, "ssh", *options, "-o", "BatchMode=yes", "any@127.0.0.1", "true"])
    assert done.returncode == 255
    assert b"SSH-1.99-" in done.stderr
    assert b"SSH-1 is weak" not in done.stderr


@pytest.mark.parametrize("protocol", ["2", "2,1"])
def test_what_the_programs_load(
    tmp_path: Path, keys: dict[str, Path], monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    """Nothing of SSH-1 by default, in a server and a client that were used."""
    state = State(tmp_path / "state")
    state.add_user("any", keys=[keys["ed25519"].with_suffix(".pub")])
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    spoken = [] if protocol == "2" else ["-o", f"Protocol={protocol}"]
    with start_nacre(state, *spoken) as server:
        login = Login(server, "any", tmp_path, keys["ed25519"])
        done = run([*login.nacre_ssh(), *spoken, "exit 3"])
        assert done.returncode == 3
        loaded = (done.stderr.decode(), "\n".join(server.log))
    for shown in loaded:
        assert "nacre.ssh2.engine" in shown
        assert ("nacre.ssh1" in shown) is (protocol != "2")
