"""Export and import of keys, and the format and cipher of new files."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.keygen.programs import Keygen, mode
from nacre import PrivateKeyFormat, PublicKeyFormat, dump_private, dump_public, generate
from nacre.keys import load_private, load_public

KEY = generate("ecdsa-sha2-nistp256", comment="mine")
FORMATS: dict[str, PublicKeyFormat] = {"RFC4716": "rfc4716", "PKCS8": "pkcs8"}


def put(name: str, content: bytes) -> Path:
    file = Path(name)
    file.write_bytes(content)
    file.chmod(0o600)
    return file


@pytest.mark.parametrize("name", FORMATS)
def test_there_and_back(keygen: Keygen, name: str) -> None:
    put("key", dump_private(KEY))
    done = keygen("-e", "-m", name, "-f", "key")
    assert (done.exit_code, done.stderr) == (0, "")
    assert load_public(done.stdout)[0] == KEY.public
    put("theirs", done.stdout.encode())
    for letter in ("-i", "-X"):
        assert keygen(letter, "-m", name.lower(), "-f", "theirs").stdout == f"{KEY.public}\n"


def test_the_comment_fits_a_line(keygen: Keygen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "h" * 64)
    put("key", dump_private(KEY))
    lines = keygen("-e", "-f", "key").stdout.splitlines()
    assert lines[1].startswith('Comment: "256-bit ECDSA, converted by ')
    assert len(lines[1]) == len('Comment: ""') + 60


def test_of_an_encrypted_key_the_public_half_is_enough(keygen: Keygen) -> None:
    forms: list[PrivateKeyFormat] = ["openssh", "ppk3"]
    for form in forms:
        put("key", dump_private(KEY, "secret", format=form, rounds=1))
        assert keygen("-e", "-f", "key").exit_code == 0
    put("key", dump_private(KEY, "secret", format="pem"))
    assert keygen("-e", "-f", "key").exit_code == 1  # there is no answer to its question
    assert keygen("-e", "-f", "key", "-P", "wrong").exit_code == 255
    expected = keygen("-e", "-f", "key", "-P", "secret").stdout
    assert load_public(expected)[0] == KEY.public
    put("key.pub", dump_public(KEY.public))
    assert keygen("-e", "-f", "key").stdout == expected


@pytest.mark.parametrize(
    ("content", "words", "says"),
    [
        (dump_public(KEY.public, format="pkcs8"), ["-i"], "give -m PKCS8"),
        (dump_public(KEY.public, format="rfc4716"), ["-i", "-m", "PEM"], "give -m RFC4716"),
        (dump_public(KEY.public), ["-i"], "no BEGIN line"),
        (dump_private(KEY, format="pem"), ["-i", "-m", "PEM"], "it has EC PRIVATE KEY"),
        (b"nothing", ["-e"], "not a public key"),
    ],
    ids=range(5),
)
def test_what_is_not_converted(keygen: Keygen, content: bytes, words: list[str], says: str) -> None:
    put("key", content)
    done = keygen(*words, "-f", "key")
    assert (done.exit_code, done.stdout) == (255, "")
    assert says in done.stderr
    assert done.stderr.startswith("key: ")


@pytest.mark.parametrize(
    ("type", "form", "begins"),
    [
        ("ecdsa", "PEM", "EC PRIVATE KEY"),
        ("ecdsa", "pkcs8", "PRIVATE KEY"),
        ("ecdsa", "RFC4716", "OPENSSH PRIVATE KEY"),
        ("ed25519", "PEM", "OPENSSH PRIVATE KEY"),
        ("ed25519", "PKCS8", "OPENSSH PRIVATE KEY"),
    ],
)
def test_the_format_of_new_files(keygen: Keygen, type: str, form: str, begins: str) -> None:
    assert keygen("-q", "-t", type, "-m", form, "-N", "", "-f", "key").output == ""
    assert Path("key").read_text().startswith(f"-----BEGIN {begins}-----\n")
    assert mode(Path("key")) == 0o600
    # Without -m it is OpenSSH's again.
    assert keygen("-q", "-p", "-N", "", "-f", "key").output == ""
    assert Path("key").read_text().startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")


def test_the_cipher_of_new_files(keygen: Keygen) -> None:
    words = ["-q", "-a", "1", "-N", "secret", "-f", "key"]
    for cipher in ("aes128-gcm@openssh.com", "3des-cbc"):
        Path("key").unlink(missing_ok=True)
        assert keygen("-Z", cipher, *words).output == ""
        assert load_private(Path("key").read_bytes(), "secret")
    for cipher in ("none", "rot13"):
        done = keygen("-Z", cipher, *words)
        assert done.exit_code == 255
        assert "aes256-ctr" in done.stderr
