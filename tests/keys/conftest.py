from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from nacre.keys import PrivateKey, generate

Keygen = Callable[..., str]


@pytest.fixture(scope="session")
def ssh_keygen() -> str:
    """Return the path of the real ssh-keygen."""
    program = shutil.which("ssh-keygen")
    if program is None:
        pytest.skip("ssh-keygen is not installed")
    return program


@pytest.fixture(scope="session")
def keygen(ssh_keygen: str) -> Keygen:
    """Run the real ssh-keygen and return what it prints."""

    def run(*arguments: str | Path) -> str:
        done = subprocess.run(
            [ssh_keygen, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=30,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def openssh_types() -> frozenset[str]:
    """Return the types of keys that the installed OpenSSH has: version 10 has no DSA."""
    program = shutil.which("ssh")
    if program is None:
        pytest.skip("ssh is not installed")
    done = subprocess.run(
        [program, "-Q", "key"], capture_output=True, text=True, timeout=30, check=True
    )
    return frozenset(done.stdout.split())


@pytest.fixture(scope="session")
def key_of() -> Callable[[str], PrivateKey]:
    """Return one private key of each type, made once."""
    made: dict[str, PrivateKey] = {}

    def key(type: str) -> PrivateKey:
        if type not in made:
            bits = 1024 if type == "ssh-rsa" else None
            made[type] = generate(type, bits=bits, comment=f"a {type} key")
        return made[type]

    return key
