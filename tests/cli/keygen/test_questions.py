"""What is asked, and where."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cli.keygen.programs import Keygen
from nacre.cli.common import prompts
from nacre.errors import PassphraseRequired
from nacre.keys import load_private


def test_the_passphrase_is_asked_for_until_it_is_typed_twice(keygen: Keygen) -> None:
    done = keygen("-f", "key", typed="one\ntwo\nsecret\nsecret\n")
    assert done.exit_code == 0
    assert "Passphrases do not match.  Try again." in done.stdout
    text = Path("key").read_bytes()
    with pytest.raises(PassphraseRequired):
        load_private(text)
    assert load_private(text, "secret")


def test_no_passphrase_makes_no_key(keygen: Keygen, tmp_path: Path) -> None:
    done = keygen("-f", "key", typed="secret\n")
    assert done.exit_code == 1
    assert "no answer" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_passphrases_are_typed_on_the_terminal_without_echo(keygen: Keygen) -> None:
    """Not as an argument, and not where a pipe is: there may be other things in it."""
    import pty
    import threading

    master, slave = pty.openpty()
    prompts.TTY = os.ttyname(slave)
    seen = bytearray()

    def human() -> None:
        for answer in (b"secret\n", b"secret\n"):
            while not seen.endswith((b"passphrase): ", b"again: ")):
                seen.extend(os.read(master, 1000))
            seen.extend(b"|")
            os.write(master, answer)

    typing = threading.Thread(target=human, daemon=True)
    typing.start()
    done = keygen("-q", "-f", "key", typed="from the pipe\n")
    typing.join(30)
    os.close(master)
    os.close(slave)
    assert done.exit_code == 0
    assert b"secret" not in seen
    assert load_private(Path("key").read_bytes(), "secret")
