"""``nacre serve --protocol 2,1``, and what the clients of SSH-1 need to log in there."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from interop.clients import PASSWORD
from interop.daemons import Daemon, State, start_nacre
from interop.programs import NACRE, check, require, run

OPENSSL = """\
openssl_conf = all
[all]
providers = providers
[providers]
default = on
legacy = on
[on]
activate = 1
"""
"""What OpenSSL 3 has to be told before it does what SSH-1 needs."""


@dataclass(frozen=True)
class SSH1:
    """A server that speaks SSH-1 too, and what the clients need to log in there.

    :ivar key: a key made by ``ssh-keygen1``; likewise ``puttys``, by ``puttygen``.
    """

    server: Daemon
    directory: Path
    key: Path
    puttys: Path
    environment: dict[str, Any]

    def using(self, key: Path) -> SSH1:
        return replace(self, key=key)

    def options(self, *more: str) -> list[str | Path]:
        words = ["StrictHostKeyChecking=no", f"UserKnownHostsFile={self.directory / 'known_hosts'}"]
        listed = [part for word in (*more, *words) for part in ("-o", word)]
        return ["-F", "none", "-1", *listed]

    def ssh1(self, *more: str, user: str = "any", key: bool = True) -> list[str | Path]:
        """Return the command line of ``ssh1`` up to the host."""
        identity = ["-i", self.key] if key else ["-o", "RSAAuthentication=no"]
        port = ["-p", str(self.server.port)]
        options = self.options("LogLevel=ERROR")
        return [require("ssh1"), *options, *port, *identity, *more, f"{user}@127.0.0.1"]

    def scp1(self) -> list[str | Path]:
        port = ["-P", str(self.server.port)]
        return [
            require("scp1"),
            "-S",
            require("ssh1"),
            *self.options(),
            *port,
            "-r",
            "-i",
            self.key,
        ]

    def putty(self, program: str, *more: str) -> list[str | Path]:
        """Return the command line of one of PuTTY's programs up to the host."""
        found = run(
            [require("ssh-keygen1"), "-l", "-E", "md5", "-f", self.directory / "known_hosts"],
            **self.environment,
        )
        fingerprint = found.stdout.decode().split()[1].removeprefix("MD5:")
        login = ["-batch", "-noagent", "-1", "-P", str(self.server.port), "-l", "any"]
        return [require(program), *login, "-hostkey", fingerprint, *more]

    def nacre(self, program: str, *more: str, key: bool = True) -> list[str | Path]:
        """Return the command line of one of nacre's programs up to the host."""
        port = ["-p" if program in ("ssh", "trace") else "-P", str(self.server.port)]
        options = self.options("StrictHostKeyChecking=yes")
        agent = ["-o", "IdentityAgent=none"]
        identity = [*agent, "-i", self.key] if key else ["-o", "PubkeyAuthentication=no"]
        return [*NACRE, program, *options, *port, *more, *identity]

    def asking(self, *answers: str) -> dict[str, Any]:
        """Return the environment in which ``ssh1`` gets its answers from a script."""
        script = self.directory / "askpass"
        script.write_text(f"#!/bin/sh\necho '{answers[0]}'\n")
        script.chmod(0o700)
        return {**self.environment, "SSH_ASKPASS": str(script), "DISPLAY": ":0"}


@contextmanager
def start_ssh1(directory: Path) -> Iterator[SSH1]:
    """Start ``nacre serve`` with both versions, users, and each client's keys."""
    (directory / "openssl.cnf").write_text(OPENSSL)
    environment = {"OPENSSL_CONF": str(directory / "openssl.cnf"), "HOME": str(directory)}
    key, puttys = directory / "identity", directory / "puttys"
    keygen = [require("ssh-keygen1"), "-q", "-t", "rsa1", "-b", "1024", "-N", "", "-f", key]
    check(keygen, **environment)
    made = [require("puttygen"), "-t", "rsa1", "-b", "1024", "-q", "-o", puttys]
    check([*made, "--new-passphrase", "/dev/null"])
    lines = directory / "puttys.pub"
    lines.write_bytes(check([require("puttygen"), puttys, "-L"]))
    state = State(directory / "state")
    for auth in ("any", "password-publickey"):
        public = [key.with_suffix(".pub"), lines]
        state.add_user(auth, password=PASSWORD, keys=public, auth=auth)
    state.add_user("files", keys=public, service="sftp")
    sessions = directory / ".putty" / "sessions"
    sessions.mkdir(parents=True)
    with start_nacre(state, "--protocol", "2,1", "--profile", "legacy") as server:
        found = SSH1(server, directory, key, puttys, environment)
        for cipher in ("3des", "blowfish", "des"):
            text = f"Protocol=ssh\nHostName=127.0.0.1\nPortNumber={server.port}\n"
            (sessions / cipher).write_text(f"{text}SshProt=0\nCipher={cipher},WARN\n")
        (sessions / "tis").write_text(f"{text}SshProt=0\nAuthTIS=1\n")
        # Its host key gets into known_hosts, where PuTTY's options are made of it.
        check([*found.ssh1(), "true"], **environment)
        yield found


BLOCK = random.Random(1995).randbytes(1 << 20)


def echo(command: list[str | Path], size: int, **env: str) -> None:
    data = BLOCK * (size >> 20)
    done = run(command, input=data, timeout=300, **env)
    assert done.returncode == 0, done.stderr.decode()
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


def tree(directory: Path) -> Path:
    """Make files to copy."""
    top = directory / "tree"
    (top / "below" / "deep").mkdir(parents=True)
    (top / "empty").write_bytes(b"")
    (top / "below" / "text").write_text("text\n")
    (top / "below" / "deep" / "much").write_bytes(BLOCK)
    return top


def home(ssh1: SSH1, tmp_path: Path) -> tuple[Path, str]:
    """Return where the user's files are, and a name there that no other test has."""
    return ssh1.directory / "home-any", f"up-{tmp_path.name}"


def contents(top: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()
    }
