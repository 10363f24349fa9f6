"""Terminal modes between the two encodings."""

from __future__ import annotations

import pytest

from nacre.protocol import modes
from nacre.protocol.modes import Mode
from nacre.ssh1.modes import from_ssh2, to_ssh2

MODES: dict[int, int] = {
    Mode.VINTR: 3,
    Mode.ECHO: 1,
    Mode.TTY_OP_ISPEED: 38400,
    Mode.TTY_OP_OSPEED: 9600,
}
ENCODED = (
    bytes((Mode.VINTR, 3, Mode.ECHO, 1, 192))
    + (38400).to_bytes(4, "big")
    + b"\xc1"
    + (9600).to_bytes(4, "big")
    + b"\0"
)


def test_characters_have_one_byte_and_speeds_other_numbers() -> None:
    assert from_ssh2(modes.encode(MODES)) == ENCODED


def test_there_and_back() -> None:
    assert modes.decode(to_ssh2(ENCODED)) == MODES
    assert from_ssh2(to_ssh2(ENCODED)) == ENCODED


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"\0\x01\x03",
        b"\xff\x01\x03",
        b"\x01",
        b"\xc0\0\0\0",
    ],
    ids=["nothing", "the end", "behind the end", "an unknown opcode", "cut off", "a cut speed"],
)
def test_what_can_not_be_read_gives_no_modes(data: bytes) -> None:
    assert to_ssh2(data) == b"\0"


def test_what_came_before_a_cut_counts() -> None:
    assert modes.decode(to_ssh2(bytes((Mode.VINTR, 3, Mode.ECHO)))) == {Mode.VINTR: 3}


def test_a_large_argument_keeps_its_low_byte() -> None:
    assert from_ssh2(modes.encode({Mode.ECHO: 0x1FF})) == bytes((Mode.ECHO, 0xFF, 0))
