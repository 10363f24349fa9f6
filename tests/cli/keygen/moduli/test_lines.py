"""The format of moduli(5)."""

from __future__ import annotations

import pytest

from nacre.cli.keygen.moduli.lines import Modulus, parse_modulus


def test_a_line_is_read_as_it_was_written() -> None:
    modulus = Modulus(2, 6, 100, 5, 2**511 + 0xABC)
    line = modulus.line(0.0)
    assert line.startswith("19700101000000 2 6 100 511 5 8000")
    assert line.endswith("0ABC")
    assert parse_modulus(f"{line}\n") == modulus


@pytest.mark.parametrize(
    "line",
    [
        "",
        "# 20260101000000 2 6 100 3 5 F",
        "20260101000000 2 6 100 3 5",
        "20260101000000 2 6 100 3 5 F more",
        "20260101000000 2 6 100 4 5 F",
        "20260101000000 2 6 100 3 5 X",
        "20260101000000 2 -6 100 3 5 F",
        "20260101000000 2 6 100 3 -5 F",
        "20260101000000 2 6 99999999999 3 5 F",
        "date 2 6 100 3 5 F",
    ],
)
def test_other_lines(line: str) -> None:
    assert parse_modulus(line) is None


def test_a_long_line_takes_no_time() -> None:
    assert parse_modulus("20260101000000 2 6 100 3 5 " + "F" * 10_000_000) is None
