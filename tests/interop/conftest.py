"""Real peers for the interop tests: servers, keys, accounts."""

from __future__ import annotations

import fcntl
import grp
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from interop.clients import ME, PASSWORD, Account, Login
from interop.daemons import Daemon, State, start_dropbear, start_nacre, start_sshd
from interop.nacre_sshd import configure_sshd, sshd_login  # noqa: F401
from interop.payload import Payload, make_payload
from interop.programs import check, require, run
from interop.sites import Site, made
from interop.ssh1_peers import SSH1, start_ssh1
from interop.suites import legacy_words
from nacre.keys import dump_private, generate

HERE = Path(__file__).parent

KEY_TYPES = {
    "ed25519": ["-t", "ed25519"],
    "ecdsa256": ["-t", "ecdsa", "-b", "256"],
    "ecdsa384": ["-t", "ecdsa", "-b", "384"],
    "ecdsa521": ["-t", "ecdsa", "-b", "521"],
    "rsa": ["-t", "rsa", "-b", "2048"],
    "dsa": ["-t", "dsa"],
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.interop)
    # The long ones first: the short ones then fill what the workers have left.
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report: Any = yield
    if report.failed:
        values = getattr(item, "funcargs", {}).values()
        held = [getattr(value, "server", value) for value in values]
        for daemon in {one for one in held if isinstance(one, Daemon)}:
            report.sections.append((f"the log of {daemon.name}", daemon.tail()))
    return report


def _keys(directory: Path) -> dict[str, Path]:
    """Make a key of each type; newer versions of OpenSSH make no DSA keys."""
    keygen = require("ssh-keygen")
    keys = {}
    for name, options in KEY_TYPES.items():
        path = directory / name
        done = run([keygen, "-q", "-N", "", "-C", name, *options, "-f", path])
        if done.returncode == 0:
            keys[name] = path
        else:
            assert name == "dsa", done.stderr
    return keys


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Users' private keys by type; the public one is beside each, with ``.pub``."""
    return _keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def host_keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Servers' private keys by type."""
    return _keys(tmp_path_factory.mktemp("host_keys"))


