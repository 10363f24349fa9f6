"""What OpenSSH's clients learn of the host keys of nacre's servers: certificates, and new keys."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interop.clients import Login
from interop.daemons import State, start_nacre
from interop.nacre_sshd import Configure, Logins, serving
from interop.programs import check, require, run

Line = Callable[[Path], str]


def line_of(key: Path) -> str:
    """Return type and base64 of the public half of a key."""
    return " ".join(key.with_suffix(".pub").read_text().split()[:2])


def learn(login: Login, *trusted: Path) -> set[str]:
    """Log in with OpenSSH's client, which updates its file; return the keys that it then has."""
    file = login.directory / "known_hosts"
    if trusted:
        where = f"[127.0.0.1]:{login.server.port}"
        file.write_text("".join(f"{where} {line_of(key)}\n" for key in trusted))
    check([*login.ssh("UpdateHostKeys=yes", "StrictHostKeyChecking=yes"), "true"])
    return {" ".join(line.split()[1:3]) for line in file.read_text().splitlines()}


def test_a_client_learns_and_forgets_keys_of_nacre_sshd(
    configure_sshd: Configure, sshd_login: Logins, host_keys: dict[str, Path]
) -> None:
    named = [host_keys["ed25519"], host_keys["ecdsa256"], host_keys["rsa"]]
    lines = [f"HostKey {key}" for key in named]
    with serving(configure_sshd(*lines)) as daemon:
        gone = host_keys["ecdsa384"]
        login = sshd_login(daemon)
        assert learn(login, host_keys["ed25519"], gone) == {line_of(key) for key in named}
        # With the RSA key the proof of that key has the algorithm of the key exchange.
        assert learn(login, host_keys["rsa"]) == {line_of(key) for key in named}


def test_a_key_is_replaced_by_another_one_of_its_type(
    configure_sshd: Configure,
    sshd_login: Logins,
    host_keys: dict[str, Path],
    keys: dict[str, Path],
) -> None:
    old, new = host_keys["ed25519"], keys["ed25519"]
    with serving(configure_sshd(f"HostKey {old}", f"HostKey {new}")) as daemon:
        assert learn(sshd_login(daemon), old) == {line_of(old), line_of(new)}


