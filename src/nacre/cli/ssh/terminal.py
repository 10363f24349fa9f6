"""The local terminal: its size, and its modes as SSH encodes them."""

from __future__ import annotations

import fcntl
import struct
import termios
from typing import Any, NamedTuple

from nacre.wire.codec import u8, u32


class Size(NamedTuple):
    """Columns and rows in characters, width and height in pixels (0 if unknown)."""

    columns: int
    rows: int
    width: int
    height: int


def size(descriptor: int) -> Size:
    """Return a terminal's size; 80 by 24 if the terminal reports none.

    :raises OSError: ``descriptor`` is not a terminal.
    """
    data = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, bytes(8))
    rows, columns, width, height = struct.unpack("HHHH", data)
    return Size(columns or 80, rows or 24, width, height)


# Opcodes of RFC 4254 section 8 and the POSIX names of their modes. Modes that this system's termios
# lacks are not sent.
_CHARACTERS = {
    1: "VINTR", 2: "VQUIT", 3: "VERASE", 4: "VKILL", 5: "VEOF", 6: "VEOL", 7: "VEOL2",
    8: "VSTART", 9: "VSTOP", 10: "VSUSP", 11: "VDSUSP", 12: "VREPRINT", 13: "VWERASE",
    14: "VLNEXT", 16: "VSWTC", 17: "VSTATUS", 18: "VDISCARD",
}  # fmt: skip
_INPUT = {
    30: "IGNPAR", 31: "PARMRK", 32: "INPCK", 33: "ISTRIP", 34: "INLCR", 35: "IGNCR",
    36: "ICRNL", 37: "IUCLC", 38: "IXON", 39: "IXANY", 40: "IXOFF", 41: "IMAXBEL", 42: "IUTF8",
}  # fmt: skip
_LOCAL = {
    50: "ISIG", 51: "ICANON", 52: "XCASE", 53: "ECHO", 54: "ECHOE", 55: "ECHOK", 56: "ECHONL",
    57: "NOFLSH", 58: "TOSTOP", 59: "IEXTEN", 60: "ECHOCTL", 61: "ECHOKE", 62: "PENDIN",
}  # fmt: skip
_OUTPUT = {70: "OPOST", 71: "OLCUC", 72: "ONLCR", 73: "OCRNL", 74: "ONOCR", 75: "ONLRET"}
_CONTROL = {90: "CS7", 91: "CS8", 92: "PARENB", 93: "PARODD"}
_ISPEED, _OSPEED, _END = 128, 129, 0
# Missing in Python's termios; the value is that of Linux (asm-generic/termbits.h).
_IUTF8 = 0x4000
_DISABLED = 0
_NOT_SET = 255


def encode_modes(attributes: list[Any]) -> bytes:
    """Encode the result of :func:`termios.tcgetattr` as terminal modes (RFC 4254 section 8)."""
    iflag, oflag, cflag, lflag, ispeed, ospeed, characters = attributes
    encoded = [_mode(_ISPEED, _baud(ispeed)), _mode(_OSPEED, _baud(ospeed))]
    for opcode, name in _CHARACTERS.items():
        index = getattr(termios, name, None)
        if index is not None:
            character = ord(characters[index])
            encoded.append(_mode(opcode, _NOT_SET if character == _DISABLED else character))
    for table, flags in ((_INPUT, iflag), (_LOCAL, lflag), (_OUTPUT, oflag), (_CONTROL, cflag)):
        for opcode, name in table.items():
            bits = getattr(termios, name, _IUTF8 if name == "IUTF8" else None)
            if bits is not None:
                # CS7 and CS8 are values of a field of several bits, not flags.
                field = termios.CSIZE if name in ("CS7", "CS8") else bits
                encoded.append(_mode(opcode, int(flags & field == bits)))
    return b"".join(encoded) + u8(_END)


def _mode(opcode: int, value: int) -> bytes:
    return u8(opcode) + u32(value)


def _baud(speed: int) -> int:
    for name in dir(termios):
        if name[:1] == "B" and name[1:].isdigit() and getattr(termios, name) == speed:
            return int(name[1:])
    return 38400
