"""Other passphrases and comments."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.keygen.programs import Keygen, mode
from nacre.keys import load_private, load_public


@pytest.mark.slow
def test_another_passphrase(keygen: Keygen, made: Path) -> None:
    done = keygen("-p", "-f", "key", typed="old\nnew\nnew\n")
    assert done.exit_code == 0, done.output
    assert "Key has comment 'me'" in done.stdout
    assert "saved with the new passphrase" in done.stdout
    assert load_private(made.read_bytes(), "new").comment == "me"
    assert mode(made) == 0o600
    # None at all.
    assert keygen("-q", "-p", "-f", "key", "-P", "new", "-N", "").output == ""
    assert load_private(made.read_bytes())


@pytest.mark.slow
def test_passphrases_that_differ_change_nothing(keygen: Keygen, made: Path) -> None:
    before = made.read_bytes()
    done = keygen("-p", "-f", "key", typed="old\nnew\nnewer\n")
    assert (done.exit_code, done.stderr) == (1, "Pass phrases do not match.  Try again.\n")
    assert keygen("-p", "-f", "key", typed="wrong\nnew\nnew\n").exit_code == 255
    assert made.read_bytes() == before


@pytest.mark.slow
def test_another_comment(keygen: Keygen, made: Path) -> None:
    done = keygen("-c", "-f", "key", "-P", "old", typed="somebody else\n")
    assert done.exit_code == 0
    assert "Old comment: me\nNew comment: Comment 'somebody else' applied\n" in done.stdout
    assert load_private(made.read_bytes(), "old").comment == "somebody else"
    assert load_public(Path("key.pub").read_text())[1] == "somebody else"


@pytest.mark.slow
def test_a_comment_adds_no_line(keygen: Keygen, made: Path) -> None:
    assert keygen("-q", "-c", "-f", "key", "-P", "old", "-C", "a\nssh-rsa b").exit_code == 0
    assert Path("key.pub").read_text().count("\n") == 1
    assert keygen("-y", "-f", "key", "-P", "old").stdout.count("\n") == 1
