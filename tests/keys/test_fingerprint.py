from __future__ import annotations

from pathlib import Path

import pytest

from nacre.keys import load_public
from nacre.keys.fingerprint import bubblebabble, fingerprint, randomart
from nacre.keys.key import KEY_TYPES


@pytest.mark.parametrize("type", KEY_TYPES)
@pytest.mark.parametrize("hash_name", ["sha256", "sha512", "sha1", "md5"])
def test_fingerprints_are_those_of_ssh_keygen(
    type: str, hash_name: str, key_of, keygen, openssh_types: frozenset[str], tmp_path: Path
) -> None:
    if type not in openssh_types:
        pytest.skip(f"the installed OpenSSH has no keys of type {type}")
    file = tmp_path / "key.pub"
    file.write_text(f"{key_of(type).public} comment\n")
    bits, printed, *_ = keygen("-l", "-E", hash_name, "-f", file).split()
    key, _ = load_public(file.read_text())
    assert key.fingerprint(hash_name) == printed
    assert str(key.bits) == bits


def test_a_hash_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="crc7"):
        fingerprint(b"", "crc7")


@pytest.mark.parametrize("type", KEY_TYPES)
@pytest.mark.parametrize("hash_name", ["sha256", "md5"])
def test_pictures_are_those_of_ssh_keygen(
    type: str, hash_name: str, key_of, keygen, openssh_types: frozenset[str], tmp_path: Path
) -> None:
    if type not in openssh_types:
        pytest.skip(f"the installed OpenSSH has no keys of type {type}")
    key = key_of(type).public
    file = tmp_path / "key.pub"
    file.write_text(f"{key} comment\n")
    printed = keygen("-l", "-v", "-E", hash_name, "-f", file).rstrip("\n").split("\n")
    kind = printed[0].rpartition("(")[2].rstrip(")")
    assert randomart(key.blob, f"{kind} {key.bits}", hash_name) == "\n".join(printed[1:])


@pytest.mark.parametrize("type", KEY_TYPES)
def test_words_are_those_of_ssh_keygen(
    type: str, key_of, keygen, openssh_types: frozenset[str], tmp_path: Path
) -> None:
    if type not in openssh_types:
        pytest.skip(f"the installed OpenSSH has no keys of type {type}")
    key = key_of(type).public
    file = tmp_path / "key.pub"
    file.write_text(f"{key} comment\n")
    assert keygen("-B", "-f", file).split()[1] == bubblebabble(key.blob)


def test_a_title_that_is_too_long_is_cut_behind_its_first_word() -> None:
    assert "+-[ED25519-CERT]--+" in randomart(b"", "ED25519-CERT 256")
