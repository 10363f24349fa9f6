"""Keys that ``nacre keygen`` makes, in the hands of others; and theirs in its."""

from __future__ import annotations

from pathlib import Path

import pytest

from interop.clients import Login
from interop.daemons import State, start_nacre
from interop.programs import NACRE, check, require, run
from interop.ssh1_peers import SSH1

KEYGEN = [*NACRE, "keygen"]

TYPES = {
    "ed25519": ["-t", "ed25519"],
    "ecdsa256": ["-t", "ecdsa"],
    "ecdsa384": ["-t", "ecdsa", "-b", "384"],
    "ecdsa521": ["-t", "ecdsa", "-b", "521"],
    "rsa": ["-t", "rsa", "-b", "2048"],
}

both = pytest.mark.parametrize("passphrase", ["", "secret words"])


def words(line: bytes) -> list[str]:
    return line.decode().split()


@both
@pytest.mark.parametrize("type", TYPES)
def test_ours_are_read_by_ssh_keygen(tmp_path: Path, type: str, passphrase: str) -> None:
    key = tmp_path / "key"
    check([*KEYGEN, "-q", *TYPES[type], "-N", passphrase, "-C", "me here", "-f", key])
    keygen = require("ssh-keygen")
    public = key.with_suffix(".pub").read_bytes()
    assert check([keygen, "-y", "-P", passphrase, "-f", key]) == public
    for options in (["-l"], ["-l", "-E", "md5"]):
        ours = check([*KEYGEN, *options, "-f", key])
        assert ours == check([keygen, *options, "-f", key.with_suffix(".pub")])
        assert b"me here" in ours


@both
@pytest.mark.parametrize("type", TYPES)
def test_theirs_are_read_by_ours(tmp_path: Path, type: str, passphrase: str) -> None:
    key = tmp_path / "key"
    keygen = require("ssh-keygen")
    check([keygen, "-q", *TYPES[type], "-N", passphrase, "-C", "me here", "-f", key])
    public = key.with_suffix(".pub").read_bytes()
    assert check([*KEYGEN, "-y", "-P", passphrase, "-f", key]) == public
    # Changed by ours, it is still theirs.
    check([*KEYGEN, "-q", "-p", "-P", passphrase, "-N", "new words", "-f", key])
    check([*KEYGEN, "-q", "-c", "-P", "new words", "-C", "you", "-f", key])
    expected = [*words(public)[:2], "you"]
    assert words(check([keygen, "-y", "-P", "new words", "-f", key])) == expected
    assert words(key.with_suffix(".pub").read_bytes()) == expected


@both
def test_puttygen_reads_ours(tmp_path: Path, passphrase: str) -> None:
    key = tmp_path / "key"
    check([*KEYGEN, "-q", "-N", passphrase, "-C", "me", "-f", key])
    (tmp_path / "passphrase").write_text(passphrase)
    old = ["--old-passphrase", tmp_path / "passphrase"]
    shown = check([require("puttygen"), key, "-L", *old])
    assert words(shown)[:2] == words(key.with_suffix(".pub").read_bytes())[:2]


def test_ours_logs_in(tmp_path: Path) -> None:
    key = tmp_path / "key"
    check([*KEYGEN, "-q", "-N", "", "-f", key])
    state = State(tmp_path / "state")
    state.add_user("any", keys=[key.with_suffix(".pub")])
    with start_nacre(state) as server:
        login = Login(server, "any", tmp_path, key)
        assert run([*login.ssh(), "exit 3"]).returncode == 3
        assert run([*login.nacre_ssh(), "exit 4"]).returncode == 4


# --- RSA1 ---


@both
def test_ssh_keygen1_and_puttygen_read_ours(tmp_path: Path, ssh1: SSH1, passphrase: str) -> None:
    key = tmp_path / "key"
    public = key.with_suffix(".pub")
    check([*KEYGEN, "-q", "-t", "rsa1", "-b", "1024", "-N", passphrase, "-C", "me", "-f", key])
    keygen = require("ssh-keygen1")
    line = check([keygen, "-y", "-P", passphrase, "-f", key], **ssh1.environment)
    assert words(line) == words(public.read_bytes())[:3]
    (tmp_path / "passphrase").write_text(passphrase)
    puttys = [require("puttygen"), key, "-L", "--old-passphrase", tmp_path / "passphrase"]
    assert words(check(puttys)) == words(public.read_bytes())
    for options in (["-l"], ["-l", "-E", "md5"]):
        shown = [check([*KEYGEN, *options, "-f", file]) for file in (key, public)]
        theirs = check([keygen, *options, "-f", public], **ssh1.environment)
        assert shown == [theirs, theirs]


@both
def test_ours_reads_those_of_ssh_keygen1(tmp_path: Path, ssh1: SSH1, passphrase: str) -> None:
    key = tmp_path / "key"
    made = [require("ssh-keygen1"), "-q", "-t", "rsa1", "-b", "1024", "-C", "me", "-f", key]
    check([*made, "-N", passphrase], **ssh1.environment)
    assert check([*KEYGEN, "-y", "-P", passphrase, "-f", key]) == (
        key.with_suffix(".pub").read_bytes()
    )
    check([*KEYGEN, "-q", "-p", "-P", passphrase, "-N", "new words", "-f", key])
    shown = [require("ssh-keygen1"), "-y", "-P", "new words", "-f", key]
    assert (
        words(check(shown, **ssh1.environment)) == words(key.with_suffix(".pub").read_bytes())[:3]
    )


@both
def test_ours_reads_those_of_puttygen(tmp_path: Path, passphrase: str) -> None:
    key = tmp_path / "key"
    (tmp_path / "passphrase").write_text(passphrase)
    made = [require("puttygen"), "-t", "rsa1", "-b", "1024", "-q", "-C", "me", "-o", key]
    check([*made, "--new-passphrase", tmp_path / "passphrase"])
    theirs = [require("puttygen"), key, "-L", "--old-passphrase", tmp_path / "passphrase"]
    assert check([*KEYGEN, "-y", "-P", passphrase, "-f", key]) == check(theirs)


def test_an_rsa1_key_of_ours_logs_in(tmp_path: Path, ssh1: SSH1) -> None:
    key = tmp_path / "key"
    check([*KEYGEN, "-q", "-t", "rsa1", "-N", "", "-f", key])
    add = [*NACRE, "user", "key", "add", "any", key.with_suffix(".pub")]
    check([*add, "--state", ssh1.directory / "state"])
    ours = ssh1.using(key)
    clients = [
        [*ours.ssh1(), "exit 3"],
        [*ours.putty("plink", "-i", str(key)), "127.0.0.1", "exit 3"],
        [*ours.nacre("ssh"), "any@127.0.0.1", "exit 3"],
    ]
    for command in clients:
        since = len(ssh1.server.log)
        done = run(command, **ssh1.environment)
        assert done.returncode == 3, done.stderr.decode()
        ssh1.server.wait_for("method=publickey .*outcome=success", since=since)
