"""An account of this system, made for the tests."""

from __future__ import annotations

import fcntl
import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from daemon.store.postgres.cluster import Cluster, running_cluster
from nacre.daemon.accounts.virtual.requirements import REQUIREMENTS
from nacre.daemon.processes.pam import logins
from nacre.daemon.processes.pam.login import PAMLogin
from nacre.protocol.requirement import Requirement

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster of PostgreSQL for all tests of this folder."""
    with running_cluster() as found:
        yield found


def by_default(policy: str) -> Requirement:
    """Return what is required of users of a policy with the methods that are on by default."""
    off = {"hostbased", "gssapi-keyex", "gssapi-with-mic"}
    return tuple(one for one in REQUIREMENTS[policy] if not off & set(one))


@dataclass(frozen=True)
class SystemAccount:
    name: str
    password: str
    home: Path

    @property
    def uid(self) -> int:
        return pwd.getpwnam(self.name).pw_uid

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


@pytest.fixture
async def pam_logins(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[PAMLogin]]:
    """All processes of PAM that a test starts for connections; they end with it."""
    made: list[PAMLogin] = []

    class Noted(PAMLogin):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(self)

    monkeypatch.setattr(logins, "PAMLogin", Noted)
    yield made
    for login in made:
        login.close()
        await login.ended


@contextmanager
def _account(shared: Path, name: str) -> Iterator[SystemAccount]:
    if os.geteuid() != 0 or shutil.which("useradd", path=PATH) is None:
        pytest.skip("only root can make an account")
    password = secrets.token_hex(8)
    with _alone(shared):
        _call("useradd", "--create-home", "--shell", "/bin/sh", name)
    try:
        with _alone(shared):
            _call("chpasswd", typed=f"{name}:{password}\n")
        yield SystemAccount(name, password, Path(f"~{name}").expanduser())
    finally:
        with _alone(shared):
            _call("userdel", "--remove", "--force", name)


@pytest.fixture(scope="session")
def system_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemAccount]:
    with _account(tmp_path_factory.getbasetemp().parent, f"nacre-s{os.getpid()}") as account:
        yield account


@pytest.fixture(scope="session")
def other_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemAccount]:
    with _account(tmp_path_factory.getbasetemp().parent, f"nacre-d{os.getpid()}") as account:
        yield account
