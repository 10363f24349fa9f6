"""``nacre ca``: OpenSSH's programs get certificates, and log in and trust hosts by them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interop.clients import ME, PASSWORD, Account, Login, askpass
from interop.daemons import Daemon, State, start_nacre, start_sshd
from interop.programs import NACRE, check, manage, require, run

pytestmark = pytest.mark.interop

COMMAND = "nacre-certificate"
WAYS = {"gates": (), "none apart": ("--gates", "0"), "workers": ("--workers", "2")}


@pytest.fixture
def state(tmp_path: Path) -> State:
    found = State(tmp_path / "state")
    found.add_user("alice", password=PASSWORD)
    nacre(found, "ca", "init")
    nacre(found, "user", "set", "alice", "--certificate-valid", "8h")
    return found


@pytest.fixture
def server(state: State) -> Iterator[Daemon]:
    with start_nacre(state) as server:
        yield server


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "id"
    check([require("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "mine", "-f", path])
    return path


def nacre(state: State, *words: str | Path) -> str:
    return manage(*words, "--state", state.path).decode()


def certificate(path: Path) -> Path:
    return path.with_name(f"{path.name}-cert.pub")


def said(path: Path) -> str:
    """Return what ssh-keygen says of the certificate of a key."""
    return check([require("ssh-keygen"), "-L", "-f", certificate(path)]).decode()


def get(login: Login, key: Path | None, *options: str) -> tuple[int, bytes]:
    """Get a certificate with ssh and a password, as a person would; return status and error."""
    given = b"" if key is None else key.with_suffix(".pub").read_bytes()
    command = [*login.ssh(*options), COMMAND]
    done = run(command, input=given, **askpass(login.directory, PASSWORD))
    if key is not None and done.returncode == 0:
        certificate(key).write_bytes(done.stdout)
    return done.returncode, done.stderr


def gets_in(login: Login, *options: str) -> bool:
    done = run([*login.ssh("BatchMode=yes", *options), "echo", "in"])
    assert (done.returncode, done.stdout) in ((0, b"in\n"), (255, b"")), done.stderr
    return done.returncode == 0


@contextmanager
def other(directory: Path, *arguments: str) -> Iterator[Daemon]:
    """Start another server, which knows alice and none of her keys."""
    directory.mkdir()
    state = State(directory / "state")
    state.add_user("alice", password="another one")
    with start_nacre(state, *arguments) as server:
        yield server


def trust(state: State, directory: Path) -> tuple[str, str]:
    """Return the words with which a server trusts the authority, and its KRL."""
    krl = directory / "revoked"
    nacre(state, "ca", "krl", krl)
    return f"TrustedUserCAKeys={state.path}/ca/user_ca.pub", f"RevokedKeys={krl}"


@pytest.mark.parametrize("way", WAYS)
def test_a_certificate_after_a_login_by_password(
    state: State, key: Path, tmp_path: Path, way: str
) -> None:
    with start_nacre(state, *WAYS[way]) as server:
        assert get(Login(server, "alice", tmp_path), key) == (0, b"")
        server.wait_for("certificate .*serial=1 key_id=alice principals=alice")
    text = said(key)
    assert 'Key ID: "alice"' in text
    assert "Serial: 1\n" in text
    assert re.search(r"Principals: \n\s+alice\n\s+Critical Options: \(none\)", text)
    assert certificate(key).read_text().endswith(" mine\n")
    (listed,) = json.loads(nacre(state, "ca", "list", "--json"))
    assert (listed["serial"], listed["user"], listed["principals"]) == (1, "alice", ["alice"])
    assert (listed["kind"], listed["revoked"]) == ("user", None)


def test_it_logs_in_elsewhere_until_it_is_revoked(
    state: State, server: Daemon, key: Path, tmp_path: Path
) -> None:
    assert get(Login(server, "alice", tmp_path), key)[0] == 0
    words = [part for word in trust(state, tmp_path) for part in ("-o", word)]
    with other(tmp_path / "other", *words) as elsewhere:
        login = Login(elsewhere, "alice", tmp_path, key)
        assert gets_in(login)
        nacre(state, "ca", "revoke", "--user", "alice")
        assert gets_in(login)  # the other server has the KRL of before
        trust(state, tmp_path)
        assert not gets_in(login)
        elsewhere.wait_for("refused .*serial number 1 is revoked")


def test_sshd_takes_it_until_it_is_revoked(
    state: State, server: Daemon, key: Path, tmp_path: Path, host_keys: dict[str, Path]
) -> None:
    nacre(state, "user", "set", "alice", "--certificate-principals", f"%u,{ME}")
    assert get(Login(server, "alice", tmp_path), key)[0] == 0
    none = tmp_path / "authorized_keys"
    none.write_text("")
    words = [word.replace("=", " ") for word in trust(state, tmp_path)]
    with start_sshd(tmp_path, [host_keys["ed25519"]], none, *words) as sshd:
        login = Login(sshd, ME, tmp_path, key)
        assert gets_in(login)
        nacre(state, "ca", "revoke", "--serial", "1")
        trust(state, tmp_path)
        assert not gets_in(login)
        # The next one is another one.
        assert get(Login(server, "alice", tmp_path), key)[0] == 0
        assert gets_in(login)


def test_who_is_not_named_and_what_has_ended_do_not_log_in(
    state: State, server: Daemon, key: Path, tmp_path: Path
) -> None:
    login = Login(server, "alice", tmp_path)
    nacre(state, "user", "set", "alice", "--certificate-principals", "bob")
    assert get(login, key)[0] == 0
    words = [part for word in trust(state, tmp_path) for part in ("-o", word)]
    with other(tmp_path / "other", *words) as elsewhere:
        there = Login(elsewhere, "alice", tmp_path, key)
        assert not gets_in(there)
        elsewhere.wait_for("alice is not among the certificate's principals")
        sign = [require("ssh-keygen"), "-q", "-s", state.path / "ca" / "user_ca", "-I", "alice"]
        past = ["-n", "alice", "-V", "20200101:20210101", key.with_suffix(".pub")]
        check([*sign, *past])
        assert not gets_in(there)
        elsewhere.wait_for("the certificate has expired")


def test_the_server_trusts_its_own_authority_where_it_is_told_to(
    state: State, key: Path, tmp_path: Path
) -> None:
    nacre(state, "ca", "sign-user", "--key", key, "alice")
    with start_nacre(state) as server:
        assert not gets_in(Login(server, "alice", tmp_path, key))
    with start_nacre(state, "--trust-own-ca") as server:
        login = Login(server, "alice", tmp_path, key)
        assert gets_in(login)
        done = run([*login.ssh(), COMMAND], input=b"")
        assert done.returncode == 1
        assert b"by a certificate alone" in done.stderr
        nacre(state, "ca", "revoke", "--key-id", "alice")
        assert not gets_in(login)


def test_the_key_of_the_login_and_what_it_permits(
    state: State, server: Daemon, key: Path, tmp_path: Path
) -> None:
    public = key.with_suffix(".pub")
    nacre(state, "user", "key", "add", "alice", "--options", "restrict,pty", public)
    login = Login(server, "alice", tmp_path, key)
    done = run([*login.ssh(flags=["-n"]), COMMAND])
    assert done.returncode == 0, done.stderr
    certificate(key).write_bytes(done.stdout)
    assert re.search(r"Extensions: \n\s+permit-pty\n\Z", said(key))
    nacre(state, "user", "key", "add", "alice", "--options", 'from="127.0.0.0/8"', public)
    done = run([*login.ssh(flags=["-n"]), COMMAND])
    assert done.returncode == 1
    assert b"the login is bound by from=" in done.stderr


def test_what_a_group_says_of_certificates(
    state: State, server: Daemon, key: Path, tmp_path: Path
) -> None:
    options = ["--certificate-principals", "%u,web", "--certificate-valid", "90m"]
    more = ["--certificate-option", "no-pty", "--certificate-option", "force-command=date -u"]
    nacre(state, "group", "add", "staff", *options, *more)
    login = Login(server, "alice", tmp_path)
    nacre(state, "user", "set", "alice", "--certificate-valid", "none", "--group", "staff")
    status, error = get(login, key)
    assert (status, b"no certificates are issued to alice" in error) == (1, True)
    nacre(state, "user", "set", "alice", "--inherit", "certificate-valid")
    assert get(login, key)[0] == 0
    text = said(key)
    assert re.search(r"Principals: \n\s+alice\n\s+web\n", text)
    assert "force-command date -u\n" in text
    assert "permit-pty" not in text
    (listed,) = json.loads(nacre(state, "ca", "list", "--json"))
    assert listed["key_id"] == "alice"


def test_a_certificate_ends_with_its_user(
    state: State, server: Daemon, key: Path, tmp_path: Path
) -> None:
    nacre(state, "user", "set", "alice", "--expires", "+1h")
    assert get(Login(server, "alice", tmp_path), key)[0] == 0
    (user,) = json.loads(nacre(state, "user", "list", "--json"))
    (listed,) = json.loads(nacre(state, "ca", "list", "--json"))
    assert listed["valid_before"] == user["expires"]


def test_nacre_gets_one_and_renews_it_when_it_is_due(
    state: State, server: Daemon, key: Path, tmp_path: Path
) -> None:
    nacre(state, "user", "key", "add", "alice", key.with_suffix(".pub"))
    known = f"UserKnownHostsFile={tmp_path}/known_hosts"
    command = [
        *(*NACRE, "ca", "get", "-i", key, "-p", str(server.port), "-F", "none"),
        *("-o", known, "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes"),
        *("-o", "IdentitiesOnly=yes", "--if-needed", "alice@127.0.0.1"),
    ]
    check(command)
    assert "Serial: 1\n" in said(key)
    assert certificate(key).stat().st_mode & 0o777 == 0o644
    check(command)
    assert "Serial: 1\n" in said(key)
    sign = [require("ssh-keygen"), "-q", "-s", state.path / "ca" / "user_ca", "-I", "alice"]
    check([*sign, "-n", "alice", "-V", "-2h:+30m", key.with_suffix(".pub")])
    check(command)
    assert "Serial: 2\n" in said(key)
    nacre(state, "user", "set", "alice", "--certificate-valid", "none")
    done = run([word for word in command if word != "--if-needed"])
    assert done.returncode == 1
    assert b"no certificates are issued to alice" in done.stderr
    assert "Serial: 2\n" in said(key)


def test_a_user_with_files_alone_gets_one(state: State, key: Path, tmp_path: Path) -> None:
    nacre(state, "user", "set", "alice", "--service", "sftp")
    with start_nacre(state) as server:
        assert get(Login(server, "alice", tmp_path), key) == (0, b"")
        done = run(
            [*Login(server, "alice", tmp_path).ssh(), f"{COMMAND} x"],
            **askpass(tmp_path, PASSWORD),
        )
        assert (done.returncode, done.stdout) != (0, b"")


def test_ssh_believes_a_host_by_its_certificate(state: State, key: Path, tmp_path: Path) -> None:
    host_key = tmp_path / "host"
    check([require("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", host_key])
    nacre(state, "ca", "sign-host", "--key", host_key, "127.0.0.1", "server.example.com")
    text = said(host_key)
    assert "host certificate" in text
    assert re.search(r"Principals: \n\s+127.0.0.1\n\s+server.example.com\n", text)
    words = ["-o", f"HostKey={host_key}", "-o", f"HostCertificate={certificate(host_key)}"]
    nacre(state, "user", "key", "add", "alice", key.with_suffix(".pub"))
    lines = nacre(state, "ca", "show").splitlines()
    (line,) = (line for line in lines if line.startswith("@cert-authority "))
    known = tmp_path / "trusted"
    known.write_text(line.replace("*.example.com", "*") + "\n")
    with start_nacre(state, *words) as server:
        login = Login(server, "alice", tmp_path, key)
        strict = ("StrictHostKeyChecking=yes", f"UserKnownHostsFile={known}")
        assert gets_in(login, *strict)
        known.write_text("")
        done = run([*login.ssh("BatchMode=yes", *strict), "true"])
        assert done.returncode == 255


@pytest.mark.skipif(os.geteuid() != 0, reason="only root serves the accounts of the system")
def test_accounts_of_the_system_get_none(
    keys: dict[str, Path], system_account: Account, tmp_path: Path
) -> None:
    where = ["--state", str(tmp_path / "state"), "--listen", "127.0.0.1:0"]
    with Daemon("nacre serve", [*NACRE, "serve", "--users", "system", *where]) as server:
        server.port = int(server.wait_for(r"^listening on .*:(\d+)$")[1])
        login = Login(server, system_account.name, tmp_path, keys["ed25519"])
        done = run([*login.ssh(), COMMAND])
    assert done.returncode == 1
    assert b"the users of the store alone" in done.stderr
