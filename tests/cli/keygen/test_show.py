"""Fingerprints and public halves."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.keygen.programs import Keygen
from nacre.keys import generate, load_public


@pytest.mark.slow
def test_the_public_half(keygen: Keygen, made: Path) -> None:
    expected = Path("key.pub").read_text()
    assert keygen("-y", "-f", "key", "-P", "old").stdout == expected
    assert keygen("-y", "-f", "key", typed="old\n").stdout == expected
    for done in (
        keygen("-y", "-f", "key", "-P", "wrong"),
        keygen("-y", "-f", "key", typed="wrong\n"),
    ):
        assert (done.stdout, done.exit_code) == ("", 255)
        assert 'Load key "key": ' in done.stderr


def test_a_key_that_others_can_read(keygen: Keygen, made: Path) -> None:
    made.chmod(0o644)
    done = keygen("-y", "-f", "key", "-P", "old")
    assert done.exit_code == 255
    assert "let others read it" in done.stderr
    assert keygen("-l", "-f", "key").exit_code == 0
    # A public key may be read by all: that is not what is wrong here.
    assert "this is a public key" in keygen("-y", "-f", "key.pub").stderr


def test_fingerprints(keygen: Keygen, made: Path) -> None:
    public = load_public(Path("key.pub").read_text())[0]
    label = "RSA1" if public.type == "rsa1" else "ED25519"
    shown = f"{public.bits} {public.fingerprint()} me ({label})\n"
    assert keygen("-l", "-f", "key").stdout == shown
    assert keygen("-l", "-f", "key.pub").stdout == shown
    md5 = f"{public.bits} {public.fingerprint('md5')} me ({label})\n"
    assert keygen("-l", "-E", "md5", "-f", "key").stdout == md5
    # A public half of another key tells nothing.
    Path("key.pub").write_text(f"{generate('ssh-ed25519').public} you\n")
    if label == "ED25519":
        shown = shown.replace(" me ", " no comment ")
        assert keygen("-l", "-f", "key").stdout == shown


def test_fingerprints_of_lists(keygen: Keygen) -> None:
    one, two = (generate("ssh-ed25519").public for _ in range(2))
    old = generate("rsa1", bits=1024).public
    lines = [
        "# a comment",
        f"{one} first",
        f'from="a, b",no-pty {two} second',
        f"host,192.0.2.1 {one}",
        f"{old} third",
        f"[host]:2222 {old}",
        "nonsense",
        f"{two}",
    ]
    Path("list").write_text("\n".join(lines))
    shown = [
        f"256 {one.fingerprint()} first (ED25519)",
        f"256 {two.fingerprint()} second (ED25519)",
        f"256 {one.fingerprint()} host,192.0.2.1 (ED25519)",
        f"1024 {old.fingerprint()} third (RSA1)",
        f"1024 {old.fingerprint()} [host]:2222 (RSA1)",
        f"256 {two.fingerprint()} no comment (ED25519)",
    ]
    assert keygen("-l", "-f", "list").stdout.splitlines() == shown
    Path("list").write_text("nonsense\n")
    assert keygen("-l", "-f", "list").stderr == "list is not a public key file.\n"
