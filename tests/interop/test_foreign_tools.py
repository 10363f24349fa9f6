"""rclone, restic, curl and Ansible work with ``nacre serve``, and Ansible with nacre's programs."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from interop.clients import ME, Login
from interop.daemons import Daemon, State, start_nacre
from interop.payload import Payload
from interop.peers import (
    ANSIBLE,
    ANSIBLE_CONFIG,
    ANSIBLE_FILES,
    CURL,
    FOREIGN,
    INSTALLED,
    RCLONE,
    RESTIC,
)
from interop.programs import NACRE, check, require, run
from interop.trees import summary

pytestmark = [pytest.mark.slow, pytest.mark.untraced, pytest.mark.timeout(150)]

Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def server(
    keys: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Daemon, Path]]:
    """A server that exchanges keys anew after each MiB, and the home of its user."""
    directory = tmp_path_factory.mktemp("tools")
    state = State(directory / "state")
    home = directory / "home"
    state.add_user("any", keys=[keys["ed25519"].with_suffix(".pub")], home=home)
    with start_nacre(state, "-o", "RekeyLimit=1M") as daemon:
        yield daemon, home


@pytest.fixture
def login(server: tuple[Daemon, Path], keys: dict[str, Path], tmp_path: Path) -> Login:
    return Login(server[0], "any", tmp_path, keys["ed25519"])


@pytest.fixture
def home(server: tuple[Daemon, Path]) -> Path:
    """The user's home, empty."""
    home = server[1]
    shutil.rmtree(home)
    home.mkdir()
    return home


def _same(*roots: Path) -> None:
    first, *others = (summary(root, modes=False, times=False) for root in roots)
    for other in others:
        assert other == first


def test_rclone(
    login: Login, home: Path, payload: Payload, tmp_path: Path, record_property: Record
) -> None:
    """It compares the hashes of both sides by itself, with a command at the server's."""
    RCLONE.record("client", record_property)
    sent = payload(RCLONE.mebibytes)
    where = f":sftp,host=127.0.0.1,port={login.server.port},user={login.user},key_file={login.key}:"
    rclone = [require("rclone"), "--config", "", "--retries", "1"]
    copied = check([*rclone, "copy", "-v", sent, where + "there"], timeout=120)
    check([*rclone, "check", "--one-way", sent, where + "there"], timeout=120)
    check([*rclone, "copy", where + "there", tmp_path / "back"], timeout=120)
    assert b"corrupted" not in copied
    _same(sent, home / "there", tmp_path / "back")


def test_restic(
    login: Login, home: Path, payload: Payload, tmp_path: Path, record_property: Record
) -> None:
    RESTIC.record("client", record_property)
    sent = payload(RESTIC.mebibytes)
    command = shlex.join([*login.ssh(), "-s", "sftp"])
    secret = {"RESTIC_PASSWORD": "any", "HOME": str(tmp_path)}
    repository = ["-o", f"sftp.command={command}", "-r", "sftp:any@127.0.0.1:backup"]
    restic = [require("restic"), *repository]
    check([*restic, "init"], timeout=60, **secret)
    inside = ["sh", "-c", 'cd "$0" && exec "$@"', sent]
    check([*inside, *restic, "backup", "."], timeout=120, **secret)
    check([*restic, "check", "--read-data"], timeout=120, **secret)
    check([*restic, "restore", "latest", "--target", tmp_path / "back"], timeout=120, **secret)
    _same(sent, tmp_path / "back")


def test_curl(
    login: Login, home: Path, payload: Payload, tmp_path: Path, record_property: Record
) -> None:
    """Debian's curl does SFTP with libssh2."""
    CURL.record("client", record_property)
    sent = payload(CURL.mebibytes)
    public = Path(str(login.key) + ".pub")
    options = ["--fail", "--silent", "--show-error", "--insecure", "--user", f"{login.user}:"]
    curl = [require("curl"), *options, "--key", login.key, "--pubkey", public]
    url = f"sftp://127.0.0.1:{login.server.port}/~/"
    check([*curl, "--upload-file", sent / "large", url + "large"], timeout=120)
    check([*curl, "--output", tmp_path / "large", url + "large"], timeout=120)
    # Debian 13's curl (8.14) makes the link and then says that it failed, with sshd as well: the
    # asterisk has it go on.
    check([*curl, "--quote", "*symlink large link", "--head", url + "large"], timeout=60)
    for copy in (home / "large", tmp_path / "large"):
        assert copy.read_bytes() == (sent / "large").read_bytes()
    assert os.readlink(home / "link") == "large"


WITH_NACRE = {
    "ansible_ssh_executable": "nacre-ssh",
    "ansible_sftp_executable": "nacre-sftp",
    "ansible_scp_executable": "nacre-scp",
}


