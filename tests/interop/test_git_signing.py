"""git with ``gpg.format=ssh`` and ``gpg.ssh.program=nacre-ssh-keygen``."""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from interop.agents import agent
from interop.programs import check, require, run
from nacre.keys import Certificate, dump_private, generate
from nacre.keys.signed.revocation import RevocationList

KEY = generate("ssh-ed25519")
RSA = generate("ssh-rsa", bits=2048)
CA = generate("ecdsa-sha2-nistp256")
PROGRAM = Path(sys.executable).parent / "nacre-ssh-keygen"


class Repository:
    """A repository whose commits are signed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environment: dict[str, Any] = {"HOME": str(path), "GIT_CONFIG_NOSYSTEM": "1"}
        for name, key in (("key", KEY), ("rsa", RSA)):
            (path / name).write_bytes(dump_private(key))
            (path / name).chmod(0o600)
            (path / f"{name}.pub").write_text(f"{key.public} me\n")
        lines = [f'me@x namespaces="git" {KEY.public}', f"me@x {RSA.public}"]
        (path / "allowed").write_text("\n".join([*lines, f"*@x cert-authority {CA.public}\n"]))
        self("init", "-q")
        for name, setting in {
            "user.name": "me",
            "user.email": "me@x",
            "gpg.format": "ssh",
            "gpg.ssh.program": str(PROGRAM),
            "gpg.ssh.allowedSignersFile": str(path / "allowed"),
            "user.signingKey": str(path / "key"),
        }.items():
            self("config", name, setting)

    def run(self, *words: str) -> CompletedProcess[bytes]:
        return run([require("git"), "-C", self.path, *words], **self.environment)

    def __call__(self, *words: str) -> str:
        command = [require("git"), "-C", self.path, *words]
        return check(command, **self.environment).decode()

    def commit(self) -> None:
        self("commit", "-q", "--allow-empty", "-S", "-m", "a message")

    @property
    def verdict(self) -> str:
        """What git tells of the last commit's signature: a letter, the signer, the key."""
        return self("log", "-1", "--format=%G? %GS %GK").strip()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    require(str(PROGRAM))
    return Repository(tmp_path)


def test_commits_and_tags_are_signed_and_verified(repository: Repository) -> None:
    repository.commit()
    done = repository.run("verify-commit", "HEAD")
    assert done.returncode == 0, done.stderr
    fingerprint = KEY.public.fingerprint()
    assert done.stderr.decode() == (
        f'Good "git" signature for me@x with ED25519 key {fingerprint}\n'
    )
    assert repository.verdict == f"G me@x {fingerprint}"
    repository("tag", "-s", "-m", "a tag", "v1")
    assert repository.run("verify-tag", "v1").returncode == 0
    # OpenSSH's program agrees.
    repository("config", "gpg.ssh.program", require("ssh-keygen"))
    assert repository.run("verify-commit", "HEAD").returncode == 0
    repository.commit()
    repository("config", "gpg.ssh.program", str(PROGRAM))
    assert repository.verdict == f"G me@x {fingerprint}"


def test_a_key_is_a_literal_in_an_agent(repository: Repository) -> None:
    with agent() as socket:
        repository.environment["SSH_AUTH_SOCK"] = socket
        check([require("ssh-add"), "-q", repository.path / "rsa"], SSH_AUTH_SOCK=socket)
        (repository.path / "rsa").unlink()
        repository("config", "user.signingKey", f"key::{RSA.public}")
        repository.commit()
    assert repository.verdict == f"G me@x {RSA.public.fingerprint()}"


def test_a_certificate_signs(repository: Repository) -> None:
    path = repository.path / "key-cert.pub"
    path.write_text(f"{Certificate.issue(KEY.public, CA, principals=['me@x'])}\n")
    repository("config", "user.signingKey", str(path))
    repository.commit()
    done = repository.run("verify-commit", "HEAD")
    assert done.returncode == 0, done.stderr
    assert b"for me@x with ED25519-CERT key" in done.stderr


def test_signatures_that_are_not_accepted(repository: Repository) -> None:
    repository.commit()
    revoked = RevocationList()
    revoked.add_key(KEY.public)
    (repository.path / "krl").write_bytes(revoked.encode(0))
    repository("config", "gpg.ssh.revocationFile", str(repository.path / "krl"))
    assert repository.run("verify-commit", "HEAD").returncode != 0
    repository("config", "--unset", "gpg.ssh.revocationFile")
    (repository.path / "allowed").write_text(f"me@x {CA.public}\n")
    assert repository.verdict.split()[0] == "U"
    assert repository.run("verify-commit", "HEAD").returncode != 0
