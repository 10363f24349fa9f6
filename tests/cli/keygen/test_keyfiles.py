"""Key files: what is read, and how they are replaced."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from nacre.cli.keygen.arguments import parse_arguments
from nacre.cli.keygen.keyfiles import keys_in, load, public_path, read, save, save_public
from nacre.errors import KeyFormatError, PassphraseRequired, UnusableKey
from nacre.keys import PrivateKey, generate
from nacre.keys.files import MAXIMUM_SIZE

QUICK = parse_arguments(["-a", "1"])


@pytest.fixture
def key() -> PrivateKey:
    return generate("ssh-ed25519", comment="me@here")


@pytest.fixture
def path(tmp_path: Path, key: PrivateKey) -> Path:
    """A key file with its public half."""
    path = tmp_path / "key"
    save(path, key, None, QUICK)
    save_public(path, key)
    return path


def test_a_key_is_for_its_owner_and_its_public_half_for_all(path: Path, key: PrivateKey) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(public_path(path).stat().st_mode) == 0o644
    assert load(path).public == key.public
    assert public_path(path).read_text() == f"{key.public} me@here\n"


def test_a_passphrase_is_needed_once_it_is_set(path: Path, key: PrivateKey) -> None:
    save(path, key, "secret", QUICK)
    with pytest.raises(PassphraseRequired):
        load(path)
    with pytest.raises(PassphraseRequired):
        load(path, "wrong")
    assert load(path, "secret").public == key.public


def test_a_failed_write_leaves_the_former_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def fails(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="No space left"):
        save(path, generate("ssh-ed25519"), None, QUICK)
    assert path.read_bytes() == before
    assert {file.name for file in path.parent.iterdir()} == {"key", "key.pub"}


def test_a_link_is_kept_and_its_file_replaced(path: Path) -> None:
    link = path.with_name("link")
    link.symlink_to(path)
    new = generate("ssh-ed25519")
    save(link, new, None, QUICK)
    assert link.is_symlink()
    assert load(path).public == new.public


def test_a_comment_is_one_line(path: Path, key: PrivateKey) -> None:
    key.comment = "me\nssh-ed25519 AAAA other"
    save_public(path, key)
    assert public_path(path).read_text().count("\n") == 1


def test_the_comment_of_the_public_half_counts_for_its_own_key_only(path: Path) -> None:
    other = generate("ssh-ed25519", comment="")
    save(path, other, None, QUICK)
    assert [*keys_in(path)] == [(other.public, "")]
    other.comment = "beside"
    save_public(path, other)
    assert [*keys_in(path)] == [(other.public, "beside")]
    assert load(path).comment == ""


def test_a_key_that_others_may_read_is_refused(path: Path) -> None:
    path.chmod(0o644)
    with pytest.raises(UnusableKey):
        load(path)


def test_a_file_that_is_too_large_is_no_key_file(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(MAXIMUM_SIZE + 1))
    with pytest.raises(KeyFormatError, match=f"larger than {MAXIMUM_SIZE} bytes"):
        read(path)


def test_public_keys_of_every_kind_of_file(path: Path, key: PrivateKey, tmp_path: Path) -> None:
    save(path, key, "secret", QUICK)
    lines = tmp_path / "lines"
    lines.write_text(
        f"# comment\nrestrict {key.public} one\n{key.public}\nhost,other {key.public}\nnot a key\n"
    )
    assert [*keys_in(path)] == [(key.public, "me@here")]
    assert [*keys_in(public_path(path))] == [(key.public, "me@here")]
    assert [*keys_in(lines)] == [
        (key.public, "one"),
        (key.public, "no comment"),
        (key.public, "host,other"),
    ]
