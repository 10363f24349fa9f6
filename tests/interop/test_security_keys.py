"""Keys on security keys: OpenSSH's programs, with the security key in software of its suite."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.clients import Account, Login
from interop.daemons import Daemon, State, start_nacre
from interop.nacre_sshd import Configure, serving
from interop.programs import NACRE, check, require, run, sk_dummy
from nacre.keys import dump_private, load_private, load_public
from nacre.keys.families.security_key import SecurityPrivateKey

TYPES = ("ed25519-sk", "ecdsa-sk")


@pytest.fixture(scope="module")
def provider() -> str:
    return sk_dummy()


_OURS = ("ecdsa-sk", "untouched")


@pytest.fixture(scope="module")
def security_keys(provider: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A key of each type, one that may sign without a touch, and one that verifies its user.

    Some of them are made by ssh-keygen, the others by ``nacre keygen``.
    """
    folder = tmp_path_factory.mktemp("security")
    wanted = {
        **{type: ["-t", type] for type in TYPES},
        "untouched": ["-t", "ed25519-sk", "-O", "no-touch-required"],
        "verified": ["-t", "ed25519-sk", "-O", "verify-required"],
    }
    made = {}
    for name, options in wanted.items():
        made[name] = folder / name
        tool = [*NACRE, "keygen"] if name in _OURS else [require("ssh-keygen")]
        words = [*tool, "-q", "-N", "", "-C", name, *options, "-f", made[name]]
        check(words, SSH_SK_PROVIDER=provider)
    return made


@pytest.mark.parametrize("name", TYPES)
def test_files_are_read_and_written(
    name: str, security_keys: dict[str, Path], tmp_path: Path
) -> None:
    path = security_keys[name]
    key = load_private(path.read_bytes())
    assert isinstance(key, SecurityPrivateKey)
    assert key.public == load_public(path.with_suffix(".pub").read_text())[0]
    ours = tmp_path / "ours"
    for passphrase in (None, "secret"):
        ours.write_bytes(dump_private(key, passphrase, rounds=1))
        ours.chmod(0o600)
        shown = check([require("ssh-keygen"), "-y", "-P", passphrase or "", "-f", ours])
        assert shown.decode() == f"{key.public} {name}\n"
    listed = [check([*tool, "-l", "-f", path]) for tool in (["ssh-keygen"], [*NACRE, "keygen"])]
    assert listed[0] == listed[1]


def enters(login: Login, provider: str, *options: str) -> bool:
    words = (f"SecurityKeyProvider={provider}", "BatchMode=yes", *options)
    return run([*login.ssh(*words), "true"]).returncode == 0


CASES = {
    # key, options in authorized_keys, whether it logs in
    "ed25519-sk": ("ed25519-sk", "", True),
    "ecdsa-sk": ("ecdsa-sk", "", True),
    "untouched": ("untouched", "", False),
    "a touch is not asked for": ("untouched", "no-touch-required ", True),
    "verified": ("verified", "verify-required ", True),
    "not verified": ("ed25519-sk", "verify-required ", False),
}


def test_logins_to_nacre_sshd(
    provider: str,
    security_keys: dict[str, Path],
    configure_sshd: Configure,
    system_account: Account,
    tmp_path: Path,
) -> None:
    keys = system_account.home / "security_keys"
    with serving(configure_sshd("AuthorizedKeysFile security_keys")) as daemon:
        for case, (name, options, succeeds) in CASES.items():
            line = security_keys[name].with_suffix(".pub").read_text()
            keys.write_text(f"{options}{line}")
            login = Login(daemon, system_account.name, tmp_path, security_keys[name])
            assert enters(login, provider) is succeeds, case


@pytest.fixture(scope="module")
def agent(provider: str, security_keys: dict[str, Path]) -> Iterator[str]:
    """OpenSSH's agent with the keys; the path of its socket."""
    started = check([require("ssh-agent"), "-s", "-P", "/usr/lib/*"]).decode()
    found = re.search(r"SSH_AUTH_SOCK=([^;]+);.*SSH_AGENT_PID=(\d+);", started, re.S)
    assert found is not None
    try:
        for type in TYPES:
            words = [require("ssh-add"), "-q", "-S", provider, security_keys[type]]
            check(words, SSH_AUTH_SOCK=found[1])
        yield found[1]
    finally:
        os.kill(int(found[2]), signal.SIGTERM)


