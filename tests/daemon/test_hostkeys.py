"""The host keys in the state directory."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nacre.daemon.hostkeys import DEFAULT_TYPES, FILES, key_types, load_host_keys
from nacre.daemon.state import write_once
from nacre.errors import StateError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.slow
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
    with pytest.raises(StateError, match="other accounts can read"):
        load_host_keys(tmp_path, ["ssh-ed25519"])


def test_damaged_host_key_is_named(tmp_path: Path) -> None:
    file = tmp_path / FILES["ssh-ed25519"]
    write_once(file, b"no key")
    with pytest.raises(StateError, match="ssh_host_ed25519_key can't be used"):
        load_host_keys(tmp_path, ["ssh-ed25519"])


def test_key_types_name_each_type_once_and_in_order() -> None:
    algorithms = ["rsa-sha2-512", "ssh-ed25519", "rsa-sha2-256", "ssh-rsa"]
    assert key_types(algorithms) == ("ssh-rsa", "ssh-ed25519")


def test_the_key_of_ssh_1_is_made_and_loaded_only_where_it_is_named(tmp_path: Path) -> None:
    first = load_host_keys(tmp_path, ["ssh-ed25519", "rsa1"])
    assert [key.public.type for key in first] == ["ssh-ed25519", "rsa1"]
    assert [key.public.type for key in load_host_keys(tmp_path, ["ssh-ed25519"])] == ["ssh-ed25519"]


def test_a_directory_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(StateError, match=f"can't use the host key {missing}"):
        load_host_keys(missing, ["ssh-ed25519"])
