"""``-M generate`` and ``-M screen``. Beside ssh-keygen: tests/interop/test_keygen.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.keygen.programs import Keygen
from nacre.cli.keygen.moduli import command
from nacre.cli.keygen.moduli.lines import parse_modulus
from nacre.cli.keygen.moduli.sieve import candidates

SAFE = (
    "B87214869D766697C3BEE53E6574E19B860A97045E3126036211DE5E77C96956240675C3D2AA03C9E091CC3643ADCD8B"
    "F15A7F81FA95C5A163F1AA5701FCF60F"
)
"""A safe prime of 512 bits with the generator 5."""

Q = f"{(int(SAFE, 16) - 1) // 2:X}"
START = f"{(int(SAFE, 16) - 1) // 2 - 200:X}"

LINES = [
    f"20260101000000 4 2 0 510 0 {Q}",
    "# comment",
    f"20260101000000 4 2 0 510 0 {Q[:-1]}1",
    f"20260101000000 2 6 100 511 5 {SAFE}",
    f"20260101000000 2 7 100 511 5 {SAFE}",
]


@pytest.fixture
def screened(keygen: Keygen) -> Keygen:
    Path("in").write_text("\n".join(LINES) + "\n")
    return keygen


def found() -> list[str]:
    return [line.partition(" ")[2] for line in Path("out").read_text().splitlines()]


NEW = f"2 6 4 511 5 {SAFE}"
OLD = f"2 6 104 511 5 {SAFE}"


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ([], [NEW, OLD]),
        (["-Olines=1"], [NEW]),
        (["-Ostart-line=1"], [OLD]),
        (["-Ostart-line=1", "-O", "lines=2"], []),
        (["-Ogenerator=5"], [NEW, OLD]),
        (["-Ogenerator=2"], []),
    ],
)
def test_safe_primes_are_selected(screened: Keygen, options: list[str], lines: list[str]) -> None:
    done = screened("-M", "screen", "-f", "in", *options, "-Oprime-tests=4", "out")
    assert (done.exit_code, done.stdout) == (0, "")
    assert f"Found {len(lines)} safe primes" in done.stderr
    assert found() == lines


def test_lines_of_standard_input_are_added_to_the_file(keygen: Keygen) -> None:
    for _ in range(2):
        keygen("-M", "screen", "-Oprime-tests=4", "out", typed=f"{LINES[0]}\n")
    assert found() == [NEW, NEW]


def test_a_checkpoint(screened: Keygen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_BETWEEN_CHECKPOINTS", -1.0)
    saved: list[bytes] = []
    monkeypatch.setattr(command, "replace", lambda path, text, mode: saved.append(text))
    Path("saved").write_text("3\n")
    screened("-M", "screen", "-f", "in", "-Oprime-tests=4", "-Ocheckpoint=saved", "out")
    assert found() == [OLD]
    assert saved == [b"4\n", b"5\n"]
    assert not Path("saved").exists()


def test_candidates(keygen: Keygen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        command, "candidates", lambda start, size: candidates(start, size >> 10, 2**10)
    )
    done = keygen("-M", "generate", "-Obits=512", f"-Ostart={START}", "-Omemory=1", "out")
    assert done.exit_code == 0, done.stderr
    numbers = [parse_modulus(line) for line in Path("out").read_text().splitlines()]
    assert any(one is not None and one.number == int(Q, 16) for one in numbers)
    assert all(
        one is not None and (one.type, one.tests, one.trials) == (4, 2, 0) for one in numbers
    )
    keygen("-M", "generate", "-Obits=512", "-Omemory=1", "out")
    assert parse_modulus(Path("out").read_text().split("\n")[0]) is not None


@pytest.mark.parametrize(
    ("options", "status"),
    [
        (["out", "more"], 255),
        ([], 255),
        (["-Obits=100", "out"], 255),
        (["-Obits=x", "out"], 255),
        (["-Ounknown=1", "out"], 255),
        (["-Ocheckpoint", "out"], 255),
        (["-Ostart=xyz", "out"], 255),
        (["-Obits=512", "-Ostart=10", "out"], 255),
    ],
)
def test_wrong_options(keygen: Keygen, options: list[str], status: int) -> None:
    assert keygen("-M", "generate", *options).exit_code == status
    assert not Path("out").exists()
