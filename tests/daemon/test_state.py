"""The state directory and the host keys in it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nacre.daemon import state as state_module
from nacre.daemon.hostkeys import DEFAULT_TYPES, FILES, key_types, load_host_keys
from nacre.daemon.state import default_path, open_state, write_once
from nacre.errors import StateError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = open_state(tmp_path / "a" / "state")
    assert path.is_dir()
    assert mode(path) == 0o700
    assert open_state(path) == path


def test_default_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(state_module.os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/x")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_path() == tmp_path / "nacre"
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")
    assert default_path() == Path("/home/x/.local/state/nacre")
    monkeypatch.setattr(state_module.os, "geteuid", lambda: 0)
    assert default_path() == Path("/var/lib/nacre")


def test_directory_that_others_can_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.mkdir()
    path.chmod(0o770)
    with pytest.raises(StateError, match="chmod go-w"):
        open_state(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_directory_of_another_account_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    os.chown(path, 65534, 65534)
    with pytest.raises(StateError, match="belongs to nobody"):
        open_state(path)


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="--state"):
        open_state(tmp_path / "file" / "state")


def test_only_the_first_writes(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    assert write_once(path, b"first")
    assert not write_once(path, b"second")
    assert path.read_bytes() == b"first"
    assert mode(path) == 0o600
    assert os.listdir(tmp_path) == ["secret"]


def test_of_many_at_once_one_writes(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    won: list[int] = []
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        barrier.wait(10)
        if write_once(path, b"%d" % number):
            won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes()] == [b"%d" % number for number in won]
    assert os.listdir(tmp_path) == ["secret"]


def test_host_keys_are_made_once(tmp_path: Path) -> None:
    keys = load_host_keys(tmp_path)
    assert {key.public.type for key in keys} == set(DEFAULT_TYPES)
    assert [key.public.bits for key in keys if key.public.type == "ssh-rsa"] == [3072]
    assert all(mode(path) == 0o600 for path in tmp_path.iterdir())
    again = load_host_keys(tmp_path)
    assert [key.public for key in again] == [key.public for key in keys]


def test_openssh_reads_the_host_keys(tmp_path: Path) -> None:
    for key in load_host_keys(tmp_path, ["ssh-ed25519"]):
        file = tmp_path / FILES[key.public.type]
        done = subprocess.run(["ssh-keygen", "-y", "-f", file], capture_output=True, text=True)
        assert done.stdout.split()[:2] == str(key.public).split()


def test_more_types_where_they_are_asked_for(tmp_path: Path) -> None:
    load_host_keys(tmp_path)
    keys = load_host_keys(tmp_path, key_types(["ecdsa-sha2-nistp384", "rsa-sha2-256"]))
    # Those that are there are used, whoever asked for them.
    assert {key.public.type for key in keys} == {*DEFAULT_TYPES, "ecdsa-sha2-nistp384"}


@pytest.mark.slow
def test_two_starts_at_once_agree(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from nacre.daemon.hostkeys import load_host_keys\n"
        "for key in load_host_keys(Path(sys.argv[1])): print(key.public)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    starts = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [start.communicate(timeout=50)[0] for start in starts]
    assert len(said[0].splitlines()) == 3
    assert said[0] == said[1]


def test_host_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    load_host_keys(tmp_path, ["ssh-ed25519"])
    file = tmp_path / FILES["ssh-ed25519"]
    file.chmod(0o644)
    with pytest.raises(StateError, match="others can read"):
        load_host_keys(tmp_path, ["ssh-ed25519"])


def test_damaged_host_key_is_named(tmp_path: Path) -> None:
    file = tmp_path / FILES["ssh-ed25519"]
    write_once(file, b"no key")
    with pytest.raises(StateError, match="ssh_host_ed25519_key can't be used"):
        load_host_keys(tmp_path, ["ssh-ed25519"])
