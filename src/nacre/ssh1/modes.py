"""Terminal modes: in SSH-1 the arguments of opcodes 1-127 have one byte, in SSH-2 four."""

from __future__ import annotations

from struct import Struct

from nacre.protocol import modes
from nacre.protocol.modes import Mode
from nacre.wire.codec import Buffer

_U32 = Struct(">I")
_FIRST_LONG = 128
_SPEEDS: dict[int, int] = {192: Mode.TTY_OP_ISPEED, 193: Mode.TTY_OP_OSPEED}
_NUMBERS = {speed: number for number, speed in _SPEEDS.items()}
_FIRST_UNDEFINED = 160


def to_ssh2(data: Buffer) -> bytes:
    """Return SSH-1's encoded modes in SSH-2's encoding, up to the first unknown opcode."""
    found: dict[int, int] = {}
    at = 0
    while at < len(data) and (opcode := data[at]) != Mode.TTY_OP_END:
        known = _SPEEDS.get(opcode, opcode)
        size = 1 if known < _FIRST_LONG else 4
        if known >= _FIRST_UNDEFINED or at + 1 + size > len(data):
            break
        found[known] = int.from_bytes(data[at + 1 : at + 1 + size], "big")
        at += 1 + size
    return modes.encode(found)


def from_ssh2(data: Buffer) -> bytes:
    """Return SSH-2's encoded modes in SSH-1's encoding."""
    parts = []
    for opcode, argument in modes.decode(data).items():
        if opcode < _FIRST_LONG:
            parts.append(bytes((opcode, argument & 0xFF)))
        else:
            parts.append(bytes((_NUMBERS.get(opcode, opcode),)) + _U32.pack(argument))
    return b"".join(parts) + bytes((Mode.TTY_OP_END,))
