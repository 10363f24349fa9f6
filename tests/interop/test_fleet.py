"""``nacre fleet`` with OpenSSH's server at each host."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from interop.clients import ME, Login
from interop.daemons import Daemon
from interop.programs import run


def fleet(login: Login, name: str, *words: str) -> tuple[dict[str, Any], int]:
    """Run it with a line of JSON for each host; return these by name, and the exit status."""
    options = [*login.options("HostName=127.0.0.1"), "-l", login.user, "--no-state", "--json"]
    program = [sys.executable, "-m", "nacre", "fleet", name, *options, *words]
    done = run(program)
    objects = map(json.loads, done.stdout.splitlines())
    return {one["host"]: one for one in objects}, done.returncode


def test_commands_scripts_and_files(
    sshd_with_sftp: Daemon, keys: dict[str, Path], tmp_path: Path
) -> None:
    login = Login(sshd_with_sftp, ME, tmp_path, keys["ed25519"])
    found, status = fleet(login, "run", "-H", "a[1-3]", "echo %{host}; exit 2")
    assert {name: (one["stdout"], one["exit_status"]) for name, one in found.items()} == {
        f"a{n}": (f"a{n}\n", 2) for n in (1, 2, 3)
    }
    assert status == 1

    file = tmp_path / "script"
    file.write_text('#!/bin/sh\necho "$1" >"$2"\n')
    made = tmp_path / "made"
    found, status = fleet(login, "script", "-H", "a", str(file), "'two words'", str(made))
    assert status == 0, found
    assert made.read_text() == "two words\n"

    data = tmp_path / "data"
    data.write_bytes(os.urandom(300_000))
    found, status = fleet(login, "copy", "-H", "a,b", str(data), f"{tmp_path}/%{{host}}.copy")
    assert status == 0, found
    assert (tmp_path / "b.copy").read_bytes() == data.read_bytes()
    found, status = fleet(login, "get", "-H", "a,b", str(data), str(tmp_path / "got"))
    assert status == 0, found
    assert (tmp_path / "got" / "a" / "data").read_bytes() == data.read_bytes()
