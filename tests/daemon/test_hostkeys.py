"""The host keys in the state directory."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from keys.soft_key import SoftKey
from nacre.agent import middleware
from nacre.daemon.hostkeys import (
    DEFAULT_TYPES,
    FILES,
    key_types,
    load_files,
    load_host_keys,
    signer,
)
from nacre.daemon.state import write_once
from nacre.errors import StateError, UnusableKey
from nacre.keys import PrivateKey, dump_private, generate


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
    more = ("ecdsa-sha2-nistp384", "ssh-mldsa44-ed25519@openssh.com")
    keys = load_host_keys(tmp_path, key_types([*more, "rsa-sha2-256"]))
    # Those that are there are used, whoever asked for them.
    assert {key.public.type for key in keys} == {*DEFAULT_TYPES, *more}


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


def write_key(path: Path) -> PrivateKey:
    key = generate("ssh-ed25519")
    path.write_bytes(dump_private(key))
    path.chmod(0o600)
    path.with_name(f"{path.name}.pub").write_text(f"{key.public}\n")
    return key


def test_named_files_are_used_and_those_that_can_not_be_are_told(tmp_path: Path) -> None:
    good, bad, missing = (tmp_path / name for name in ("good", "bad", "missing"))
    key = write_key(good)
    write_key(bad)
    bad.chmod(0o644)
    problems: list[str] = []
    found = load_files([str(missing), str(bad), str(good)], problems.append)
    assert [one.public for one in found] == [key.public]
    assert "No such file" in problems[0]
    assert "other accounts can read" in problems[1]


def test_two_keys_of_a_type_are_both_there_the_first_one_first(tmp_path: Path) -> None:
    """The first one signs, and clients are told of the second: so a key is replaced."""
    first, second = write_key(tmp_path / "a"), write_key(tmp_path / "b")
    names = [str(tmp_path / name) for name in "aba"]
    found = load_files(names, print)
    assert [key.public for key in found] == [first.public, second.public]


def test_a_key_on_a_security_key_is_left_to_an_agent(tmp_path: Path) -> None:
    soft, path = SoftKey(), tmp_path / "key"
    path.write_bytes(dump_private(soft.private))
    path.chmod(0o600)
    write_key(tmp_path / "other")
    problems: list[str] = []
    names = [str(path), str(tmp_path / "other")]
    (found,) = load_files(names, problems.append)
    assert not found.held
    assert "HostKeyAgent" in problems[0]
    (tmp_path / "key.pub").write_text(f"{soft.public}\n")
    first, _ = load_files(names, problems.append, agent=True)
    assert (first.held, first.public) == (True, soft.public)


async def test_the_agent_may_be_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/none/such")
    assert signer(None, "internal") is None
    sign = signer("SSH_AUTH_SOCK", "internal")
    assert sign is not None
    with pytest.raises(UnusableKey, match="/none/such"):
        await sign(SoftKey().public, b"data", "ssh-ed25519")


async def test_a_library_signs_with_a_key_on_a_security_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soft, path = SoftKey(), tmp_path / "key"
    path.write_bytes(dump_private(soft.private))
    path.chmod(0o600)
    keys = load_files([str(path)], print, library=True)
    assert keys[0].held
    asked: list[tuple[object, ...]] = []

    async def sign_by(library: str, key: PrivateKey, data: bytes, pin: str | None) -> bytes:
        asked.append((library, key.public, data, pin))
        return b"signature"

    monkeypatch.setattr(middleware, "sign", sign_by)
    sign = signer(None, "/lib/x.so", keys)
    assert sign is not None
    assert await sign(soft.public, b"data", soft.public.type) == b"signature"
    assert asked == [("/lib/x.so", soft.public, b"data", None)]
    with pytest.raises(UnusableKey, match="no program holds"):
        await sign(SoftKey().public, b"data", soft.public.type)
    assert signer(None, "internal", keys) is None


def test_no_named_file_can_be_used(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="ssh-keygen -A"):
        load_files([str(tmp_path / "missing")], lambda problem: None)


@pytest.mark.parametrize("name", ["key", "key.pub"])
def test_an_agent_holds_a_key_of_which_the_public_half_is_there(tmp_path: Path, name: str) -> None:
    key = write_key(tmp_path / "key")
    (own,) = load_files([str(tmp_path / "key")], print, agent=True)
    assert not own.held
    (tmp_path / "key").unlink()
    (found,) = load_files([str(tmp_path / name)], print, agent=True)
    assert found.held
    assert found.public == key.public
    with pytest.raises(UnusableKey, match="another program"):
        found.sign(b"data", "ssh-ed25519")
    with pytest.raises(StateError, match="no host keys"):
        load_files([str(tmp_path / name)], lambda problem: None)