@pytest.fixture(scope="module")
def store(
    security_keys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    """``nacre serve`` with a user who has both keys."""
    state = State(tmp_path_factory.mktemp("store") / "state")
    state.add_user("alice", keys=[security_keys[type].with_suffix(".pub") for type in TYPES])
    with start_nacre(state) as daemon:
        yield daemon


@pytest.mark.parametrize("name", TYPES)
def test_an_agent_signs_for_nacre_ssh(
    name: str,
    security_keys: dict[str, Path],
    agent: str,
    store: Daemon,
    sshd: Daemon,
    tmp_path: Path,
) -> None:
    public = security_keys[name].with_suffix(".pub")
    login = Login(store, "alice", tmp_path, public)
    check([*login.nacre_ssh("BatchMode=yes"), "true"], SSH_AUTH_SOCK=agent)


def test_nacre_ssh_signs_through_the_library(
    provider: str, security_keys: dict[str, Path], store: Daemon, tmp_path: Path
) -> None:
    login = Login(store, "alice", tmp_path, security_keys["ecdsa-sk"])
    option = f"SecurityKeyProvider={provider}"
    check([*login.nacre_ssh("BatchMode=yes", option), "true"])
    words = [*login.nacre_ssh("BatchMode=yes", "SecurityKeyProvider=$LIBRARY"), "true"]
    assert run(words, LIBRARY="/none.so").returncode == 255
    check(words, LIBRARY=provider)


def test_nacre_keygen_signs_through_the_library(
    provider: str, security_keys: dict[str, Path], keys: dict[str, Path], tmp_path: Path
) -> None:
    data, signers = tmp_path / "data", tmp_path / "signers"
    data.write_text("data")
    path = security_keys["ed25519-sk"]
    signers.write_text(f"me {path.with_suffix('.pub').read_text()}")
    check([*NACRE, "keygen", "-Y", "sign", "-w", provider, "-n", "file", "-f", path, data])
    words = ["-Y", "verify", "-n", "file", "-I", "me", "-f", signers, "-s", f"{data}.sig"]
    check([require("ssh-keygen"), *words], input=b"data")
    public = tmp_path / "subject.pub"
    public.write_text(keys["ed25519"].with_suffix(".pub").read_text())
    words = ["-q", "-s", path, "-I", "id", "-n", "a", public]
    check([*NACRE, "keygen", *words], SSH_SK_PROVIDER=provider)
    shown = check([require("ssh-keygen"), "-L", "-f", tmp_path / "subject-cert.pub"])
    assert b"Signing CA: ED25519-SK" in shown
    # It keeps no keys.
    done = run([*NACRE, "keygen", "-K", "-w", provider])
    assert (done.returncode, b"lacks what the key needs" in done.stderr) == (1, True)


@pytest.mark.parametrize("name", TYPES)
def test_certificates_and_authorities(
    name: str,
    provider: str,
    security_keys: dict[str, Path],
    keys: dict[str, Path],
    tmp_path: Path,
) -> None:
    """A certificate of such a key, and one that such a key has signed, are read alike."""
    for authority, subject in (
        (keys["ed25519"], security_keys[name]),
        (security_keys[name], keys["ed25519"]),
    ):
        public = tmp_path / "subject.pub"
        public.write_text(subject.with_suffix(".pub").read_text())
        words = [require("ssh-keygen"), "-q", "-s", authority, "-I", "id", "-n", "a", public]
        check(words, SSH_SK_PROVIDER=provider)
        certificate = tmp_path / "subject-cert.pub"
        listed = [
            check([*tool, "-L", "-f", certificate], TZ="UTC")
            for tool in (["ssh-keygen"], [*NACRE, "keygen"])
        ]
        assert listed[0] == listed[1]


def test_the_lists_of_both_programs_are_alike() -> None:
    for query in ("key", "key-plain", "key-cert", "key-sig", "sig"):
        theirs = set(check(["ssh", "-Q", query]).decode().split())
        ours = set(check([*NACRE, "ssh", "-Q", query]).decode().split())
        lacking = {one for one in theirs - ours if "xmss" not in one}
        assert not lacking, query
