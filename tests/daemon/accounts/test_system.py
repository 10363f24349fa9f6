"""The accounts of this system: their keys, their passwords, their state."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.conftest import PATH, SystemAccount
from nacre.daemon.accounts import pam, shadow, system
from nacre.daemon.accounts.accounts import find_account
from nacre.daemon.accounts.authorized import read_authorized_keys
from nacre.daemon.accounts.policy import REQUIREMENTS
from nacre.daemon.accounts.system import SystemPolicy
from nacre.errors import AccountError
from nacre.keys import PublicKey, generate
from nacre.keys.rsa1 import RSA1PublicKey
from nacre.protocol.requests import PtyRequest, Shell

KEY = generate("ssh-ed25519").public
OTHER = generate("ssh-ed25519").public
PTY = PtyRequest("xterm", 80, 24, 0, 0, b"")


class Connection:
    def __init__(self, address: str = "192.0.2.1") -> None:
        self.peer = (address, 40000)
        self.reasons: list[str] = []

    def record(self, event: str, **fields: object) -> None:
        self.reasons.append(str(fields["reason"]))


class Session:
    def __init__(self, user: str, connection: Connection) -> None:
        self.user = user
        self.connection = connection


@pytest.fixture
def policy() -> Iterator[Any]:
    policy = SystemPolicy()
    yield policy
    policy.close()


def keys_of(account: SystemAccount) -> list[object]:
    return [
        entry.key for keys in read_authorized_keys(find_account(account.name)) for entry in keys
    ]


# --- authorized_keys ---


def test_keys_are_read(system_account: SystemAccount) -> None:
    system_account.authorize(f"# mine\n{KEY} one\n{OTHER} two\n")
    assert keys_of(system_account) == [KEY, OTHER]
    assert os.geteuid() == 0


def test_no_file_is_no_key(system_account: SystemAccount) -> None:
    system_account.authorize("").unlink()
    assert keys_of(system_account) == []


@pytest.mark.parametrize("what", ["file", "directory", "home"])
def test_what_others_can_write_does_not_count(system_account: SystemAccount, what: str) -> None:
    file = system_account.authorize(f"{KEY}\n")
    path = {"file": file, "directory": file.parent, "home": system_account.home}[what]
    before = path.stat().st_mode
    path.chmod(before | 0o020)
    try:
        with pytest.raises(AccountError, match="others can write"):
            keys_of(system_account)
    finally:
        path.chmod(before & 0o7777)


def test_what_another_account_owns_does_not_count(system_account: SystemAccount) -> None:
    file = system_account.authorize(f"{KEY}\n")
    file.chmod(0o644)
    shutil.chown(file, "nobody")
    with pytest.raises(AccountError, match="belongs neither to"):
        keys_of(system_account)


def test_link_to_what_the_user_can_not_read(system_account: SystemAccount, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{KEY}\n")
    secret.chmod(0o600)
    file = system_account.authorize("")
    file.unlink()
    file.symlink_to(secret)
    with pytest.raises(AccountError, match="can't read"):
        keys_of(system_account)


def test_link_within_the_home_is_followed(system_account: SystemAccount) -> None:
    file = system_account.authorize(f"{KEY}\n")
    real = file.rename(system_account.home / "keys")
    file.symlink_to(real)
    assert keys_of(system_account) == [KEY]
    real.unlink()


def test_fifo_and_directory_do_not_count(system_account: SystemAccount) -> None:
    file = system_account.authorize("")
    for make in (os.mkfifo, os.mkdir):
        file.unlink() if file.is_file() else None
        make(file, 0o700)
        shutil.chown(file, system_account.name)
        with pytest.raises(AccountError, match="no regular file"):
            keys_of(system_account)
        file.rmdir() if file.is_dir() else file.unlink()


def test_rights_come_back_in_every_thread(system_account: SystemAccount, tmp_path: Path) -> None:
    system_account.authorize(f"{KEY}\n" * 50)
    secret = tmp_path / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    stop = threading.Event()
    failures: list[object] = []

    def read() -> None:
        while not stop.is_set():
            try:
                keys_of(system_account)
                secret.read_text()
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(300):
        secret.read_text()
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []


# --- passwords ---


@pytest.fixture(params=["pam", "shadow"])
def refusal(request: pytest.FixtureRequest) -> Callable[[str, str | None, str], str | None]:
    if request.param == "pam":
        if not pam.available():
            pytest.skip("this system has no PAM")
        return pam.refusal
    return shadow.refusal


@pytest.mark.slow
def test_password(
    system_account: SystemAccount, refusal: Callable[[str, str | None, str], str | None]
) -> None:
    assert refusal(system_account.name, system_account.password, "192.0.2.1") is None
    for password in ("wrong", system_account.password + "\0", "\udcff"):
        assert refusal(system_account.name, password, "192.0.2.1") is not None


@pytest.mark.parametrize("name", ["no-such-account", "a\0b", "\udcff"])
def test_unknown_account(
    system_account: SystemAccount, refusal: Callable[[str, str | None, str], str | None], name: str
) -> None:
    assert refusal(name, "x", "192.0.2.1") is not None


def test_account_without_password(
    system_account: SystemAccount, refusal: Callable[[str, str | None, str], str | None]
) -> None:
    assert refusal("nobody", "", "192.0.2.1") is not None


def test_expired_account(
    system_account: SystemAccount, refusal: Callable[[str, str | None, str], str | None]
) -> None:
    def expire(when: str) -> None:
        command = ["usermod", "--expiredate", when, system_account.name]
        subprocess.run(command, check=True, env={"PATH": PATH})

    expire("1")
    try:
        assert refusal(system_account.name, system_account.password, "192.0.2.1") is not None
        assert refusal(system_account.name, None, "192.0.2.1") is not None
    finally:
        expire("")
    assert refusal(system_account.name, None, "192.0.2.1") is None


# --- the policy ---


async def test_root_needs_a_key(policy: Any) -> None:
    assert (await policy.requirement("root", None)).requirement == REQUIREMENTS["publickey"]
    for name in ("nobody", "no-such-account"):
        assert (await policy.requirement(name, None)).requirement == REQUIREMENTS["any"]


@pytest.mark.slow
async def test_policy_password(system_account: SystemAccount, policy: Any) -> None:
    connection = Connection()
    assert await policy.password(system_account.name, system_account.password, connection)
    assert not await policy.password(system_account.name, "wrong", connection)
    assert connection.reasons


async def test_nologin_is_for_all_but_root(
    system_account: SystemAccount, policy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system_account.authorize(f"{KEY}\n")
    monkeypatch.setattr(system, "_NOLOGIN", tmp_path / "nologin")
    name = system_account.name
    assert await policy.public_key(name, KEY, "ssh-ed25519", True, Connection())
    (tmp_path / "nologin").touch()
    connection = Connection()
    assert not await policy.public_key(name, KEY, "ssh-ed25519", True, connection)
    assert connection.reasons == [f"{tmp_path}/nologin exists"]


async def test_policy_public_key(system_account: SystemAccount, policy: Any) -> None:
    system_account.authorize(f'from="192.0.2.0/24" {KEY}\n')
    name = system_account.name
    for signed in (False, True):
        assert await policy.public_key(name, KEY, "ssh-ed25519", signed, Connection())
        assert not await policy.public_key(name, OTHER, "ssh-ed25519", signed, Connection())
        far = Connection("198.51.100.1")
        assert not await policy.public_key(name, KEY, "ssh-ed25519", signed, far)
    assert not await policy.public_key("no-such-account", KEY, "ssh-ed25519", True, Connection())


async def test_options_of_the_key_bind(system_account: SystemAccount, policy: Any) -> None:
    system_account.authorize(f'command="only this",no-pty {KEY}\n')
    connection = Connection()
    session = Session(system_account.name, connection)
    assert (await policy.login(session.user, connection)).key.command is None
    assert await policy.public_key(system_account.name, KEY, "ssh-ed25519", True, connection)
    login = await policy.login(session.user, connection)
    assert (login.key.command, login.key.pty) == ("only this", False)
    assert login.account.name == system_account.name
    assert await policy.session_request(session, Shell())
    assert not await policy.session_request(session, PTY)


async def test_rsa1_lines_are_found_by_their_modulus(
    system_account: SystemAccount, policy: Any
) -> None:
    """In SSH-1 the key's number comes first; its options are held against who can answer."""
    old, other = (generate("rsa1", bits=1024).public for _ in range(2))
    system_account.authorize(f'{KEY}\nfrom="192.0.2.0/24" {old} a comment\n')
    name = system_account.name
    assert await policy.rsa_key(name, modulus(old), Connection()) == old
    assert await policy.rsa_key(name, modulus(other), Connection()) is None
    assert await policy.rsa_key("no-such-account", modulus(old), Connection()) is None
    assert await policy.public_key(name, old, "rsa1", True, Connection())
    assert not await policy.public_key(name, old, "rsa1", True, Connection("198.51.100.1"))


def modulus(key: PublicKey) -> int:
    assert isinstance(key, RSA1PublicKey)
    return key.verifier.n