@pytest.fixture(scope="session")
def all_host_keys(
    host_keys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Servers' private keys of every type; one of DSA is nacre's where OpenSSH makes none."""
    if "dsa" in host_keys:
        return host_keys
    path = tmp_path_factory.mktemp("dsa") / "dsa"
    key = generate("ssh-dss", comment="dsa")
    path.write_bytes(dump_private(key))
    path.chmod(0o600)
    path.with_suffix(".pub").write_text(f"{key.public} dsa\n")
    return {**host_keys, "dsa": path}


@pytest.fixture(scope="session")
def authorized_keys(keys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("authorized") / "authorized_keys"
    path.write_text("".join(key.with_suffix(".pub").read_text() for key in keys.values()))
    return path


@contextmanager
def _account(name: str, authorized_keys: Path, lock: Path) -> Iterator[Account]:
    """Have an account; useradd and userdel fail when another one is at work."""
    if os.geteuid() != 0:
        pytest.skip("only root can make an account")
    password = secrets.token_hex(8)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        check([require("useradd"), "--create-home", "--shell", "/bin/sh", name])
    try:
        check([require("chpasswd")], input=f"{name}:{password}\n".encode())
        home = Path("~" + name).expanduser()
        ssh = home / ".ssh"
        ssh.mkdir(mode=0o700)
        (ssh / "authorized_keys").write_text(authorized_keys.read_text())
        (ssh / "authorized_keys").chmod(0o600)
        check([require("chown"), "-R", f"{name}:", ssh])
        yield Account(name, password, home)
    finally:
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            run([require("userdel"), "--remove", "--force", name])


@pytest.fixture(scope="session")
def system_account(
    authorized_keys: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Account]:
    """An account with a password, and the tests' keys in its ``~/.ssh/authorized_keys``."""
    lock = tmp_path_factory.getbasetemp().parent / "accounts.lock"
    with _account(f"nacre-{os.getpid()}", authorized_keys, lock) as account:
        yield account


@pytest.fixture
def own_account(
    authorized_keys: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Account]:
    """Such an account that is one test's, which may change it."""
    lock = tmp_path_factory.getbasetemp().parent / "accounts.lock"
    with _account(f"nacre-o{os.getpid()}", authorized_keys, lock) as account:
        yield account


@pytest.fixture(scope="session")
def sshd(
    host_keys: dict[str, Path], authorized_keys: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    """OpenSSH's server with all algorithms that it has in common with nacre switched on."""
    legacy = [word.replace("=", " ", 1) for word in legacy_words()]
    directory = tmp_path_factory.mktemp("sshd")
    with start_sshd(directory, [*host_keys.values()], authorized_keys, *legacy) as daemon:
        yield daemon


@pytest.fixture(scope="session")
def sshd_with_sftp(
    host_keys: dict[str, Path], authorized_keys: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Daemon]:
    """OpenSSH's server as it is by default, with SFTP."""
    directory = tmp_path_factory.mktemp("sshd_with_sftp")
    subsystem = f"Subsystem sftp {require('/usr/lib/openssh/sftp-server')}"
    with start_sshd(directory, [host_keys["ed25519"]], authorized_keys, subsystem) as daemon:
        yield daemon


@pytest.fixture
def to_sshd(sshd: Daemon, keys: dict[str, Path], tmp_path: Path) -> Login:
    """This account's login to OpenSSH's server."""
    return Login(sshd, ME, tmp_path, keys["ed25519"])


@pytest.fixture
def terminal_from_sshd() -> None:
    """OpenSSH's server gives a terminal to the group tty, which not everybody may do."""
    master, slave = os.openpty()
    group = os.fstat(slave).st_gid
    os.close(master)
    os.close(slave)
    if os.geteuid() != 0 and group != grp.getgrnam("tty").gr_gid:
        pytest.skip("only root's sshd can make a terminal here")


@pytest.fixture(scope="session")
def dropbear(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with start_dropbear(tmp_path_factory.mktemp("dropbear")) as daemon:
        yield daemon


@pytest.fixture
def to_dropbear(
    dropbear: Daemon, system_account: Account, keys: dict[str, Path], tmp_path: Path
) -> Login:
    """The system account's login to Dropbear, which reads keys in home directories alone."""
    return Login(dropbear, system_account.name, tmp_path, keys["ed25519"])


@pytest.fixture(scope="session")
def state(keys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> State:
    """A state directory with a user for each policy, each with all keys and PASSWORD."""
    state = State(tmp_path_factory.mktemp("nacre") / "state")
    public = [key.with_suffix(".pub") for key in keys.values()]
    for auth in ("any", "password", "publickey", "password-publickey"):
        state.add_user(auth, password=PASSWORD, keys=public, auth=auth)
    return state


@pytest.fixture(scope="session")
def nacre_server(state: State) -> Iterator[Daemon]:
    """``nacre serve`` as it is by default."""
    with start_nacre(state) as daemon:
        yield daemon


@pytest.fixture
def to_nacre(nacre_server: Daemon, keys: dict[str, Path], tmp_path: Path) -> Login:
    """The login of the user whose policy is ``any``."""
    return Login(nacre_server, "any", tmp_path, keys["ed25519"])


@pytest.fixture(scope="session")
def payload(tmp_path_factory: pytest.TempPathFactory) -> Payload:
    """Make 200 files and a large one, once for each size."""
    root = tmp_path_factory.mktemp("payloads")
    return lambda mebibytes: make_payload(root, mebibytes)


@pytest.fixture(scope="session")
def ssh1(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SSH1]:
    """A server that speaks SSH-1 too, with users and keys for its clients."""
    with start_ssh1(tmp_path_factory.mktemp("ssh1")) as found:
        yield found


@pytest.fixture
def site(keys: dict[str, Path], tmp_path: Path) -> Iterator[Site]:
    with made(keys, tmp_path) as site:
        yield site
