"""Terminal modes: SSH-1 gives opcodes 1-127 arguments of one byte, where SSH-2 has four."""

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
    """Return SSH-1's stream of modes as SSH-2 has it; what follows an unknown opcode is dropped."""
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
    """Return SSH-2's stream of modes as SSH-1 has it."""
    parts = []
    for opcode, argument in modes.decode(data).items():
        if opcode < _FIRST_LONG:
            parts.append(bytes((opcode, argument & 0xFF)))
        else:
            parts.append(bytes((_NUMBERS.get(opcode, opcode),)) + _U32.pack(argument))
    return b"".join(parts) + bytes((Mode.TTY_OP_END,))