def test_a_client_learns_the_keys_of_nacre_serve(keys: dict[str, Path], tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.add_user("alice", keys=[keys["ed25519"].with_suffix(".pub")])
    with start_nacre(state) as daemon:
        login = Login(daemon, "alice", tmp_path, keys["ed25519"])
        made = sorted(state.path.glob("ssh_host_*_key"))
        assert len(made) == 3
        lines = [
            " ".join(check([require("ssh-keygen"), "-y", "-f", key]).decode().split()[:2])
            for key in made
        ]
        where = f"[127.0.0.1]:{daemon.port}"
        (tmp_path / "known_hosts").write_text(f"{where} {lines[0]}\n")
        assert learn(login) == set(lines)


@pytest.fixture
def agent() -> Iterator[str]:
    """OpenSSH's agent; the path of its socket."""
    started = check([require("ssh-agent"), "-s"]).decode()
    found = re.search(r"SSH_AUTH_SOCK=([^;]+);.*SSH_AGENT_PID=(\d+);", started, re.S)
    assert found is not None
    yield found[1]
    os.kill(int(found[2]), signal.SIGTERM)


def certify(ca: Path, key: Path, directory: Path, *options: str) -> Path:
    """Certify a host key; return the file of the certificate."""
    public = directory / f"{key.name}.pub"
    public.write_text(key.with_suffix(".pub").read_text())
    check([require("ssh-keygen"), "-q", "-s", ca, "-I", "host", "-h", *options, public])
    return directory / f"{key.name}-cert.pub"


def test_keys_and_certificates_that_an_agent_holds(
    sshd_login: Logins,
    host_keys: dict[str, Path],
    keys: dict[str, Path],
    tmp_path: Path,
    agent: str,
) -> None:
    certificate = certify(keys["ed25519"], host_keys["ed25519"], tmp_path, "-n", "127.0.0.1")
    lines = [f"HostKeyAgent {agent}", f"HostCertificate {certificate}", "PidFile none"]
    lines.append("ListenAddress 127.0.0.1")
    for name in ("ed25519", "ecdsa256"):
        check([require("ssh-add"), "-q", host_keys[name]], SSH_AUTH_SOCK=agent)
        public = tmp_path / f"held_{name}.pub"
        public.write_text(host_keys[name].with_suffix(".pub").read_text())
        lines.append(f"HostKey {public}")
    config = tmp_path / "sshd_config"
    config.write_text("\n".join(lines) + "\n")
    with serving(config) as daemon:
        login = sshd_login(daemon)
        wanted = {line_of(host_keys["ed25519"]), line_of(host_keys["ecdsa256"])}
        assert learn(login, host_keys["ed25519"]) == wanted
        assert enters_by_authority(login, keys["ed25519"])


def enters_by_authority(login: Login, ca: Path, *options: str) -> bool:
    """Tell whether OpenSSH's client trusts the server by the certificate authority alone."""
    (login.directory / "known_hosts").write_text(f"@cert-authority * {line_of(ca)}\n")
    words = ("StrictHostKeyChecking=yes", "UpdateHostKeys=no", *options)
    return run([*login.ssh(*words), "true"]).returncode == 0


CASES = {
    "good": (["-n", "127.0.0.1"], True),
    "no principals": ([], True),
    "another principal": (["-n", "elsewhere"], False),
    "expired": (["-n", "127.0.0.1", "-V", "20100101:20110101"], False),
    "not yet valid": (["-n", "127.0.0.1", "-V", "20990101:21000101"], False),
}


@pytest.mark.parametrize("case", CASES)
def test_certificates_are_taken_and_refused_as_those_of_sshd(
    case: str,
    configure_sshd: Configure,
    sshd_login: Logins,
    host_keys: dict[str, Path],
    keys: dict[str, Path],
    tmp_path: Path,
    authorized_keys: Path,
) -> None:
    options, trusted = CASES[case]
    certificate = certify(keys["ed25519"], host_keys["ed25519"], tmp_path, *options)
    line = f"HostCertificate {certificate}"
    with serving(configure_sshd(line)) as daemon:
        login = sshd_login(daemon)
        assert enters_by_authority(login, keys["ed25519"]) is trusted
        if not trusted:
            return
        # A certificate of another authority is none; the key itself is there beside it.
        assert not enters_by_authority(login, keys["rsa"])
        (tmp_path / "known_hosts").write_text(
            f"[127.0.0.1]:{daemon.port} {line_of(host_keys['ed25519'])}\n"
        )
        check([*login.ssh("StrictHostKeyChecking=yes"), "true"])


def test_certificates_of_every_family(
    configure_sshd: Configure,
    sshd_login: Logins,
    host_keys: dict[str, Path],
    keys: dict[str, Path],
    tmp_path: Path,
) -> None:
    lines = []
    kinds = [name for name in host_keys if name != "dsa"]
    for name in kinds:
        certificate = certify(keys["ecdsa256"], host_keys[name], tmp_path, "-n", "127.0.0.1")
        lines += [f"HostKey {host_keys[name]}", f"HostCertificate {certificate}"]
    with serving(configure_sshd(*lines)) as daemon:
        login = sshd_login(daemon)
        algorithms = [
            "ssh-ed25519",
            "ecdsa-sha2-nistp256",
            "ecdsa-sha2-nistp384",
            "ecdsa-sha2-nistp521",
            "rsa-sha2-256",
            "rsa-sha2-512",
        ]
        for name in algorithms:
            chosen = f"HostKeyAlgorithms={name}-cert-v01@openssh.com"
            assert enters_by_authority(login, keys["ecdsa256"], chosen), name


def test_a_certificate_that_can_not_be_used_is_told_and_ignored(
    configure_sshd: Configure, sshd_login: Logins, keys: dict[str, Path], tmp_path: Path
) -> None:
    stranger = certify(keys["ed25519"], keys["ecdsa256"], tmp_path)
    lines = [f"HostCertificate {stranger}", "HostCertificate /missing"]
    with serving(configure_sshd(*lines)) as daemon:
        daemon.wait_for("none of the host keys has this certificate")
        daemon.wait_for("HostCertificate: can't read /missing")
        check([*sshd_login(daemon).ssh(), "true"])
