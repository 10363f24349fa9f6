"""New keys: what is asked, said and written."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.keygen.programs import Keygen, mode
from nacre.keys import load_private, load_public


@pytest.mark.parametrize(
    ("type", "name", "wire", "bits"),
    [
        ("ed25519", "id_ed25519", "ssh-ed25519", 256),
        ("ecdsa", "id_ecdsa", "ecdsa-sha2-nistp256", 256),
        ("rsa", "id_rsa", "ssh-rsa", 3072),
        ("rsa1", "identity", "rsa1", 2048),
    ],
)
def test_a_key_in_its_usual_place(
    keygen: Keygen, tmp_path: Path, type: str, name: str, wire: str, bits: int
) -> None:
    done = keygen("-t", type, "-C", "me", typed="\n\n\n")
    assert done.exit_code == 0, done.output
    file = tmp_path / ".ssh" / name
    assert mode(tmp_path / ".ssh") == 0o700
    assert (mode(file), mode(file.with_suffix(".pub"))) == (0o600, 0o644)
    key = load_private(file.read_bytes())
    assert (key.public.type, key.public.bits, key.comment) == (wire, bits, "me")
    assert load_public(file.with_suffix(".pub").read_bytes()) == (key.public, "me")
    said = done.stdout
    for text in (
        f"Generating public/private {type} key pair.",
        f"Enter file in which to save the key ({file}): Created directory",
        f"Your identification has been saved in {file}\n",
        f"Your public key has been saved in {file}.pub\n",
        f"The key fingerprint is:\n{key.public.fingerprint()} me\n",
    ):
        assert text in said
    assert ("works with SSH-1 only, which is weak" in said) is (type == "rsa1")


def test_quiet(keygen: Keygen, tmp_path: Path) -> None:
    done = keygen("-q", "-t", "rsa1", "-N", "", "-f", "key")
    assert (done.output, done.exit_code) == ("", 0)
    assert (tmp_path / "key").exists()


@pytest.mark.parametrize(("typed", "status"), [("n\n", 1), ("", 1), ("y\n", 0), ("Yes\n", 0)])
def test_overwriting(keygen: Keygen, typed: str, status: int) -> None:
    Path("key").write_text("what was there")
    done = keygen("-q", "-f", "key", "-N", "", typed=typed)
    assert done.exit_code == status
    assert "key already exists.\nOverwrite (y/n)? " in done.stdout
    assert (Path("key").read_text() == "what was there") is (status == 1)
    assert [*Path().glob(".*")] == []


def test_a_link_stays_one(keygen: Keygen, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    Path("key").symlink_to("elsewhere/key")
    assert keygen("-q", "-f", "key", "-N", "").exit_code == 0
    assert Path("key").is_symlink()
    assert mode(tmp_path / "elsewhere" / "key") == 0o600


def test_a_disk_that_says_no(keygen: Keygen) -> None:
    done = keygen("-q", "-f", "none/key", "-N", "")
    assert done.exit_code == 1
    assert done.stderr == 'Saving key "none/key" failed: No such file or directory\n'


@pytest.mark.parametrize(
    ("words", "name", "wire"),
    [
        ("-t ecdsa -b 521", "id_ecdsa", "ecdsa-sha2-nistp521"),
        ("-t ecdsa-sha2-nistp384 -b 256", "id_ecdsa", "ecdsa-sha2-nistp384"),
        ("-t RSA -b 1024", "id_rsa", "ssh-rsa"),
        ("-t rsa-sha2-256 -b 1024", "id_rsa", "ssh-rsa"),
        ("-t ssh-ed25519 -b 99", "id_ed25519", "ssh-ed25519"),
        ("-t ed448", "id_ed448", "ssh-ed448"),
        ("-t mldsa44-ed25519", "id_mldsa44_ed25519", "ssh-mldsa44-ed25519@openssh.com"),
    ],
)
def test_types_have_several_names(
    keygen: Keygen, tmp_path: Path, words: str, name: str, wire: str
) -> None:
    done = keygen(*words.split(), "-N", "", typed="\n")
    assert done.exit_code == 0, done.output
    key, comment = load_public((tmp_path / ".ssh" / f"{name}.pub").read_bytes())
    assert key.type == wire
    assert comment.count("@") == 1
    assert "The key's randomart image is:\n+" in done.stdout


def test_host_keys_that_can_not_be_written(keygen: Keygen) -> None:
    Path("none/etc").mkdir(parents=True)
    done = keygen("-A", "-f", "none")
    assert done.exit_code == 255
    assert (
        "Could not save your private key in none/etc/ssh/ssh_host_rsa_key: No such" in done.stderr
    )
