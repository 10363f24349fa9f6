"""``nacre-sshd`` with a configuration of its own, and logins to it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interop.clients import Account, Login
from interop.daemons import Daemon

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
    with Daemon("nacre-sshd", [SSHD, "-D", "-e", "-f", config, "-p", "0", *options]) as daemon:
        daemon.port = int(daemon.wait_for(r"^listening on .*:(\d+)$")[1])
        yield daemon


@pytest.fixture
def sshd_login(
    system_account: Account, keys: dict[str, Path], tmp_path: Path
) -> Callable[[Daemon], Login]:
    return lambda daemon: Login(daemon, system_account.name, tmp_path, keys["ed25519"])


def until_gone(pid: int) -> None:
    """Wait for the end of a process that is nobody's child here."""
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, f"{pid} did not end"
        time.sleep(0.01)
