"""An account of this system, made for the tests."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from nacre.daemon.accounts.policy import REQUIREMENTS
from nacre.protocol.asks import Requirement

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def by_default(policy: str) -> Requirement:
    """Return what is required of users of a policy where HostbasedAuthentication is off."""
    return tuple(one for one in REQUIREMENTS[policy] if "hostbased" not in one)


@dataclass(frozen=True)
class SystemAccount:
    name: str
    password: str
    home: Path

    def authorize(self, text: str) -> Path:
        """Put ``text`` into the account's authorized_keys."""
        file = self.home / ".ssh" / "authorized_keys"
        file.parent.mkdir(mode=0o700, exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_text(text)
        file.chmod(0o600)
        for path in (file.parent, file):
            shutil.chown(path, self.name)
        return file


def _call(*command: str, typed: str = "") -> None:
    subprocess.run(command, input=typed, text=True, check=True, timeout=30, env={"PATH": PATH})


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """useradd and userdel fail when another one is at work."""
    with (directory / "server-accounts.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def second_root(tmp_path: Path) -> Iterator[SystemAccount]:
    """An account with uid 0 that is not called root."""
    if os.geteuid() != 0 or shutil.which("useradd", path=PATH) is None:
        pytest.skip("only root can make an account")
    name, password = f"nacre-r{os.getpid()}", secrets.token_hex(8)
    shared, home = tmp_path.parent.parent, tmp_path / "home"
    home.mkdir(mode=0o700)
    with _alone(shared):
        _call("useradd", "--non-unique", "--uid", "0", "-M", "-d", str(home), "-s", "/bin/sh", name)
    try:
        with _alone(shared):
            _call("chpasswd", typed=f"{name}:{password}\n")
        yield SystemAccount(name, password, home)
    finally:
        with _alone(shared):
            _call("userdel", "--force", name)


@pytest.fixture(scope="session")
def system_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemAccount]:
    if os.geteuid() != 0 or shutil.which("useradd", path=PATH) is None:
        pytest.skip("only root can make an account")
    name, password = f"nacre-s{os.getpid()}", secrets.token_hex(8)
    shared = tmp_path_factory.getbasetemp().parent
    with _alone(shared):
        _call("useradd", "--create-home", "--shell", "/bin/sh", name)
    try:
        with _alone(shared):
            _call("chpasswd", typed=f"{name}:{password}\n")
        yield SystemAccount(name, password, Path(f"~{name}").expanduser())
    finally:
        with _alone(shared):
            _call("userdel", "--remove", "--force", name)
