"""nacre keyscan beside ssh-keyscan, at OpenSSH's, Dropbear's and nacre's servers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.daemons import Daemon, State, start_nacre, start_sshd
from interop.programs import NACRE, check, require, run

CASES = {
    "all": ["127.0.0.1"],
    "one type": ["-t", "ed25519", "127.0.0.1"],
    "two names": ["-4", "-t", "ed25519", "localhost,127.0.0.1"],
    "name list": ["-t", "ed25519", "127.0.0.1 a,b"],
    "upper case": ["-4", "-t", "ed25519", "LOCALHOST"],
    "certificates": ["-c", "127.0.0.1"],
    "records": ["-D", "-t", "ed25519,ecdsa", "127.0.0.1"],
    "no such key": ["-t", "ed25519-sk", "127.0.0.1"],
    "range": ["-t", "ed25519", "127.0.0.1/32"],
    "no such host": ["-t", "ed25519", "no-host.invalid"],
    "one of two": ["-t", "ed25519", "no-host.invalid", "127.0.0.1"],
}


def shown(done: subprocess.CompletedProcess[bytes]) -> tuple[int, list[str], list[str]]:
    """Return the exit status, the keys, and all else, in the order of their text: answers race.

    Comments are on standard output, as with OpenSSH 9.2; newer versions print them as errors.
    """
    out, err = (text.decode().splitlines() for text in (done.stdout, done.stderr))
    keys = sorted(line for line in out if not line.startswith(("#", ";")))
    return done.returncode, keys, sorted([*err, *(line for line in out if line not in keys)])


@pytest.fixture(scope="module")
def sshd_with_certificate(
    host_keys: dict[str, Path],
    keys: dict[str, Path],
    authorized_keys: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Daemon]:
    directory = tmp_path_factory.mktemp("certified")
    public = directory / "host.pub"
    public.write_text(host_keys["ed25519"].with_suffix(".pub").read_text())
    check([require("ssh-keygen"), "-q", "-s", keys["ed25519"], "-I", "host", "-h", public])
    lines = [f"HostCertificate {directory / 'host-cert.pub'}"]
    named = [host_keys[name] for name in ("ed25519", "ecdsa256", "rsa")]
    with start_sshd(directory, named, authorized_keys, *lines) as daemon:
        yield daemon


@pytest.mark.parametrize("case", CASES)
def test_both_print_the_same(case: str, sshd_with_certificate: Daemon) -> None:
    words = ["-p", sshd_with_certificate.port, *CASES[case]]
    theirs = shown(run([require("ssh-keyscan"), *words]))
    ours = shown(run([*NACRE, "keyscan", *words]))
    assert ours == theirs


def test_hosts_of_a_file_and_of_standard_input(
    sshd_with_certificate: Daemon, tmp_path: Path
) -> None:
    text = b"127.0.0.1 # one\n\n# two\n127.0.0.1 x,y\n"
    (tmp_path / "hosts").write_bytes(text)
    words = ["-p", sshd_with_certificate.port, "-t", "ed25519", "-f"]
    theirs = shown(run([require("ssh-keyscan"), *words, tmp_path / "hosts"]))
    assert shown(run([*NACRE, "keyscan", *words, tmp_path / "hosts"])) == theirs
    assert shown(run([*NACRE, "keyscan", *words, "-"], input=text)) == theirs


def test_hashed_names_are_found_by_ssh_keygen(
    sshd_with_certificate: Daemon, tmp_path: Path
) -> None:
    port = sshd_with_certificate.port
    found = check([*NACRE, "keyscan", "-H", "-t", "ed25519", "-p", port, "127.0.0.1"])
    file = tmp_path / "known_hosts"
    file.write_bytes(found)
    assert found.startswith(b"|1|")
    check([require("ssh-keygen"), "-F", f"[127.0.0.1]:{port}", "-f", file])


def test_both_scan_dropbear_and_nacre(
    dropbear: Daemon, state: State, host_keys: dict[str, Path]
) -> None:
    keys = [word for kind in ("rsa", "ed25519") for word in ("-o", f"HostKey={host_keys[kind]}")]
    with start_nacre(state, *keys) as nacre_server:
        for daemon in (dropbear, nacre_server):
            words = ["-p", daemon.port, "127.0.0.1"]
            theirs = shown(run([require("ssh-keyscan"), *words]))
            assert shown(run([*NACRE, "keyscan", *words])) == theirs
