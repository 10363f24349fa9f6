"""nacre copy-id, at OpenSSH's, Dropbear's and nacre's servers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.clients import PASSWORD, Account, Login, askpass
from interop.daemons import Daemon, start_sshd
from interop.nacre_sshd import Configure, serving
from interop.programs import NACRE, check, require, run


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "new"
    check([require("ssh-keygen"), "-q", "-N", "", "-C", "new", "-t", "ed25519", "-f", path])
    return path


@pytest.fixture
def account(system_account: Account) -> Iterator[Account]:
    """An account without keys, whose file is as before afterwards."""
    file = system_account.home / ".ssh" / "authorized_keys"
    before = file.read_text()
    file.write_text("# none yet")
    yield system_account
    file.write_text(before)


@pytest.fixture(scope="module")
def sshd_of_homes(
    host_keys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    """OpenSSH's server, which looks for keys in home directories."""
    sftp = f"Subsystem sftp {require('/usr/lib/openssh/sftp-server')}"
    directory = tmp_path_factory.mktemp("homes")
    file = Path(".ssh/authorized_keys")
    with start_sshd(directory, [host_keys["ed25519"]], file, sftp) as daemon:
        yield daemon


def copy(login: Login, key: Path, password: str, *flags: str) -> tuple[int, str, str]:
    """Run the program; a script answers the question for the password."""
    asked = login.directory / "askpass-files"
    asked.mkdir(exist_ok=True)
    words = [
        *("-F", "none", "-p", str(login.server.port), "-o", "StrictHostKeyChecking=no"),
        *("-o", f"UserKnownHostsFile={login.directory / 'known_hosts'}", "-i", str(key)),
    ]
    done = run(
        [*NACRE, "copy-id", *words, *flags, f"{login.user}@127.0.0.1"],
        timeout=60,
        **askpass(asked, password),
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize("flags", [(), ("-s",)], ids=["commands", "sftp"])
def test_a_key_is_installed_once(
    flags: tuple[str, ...], account: Account, sshd_of_homes: Daemon, tmp_path: Path, key: Path
) -> None:
    login = Login(sshd_of_homes, account.name, tmp_path, key)
    file = account.home / ".ssh" / "authorized_keys"
    line = key.with_suffix(".pub").read_text()
    status, out, _ = copy(login, key, account.password, "-n", *flags)
    assert (status, line in out, file.read_text()) == (0, True, "# none yet")
    status, out, err = copy(login, key, account.password, *flags)
    assert (status, "Number of key(s) added: 1" in out) == (0, True), err
    assert file.read_text() == f"# none yet\n{line}"
    check([*login.ssh("BatchMode=yes"), "true"])
    status, out, err = copy(login, key, account.password, *flags)
    assert (status, "log in already" in err) == (0, True)
    status, out, err = copy(login, key, account.password, "-f", *flags)
    assert (status, "Number of key(s) added: 0" in out) == (0, True), err
    assert file.read_text() == f"# none yet\n{line}"


def test_the_file_and_its_directory_are_made(
    account: Account, sshd_of_homes: Daemon, tmp_path: Path, key: Path
) -> None:
    login = Login(sshd_of_homes, account.name, tmp_path, key)
    status, _, err = copy(login, key, account.password, "-t", "made here/keys")
    assert status == 0, err
    made = account.home / "made here"
    try:
        assert made.stat().st_mode & 0o777 == 0o700
        assert (made / "keys").stat().st_mode & 0o777 == 0o600
        assert (made / "keys").read_text() == key.with_suffix(".pub").read_text()
    finally:
        (made / "keys").unlink()
        made.rmdir()


def test_a_wrong_password_changes_nothing(
    account: Account, sshd_of_homes: Daemon, tmp_path: Path, key: Path
) -> None:
    login = Login(sshd_of_homes, account.name, tmp_path, key)
    status, _, err = copy(login, key, "wrong", "-o", "NumberOfPasswordPrompts=1")
    assert (status, "Permission denied" in err) == (1, True), err


def test_dropbear(account: Account, dropbear: Daemon, tmp_path: Path, key: Path) -> None:
    login = Login(dropbear, account.name, tmp_path, key)
    status, _, err = copy(login, key, account.password)
    assert status == 0, err
    check([*login.ssh("BatchMode=yes"), "true"])


def test_nacre_with_accounts_of_the_system(
    account: Account, configure_sshd: Configure, tmp_path: Path, key: Path
) -> None:
    with serving(configure_sshd()) as daemon:
        login = Login(daemon, account.name, tmp_path, key)
        status, _, err = copy(login, key, account.password)
        assert status == 0, err
        check([*login.ssh("BatchMode=yes"), "true"])


def test_users_of_a_store_have_no_such_file(
    nacre_server: Daemon, tmp_path: Path, key: Path
) -> None:
    login = Login(nacre_server, "any", tmp_path, key)
    status, _, err = copy(login, key, PASSWORD)
    assert (status, "nacre user key add" in err) == (1, True), err
