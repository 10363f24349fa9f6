"""``nacre keygen``: which of its parts is called. What others make of its keys: tests/interop."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.keygen.programs import Keygen


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-t", "rsa", "-b", "512"], "an RSA key has from 1024"),
        (["-t", "rsa1", "-b", "512"], "a new RSA1 key has from 1024"),
        (["-t", "ecdsa", "-b", "300"], "Invalid ECDSA key length"),
        (["-l", "-f", "none"], "none: No such file"),
        (["-y", "-f", "none"], "none: No such file"),
    ],
)
def test_what_can_not_be(keygen: Keygen, words: list[str], said: str) -> None:
    done = keygen("-q", *words, *([] if "-f" in words else ["-f", "key", "-N", ""]))
    assert done.exit_code == 255
    assert said in done.stderr
    assert not Path("key").exists()


def test_one_thing_at_a_time(keygen: Keygen) -> None:
    assert keygen("-p", "-c", "-f", "key").exit_code == 1
    assert keygen("-t", "unknown", "-f", "key").exit_code == 255


def test_the_first_of_several_actions_counts(keygen: Keygen) -> None:
    # As in ssh-keygen, which lists no keys here.
    assert "not found" in keygen("-R", "h", "-y", "-f", "/dev/null").stderr


def test_a_wrong_command_line_shows_how_it_is_done(keygen: Keygen) -> None:
    done = keygen("-d")
    assert done.exit_code == 1
    assert done.stderr.startswith("nacre keygen: option -d not recognized\nusage: nacre keygen [-")
    done = keygen("--help")
    assert (done.exit_code, done.stderr) == (0, "")