@pytest.fixture
def control() -> Iterator[str]:
    """A directory with a short name: a Unix socket's path has 108 bytes at most."""
    with tempfile.TemporaryDirectory(prefix="cp", dir="/tmp") as directory:
        yield directory


def _own_programs() -> dict[str, str]:
    return {name: str(Path(NACRE[0]).with_name(program)) for name, program in WITH_NACRE.items()}


def _ansible(directory: Path, host: dict[str, object], control: str, playbook: Path) -> str:
    """Run a playbook for the only host of an inventory, and return what Ansible printed."""
    inventory = directory / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": {"server": host}}}))
    environment: dict[str, Any] = {
        "ANSIBLE_HOST_KEY_CHECKING": "False",
        "ANSIBLE_HOME": str(directory / "ansible"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": control,
        "ANSIBLE_PIPELINING": "False",
        "HOME": str(directory),
        "LC_ALL": "C.UTF-8",
    }
    command = [INSTALLED / "bin" / "ansible-playbook", "-i", inventory, playbook]
    done = run(command, timeout=380, **environment)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
    # Ansible transfers files by another program when one of its choice fails.
    assert b"transfer mechanism failed" not in done.stdout + done.stderr
    return done.stdout.decode()


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("method", "programs"), ANSIBLE)
def test_ansible(
    login: Login,
    home: Path,
    payload: Payload,
    tmp_path: Path,
    record_property: Record,
    method: str,
    programs: str,
    control: str,
) -> None:
    peer = ANSIBLE[method, programs]
    peer.record("client", record_property)
    sent = tmp_path / "sent"
    (sent / "few").mkdir(parents=True)
    full = payload(peer.mebibytes)
    os.link(full / "large", sent / "large")
    for number in range(ANSIBLE_FILES):
        os.link(full / "many" / f"file{number}", sent / "few" / f"file{number}")
    host = {
        "ansible_host": "127.0.0.1",
        "ansible_port": login.server.port,
        "ansible_user": login.user,
        "ansible_ssh_private_key_file": str(login.key),
        "ansible_ssh_transfer_method": method,
        # The user has no account, so that a shell does not know `~any`.
        "ansible_remote_tmp": str(home / ".ansible"),
        "ansible_python_interpreter": sys.executable,
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={tmp_path / 'known_hosts'}",
        "source": str(sent),
        "back": str(tmp_path / "back"),
        **(_own_programs() if programs == "nacre" else {}),
    }
    _ansible(tmp_path, host, control, FOREIGN / "playbook.yml")
    there = home / "there"
    assert os.readlink(there / "link") == "large"
    (there / "link").unlink()
    _same(sent, there)
    assert (tmp_path / "back" / "large").read_bytes() == (sent / "large").read_bytes()


@pytest.fixture(params=["nacre serve", "sshd"])
def named(request: pytest.FixtureRequest, keys: dict[str, Path], tmp_path: Path) -> Login:
    """A login for which a configuration file is written."""
    if request.param == "nacre serve":
        login: Login = request.getfixturevalue("to_nacre")
        return login
    return Login(request.getfixturevalue("sshd_with_sftp"), ME, tmp_path, keys["ed25519"])


@pytest.mark.timeout(400)
def test_ansible_with_a_configuration_file(
    named: Login, tmp_path: Path, record_property: Record, control: str
) -> None:
    """The file alone says where the host is and who logs in; ControlMaster disturbs nothing."""
    if named.server.name == "nacre serve":
        ANSIBLE_CONFIG.record("client", record_property)
    else:
        ANSIBLE_CONFIG.source()  # skips without Ansible
    template = tmp_path / "template"
    template.write_text("{{ inventory_hostname }} {{ 6 * 7 }}\n")
    there, back = tmp_path / "there", tmp_path / "back"
    host: dict[str, object] = {
        "ansible_remote_tmp": str(tmp_path / "remote"),
        "ansible_python_interpreter": sys.executable,
        "ansible_ssh_common_args": f"-F {named.config('server')}",
        # Modules go through the input of a command, which halves the sessions, or by sftp.
        "ansible_pipelining": named.server.name == "sshd",
        "becomes": os.geteuid() == 0,
        "source": str(template),
        "there": str(there),
        "back": str(back),
        **_own_programs(),
    }
    play = _ansible(tmp_path, host, control, FOREIGN / "tasks.yml")
    assert "failed=0" in play
    assert (there / "text").read_text() == "ä ' \" $HOME\n"
    assert (there / "lines").read_text() == "one\ntwo\n"
    for path in (there, back):
        assert (path / "template").read_text() == "server 42\n"
