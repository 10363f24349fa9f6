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


def test_hosts_hand_files_on(sshd_with_sftp: Daemon, keys: dict[str, Path], tmp_path: Path) -> None:
    login = Login(sshd_with_sftp, ME, tmp_path, keys["ed25519"])
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    (tree / "file").write_bytes(os.urandom(3_000_000))
    (tree / "below" / "two words").write_bytes(b"small")
    (tree / "below" / "two words").chmod(0o751)
    target = f"{tmp_path}/%{{host}}.copy"
    words = ["-r", "--preserve", "--fanout", "1", "-H", "a[1-3]", str(tree), target]
    found, status = fleet(login, "copy", *words)
    assert status == 0, found
    # The first has them from here, and the last may: this machine is then free again.
    assert {one["reason"][:-1] for one in found.values()} == {"", "handed on by a"}
    for name in found:
        copy = tmp_path / f"{name}.copy"
        assert (copy / "file").read_bytes() == (tree / "file").read_bytes()
        assert (copy / "below" / "two words").read_bytes() == b"small"
        assert (copy / "below" / "two words").stat().st_mode & 0o777 == 0o751
        assert sorted(one.name for one in copy.iterdir()) == ["below", "file"]
