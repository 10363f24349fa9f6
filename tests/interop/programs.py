"""Where the peers' programs are, and what a test does when one is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import pytest
from click.testing import CliRunner

from nacre.cli.subcommands import command as nacre

NACRE = [str(Path(sys.executable).parent / "nacre")]
"""nacre's command, as it is installed beside the interpreter that runs the tests."""

_PATH = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]
)


def missing(what: str) -> NoReturn:
    """Skip the test, or fail it where no peer may be missing."""
    said = f"{what} is not installed"
    if os.environ.get("NACRE_REQUIRE_PEERS"):
        pytest.fail(said)
    pytest.skip(said)


def require(program: str) -> str:
    """Return the program's path; without it skip, or fail where no peer may be missing."""
    return shutil.which(program, path=_PATH) or missing(program)


def sk_dummy() -> str:
    """Return the path of the library that stands for a security key in OpenSSH's own tests.

    It signs what the flags of the key's file ask for, without a touch or a PIN.
    """
    path = Path("/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so")
    return str(path) if path.exists() else missing("openssh-tests")


def environment(**more: str) -> dict[str, str]:
    """Return the tests' environment without what an agent or a session of its own brings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SSH_")}
    return {**kept, "LC_ALL": "C", "PATH": _PATH, **more}


def run(
    command: Iterable[object],
    *,
    input: bytes = b"",
    timeout: float = 60.0,
    **more_environment: str,
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end, its outputs captured; the exit status is for the caller."""
    return subprocess.run(
        [str(word) for word in command],
        input=input,
        capture_output=True,
        timeout=timeout,
        env=environment(**more_environment),
        check=False,
        start_new_session=True,
    )


def check(command: Iterable[object], **options: Any) -> bytes:
    """Run a command that must succeed, and return its standard output."""
    done = run(command, **options)
    assert done.returncode == 0, f"{done.args}: {done.returncode}\n{done.stderr.decode()}"
    return done.stdout


def manage(*words: object, typed: str = "") -> bytes:
    """Run a program that manages a server in this process, and return its standard output.

    A program of its own takes a second of processor time to start, and most tests need several.
    """
    done = CliRunner().invoke(nacre, [str(word) for word in words], input=typed)
    assert done.exit_code == 0, f"{words}: {done.exit_code}\n{done.output}"
    return done.stdout_bytes
