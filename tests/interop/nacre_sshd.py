"""``nacre-sshd`` with a configuration of its own, and logins to it.

Who is not root can't start it. There ``nacre serve`` has the same configuration, and a user of its
own, so that the words of the configuration are met as well.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interop.clients import PASSWORD, Login
from interop.daemons import Daemon, State
from interop.programs import NACRE

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts nacre-sshd")

SSHD = str(Path(sys.executable).parent / "nacre-sshd")


Configure = Callable[..., Path]
Logins = Callable[[Daemon], Login]


@pytest.fixture
def configure_sshd(tmp_path: Path, host_keys: dict[str, Path]) -> Configure:
    """Write a configuration and return its file; of one keyword the first line counts."""

    def write(*lines: str) -> Path:
        path = tmp_path / "sshd_config"
        usual = (f"HostKey {host_keys['ed25519']}", "ListenAddress 127.0.0.1", "PidFile none")
        path.write_text("\n".join([*lines, *usual]) + "\n")
        return path

    return write


@contextmanager
def serving(config: Path, *options: str) -> Iterator[Daemon]:
    command = [SSHD, "-D", "-e", "-p", "0"]
    if os.geteuid() != 0:
        state = str(config.parent / "state")
        command = [*NACRE, "serve", "--state", state, "--listen", "127.0.0.1:0"]
    with Daemon("nacre-sshd", [*command, "-f", config, *options]) as daemon:
        daemon.port = int(daemon.wait_for(r"^listening on .*:(\d+)$")[1])
        yield daemon


@pytest.fixture
def sshd_login(
    request: pytest.FixtureRequest, keys: dict[str, Path], tmp_path: Path
) -> Callable[[Daemon], Login]:
    if os.geteuid() == 0:
        name = request.getfixturevalue("system_account").name
    else:
        name, public = "user", [key.with_suffix(".pub") for key in keys.values()]
        State(tmp_path / "state").add_user(name, password=PASSWORD, keys=public)
    return lambda daemon: Login(daemon, name, tmp_path, keys["ed25519"])


def until_gone(pid: int) -> None:
    """Wait for the end of a process that is nobody's child here."""
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, f"{pid} did not end"
        time.sleep(0.01)
