"""An account's authorized_keys: whose rights read it, and which files are ignored."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import pytest

from daemon.conftest import SystemAccount
from nacre.config.server.config import ServerConfig
from nacre.daemon.accounts.accounts import DEFAULT_CONFIG, find_account
from nacre.daemon.accounts.authorized import files
from nacre.daemon.accounts.authorized.files import read_authorized_keys
from nacre.errors import AccountError
from nacre.keys import generate

KEY = generate("ssh-ed25519").public
OTHER = generate("ssh-ed25519").public


def keys_of(account: SystemAccount, config: ServerConfig = DEFAULT_CONFIG) -> list[object]:
    """Return the keys of the files that are used; AccountError if one is not."""

    def report(problem: str) -> None:
        raise AccountError(problem)

    found = read_authorized_keys(find_account(account.name), config, report)
    return [entry.key for _, keys in found for entry in keys]


def test_a_file_that_is_not_used_does_not_hide_the_next(system_account: SystemAccount) -> None:
    first = system_account.authorize(f"{KEY}\n")
    first.chmod(0o666)
    second = first.with_name("authorized_keys2")
    second.write_text(f"{OTHER}\n")
    told: list[str] = []
    try:
        found = list(
            read_authorized_keys(find_account(system_account.name), DEFAULT_CONFIG, told.append)
        )
    finally:
        second.unlink()
    assert [(name, keys.entries[0].key) for name, keys in found] == [(str(second), OTHER)]
    assert len(told) == 1
    assert "other accounts can write" in told[0]


@pytest.mark.slow
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
        with pytest.raises(AccountError, match="other accounts can write"):
            keys_of(system_account)
    finally:
        path.chmod(before & 0o7777)


def test_what_another_account_owns_does_not_count(system_account: SystemAccount) -> None:
    file = system_account.authorize(f"{KEY}\n")
    file.chmod(0o644)
    shutil.chown(file, "nobody")
    with pytest.raises(AccountError, match="its owner is neither"):
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
        with pytest.raises(AccountError, match="not a regular file"):
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


def test_both_files_are_read(system_account: SystemAccount) -> None:
    first = system_account.authorize(f"{KEY}\n")
    second = first.with_name("authorized_keys2")
    second.write_text(f"{OTHER}\n")
    try:
        assert keys_of(system_account) == [KEY, OTHER]
    finally:
        second.unlink()


def test_a_file_that_is_too_large_is_refused_and_one_of_the_bound_is_read(
    system_account: SystemAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"{KEY}\n"
    system_account.authorize(text)
    monkeypatch.setattr(files, "_MAXIMUM", len(text))
    assert keys_of(system_account) == [KEY]
    monkeypatch.setattr(files, "_MAXIMUM", len(text) - 1)
    with pytest.raises(AccountError, match="more than"):
        keys_of(system_account)


# --- AuthorizedKeysFile and StrictModes ---


def test_files_are_those_of_the_configuration(
    system_account: SystemAccount, tmp_path: Path
) -> None:
    name, home = system_account.name, system_account.home
    system_account.authorize("")
    uid = home.stat().st_uid
    system = tmp_path / "keys"
    system.mkdir(mode=0o755)
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_mode & 0o755 != 0o755:  # pytest makes its own for its user alone
            directory.chmod(0o755)
    (system / f"{name}.{uid}").write_text(f"{KEY}\n")
    (home / "100%").write_text(f"{OTHER}\n")
    files = (f"{system}/%u.%U", "none", "%h/100%%", "missing")
    config = ServerConfig(authorized_keys_files=files, strict_modes=False)
    try:
        assert keys_of(system_account, config) == [KEY, OTHER]
        assert keys_of(system_account, ServerConfig(authorized_keys_files=("none",))) == []
        with pytest.raises(AccountError, match="AuthorizedKeysFile: %x: %x is not possible"):
            keys_of(system_account, ServerConfig(authorized_keys_files=("%x",)))
    finally:
        (home / "100%").unlink()


def test_modes_are_not_looked_at_where_strict_modes_is_off(system_account: SystemAccount) -> None:
    file = system_account.authorize(f"{KEY}\n")
    file.chmod(0o666)
    with pytest.raises(AccountError, match="other accounts can write"):
        keys_of(system_account)
    assert keys_of(system_account, ServerConfig(strict_modes=False)) == [KEY]
