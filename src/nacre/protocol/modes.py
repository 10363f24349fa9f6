"""Encoded terminal modes: the client's terminal settings in ``pty-req`` (RFC 4254 section 8)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from struct import Struct

from nacre.wire.codec import Buffer

_MODE = Struct(">BI")
_FIRST_WITHOUT_LAYOUT = 160


class Mode(IntEnum):
    """Opcodes of terminal modes; ``IUTF8`` is from RFC 8160."""

    TTY_OP_END = 0
    VINTR = 1
    VQUIT = 2
    VERASE = 3
    VKILL = 4
    VEOF = 5
    VEOL = 6
    VEOL2 = 7
    VSTART = 8
    VSTOP = 9
    VSUSP = 10
    VDSUSP = 11
    VREPRINT = 12
    VWERASE = 13
    VLNEXT = 14
    VFLUSH = 15
    VSWTCH = 16
    VSTATUS = 17
    VDISCARD = 18
    IGNPAR = 30
    PARMRK = 31
    INPCK = 32
    ISTRIP = 33
    INLCR = 34
    IGNCR = 35
    ICRNL = 36
    IUCLC = 37
    IXON = 38
    IXANY = 39
    IXOFF = 40
    IMAXBEL = 41
    IUTF8 = 42
    ISIG = 50
    ICANON = 51
    XCASE = 52
    ECHO = 53
    ECHOE = 54
    ECHOK = 55
    ECHONL = 56
    NOFLSH = 57
    TOSTOP = 58
    IEXTEN = 59
    ECHOCTL = 60
    ECHOKE = 61
    PENDIN = 62
    OPOST = 70
    OLCUC = 71
    ONLCR = 72
    OCRNL = 73
    ONOCR = 74
    ONLRET = 75
    CS7 = 90
    CS8 = 91
    PARENB = 92
    PARODD = 93
    TTY_OP_ISPEED = 128
    TTY_OP_OSPEED = 129


def encode(modes: Mapping[int, int]) -> bytes:
    """Return ``modes`` (opcode -> uint32 argument) as bytes that end with ``TTY_OP_END``.

    :raises ValueError: an opcode is not in 1-159, or an argument is not a uint32.
    """
    for opcode, argument in modes.items():
        if not 0 < opcode < _FIRST_WITHOUT_LAYOUT or not 0 <= argument < 1 << 32:
            raise ValueError(f"terminal mode {opcode} = {argument} can't be encoded")
    return b"".join(_MODE.pack(*mode) for mode in modes.items()) + b"\x00"


def decode(data: Buffer) -> dict[int, int]:
    """Return opcode -> argument of the modes in ``data``; opcodes are in 1-159.

    Parsing ends at ``TTY_OP_END``, at an opcode of 160 or more, whose argument has no known layout,
    and at an argument that is cut off. The modes before that are returned.
    """
    modes: dict[int, int] = {}
    for position in range(0, len(data) - _MODE.size + 1, _MODE.size):
        opcode, argument = _MODE.unpack_from(data, position)
        if opcode == Mode.TTY_OP_END or opcode >= _FIRST_WITHOUT_LAYOUT:
            break
        modes[opcode] = argument
    return modes
