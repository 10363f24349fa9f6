"""Pseudo-terminals: opened, with the size and the modes of the client's terminal."""

from __future__ import annotations

import fcntl
import grp
import os
import struct
import termios
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from nacre.daemon.processes.child import ProcessCredentials
from nacre.protocol.modes import Mode, decode
from nacre.server.session import Terminal

_IFLAG, _OFLAG, _CFLAG, _LFLAG, _ISPEED, _OSPEED, _CC = range(7)

_FLAGS = {
    _IFLAG: "IGNPAR PARMRK INPCK ISTRIP INLCR IGNCR ICRNL IUCLC IXON IXANY IXOFF IMAXBEL",
    _OFLAG: "OPOST OLCUC ONLCR OCRNL ONOCR ONLRET",
    _CFLAG: "PARENB PARODD",
    _LFLAG: "ISIG ICANON XCASE ECHO ECHOE ECHOK ECHONL NOFLSH TOSTOP IEXTEN ECHOCTL ECHOKE PENDIN",
}
"""The flags in each field of the attributes; RFC 4254 section 8 has the names of POSIX."""

_CHARACTERS = (
    "VINTR VQUIT VERASE VKILL VEOF VEOL VEOL2 VSTART VSTOP VSUSP VDSUSP VREPRINT VWERASE VLNEXT "
    "VSWTCH VSTATUS VDISCARD"
)
_NO_CHARACTER = 255
_LINUX_IUTF8 = 0o040000
_DISABLED = b"\0"  # _POSIX_VDISABLE of Linux

# Some of the names do not exist on every system.
_FLAG_BITS = {
    Mode[name]: (field, getattr(termios, name))
    for field, names in _FLAGS.items()
    for name in names.split()
    if hasattr(termios, name)
}
_FLAG_BITS[Mode.IUTF8] = (_IFLAG, getattr(termios, "IUTF8", _LINUX_IUTF8))
_CC_INDEX = {
    Mode[name]: getattr(termios, name) for name in _CHARACTERS.split() if hasattr(termios, name)
}
_SPEEDS = {
    int(name[1:]): getattr(termios, name)
    for name in dir(termios)
    if name[0] == "B" and name[1:].isdigit() and name != "B0"  # B0 hangs up
}


def open_terminal(wanted: Terminal, owner: ProcessCredentials | None) -> tuple[int, int, str]:
    """Return master, slave and the slave's path; the caller closes both.

    :param owner: the account that gets the slave; None leaves it with this process's.
    :raises OSError: no terminal is available.
    """
    master, slave = os.openpty()
    try:
        tty = _tty_group()
        if owner is not None:
            os.fchown(slave, owner.uid, owner.gid if tty is None else tty)
        os.fchmod(slave, 0o620 if os.fstat(slave).st_gid == tty else 0o600)
        resize(master, wanted)
        set_modes(slave, decode(wanted.modes))
        return master, slave, os.ttyname(slave)
    except BaseException:
        os.close(master)
        os.close(slave)
        raise


def _tty_group() -> int | None:
    """Return the group of programs that may write to every terminal, such as wall(1)."""
    try:
        return grp.getgrnam("tty").gr_gid
    except KeyError:
        return None


def resize(terminal: int, size: Terminal) -> None:
    """Set the size; the kernel sends SIGWINCH to the foreground process group."""
    # struct winsize has unsigned shorts where the protocol has uint32.
    values = (min(n, 0xFFFF) for n in (size.rows, size.columns, size.width, size.height))
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *values))


def set_modes(terminal: int, modes: Mapping[int, int]) -> None:
    """Apply those of ``modes`` (opcode -> argument) that this system supports."""
    attributes: list[Any] = termios.tcgetattr(terminal)
    for opcode, argument in modes.items():
        _apply(attributes, opcode, argument)
    # A terminal refuses modes that it can't have; the session then continues without them.
    with suppress(termios.error):
        termios.tcsetattr(terminal, termios.TCSANOW, attributes)


def _apply(attributes: list[Any], opcode: int, argument: int) -> None:
    if opcode in _FLAG_BITS:
        field, bit = _FLAG_BITS[Mode(opcode)]
        attributes[field] = attributes[field] | bit if argument else attributes[field] & ~bit
    elif opcode in _CC_INDEX:
        disabled = argument == _NO_CHARACTER
        character = _DISABLED if disabled else bytes([argument & 0xFF])
        attributes[_CC][_CC_INDEX[Mode(opcode)]] = character
    elif opcode in (Mode.CS7, Mode.CS8) and argument:
        width = termios.CS7 if opcode == Mode.CS7 else termios.CS8
        attributes[_CFLAG] = (attributes[_CFLAG] & ~termios.CSIZE) | width
    elif opcode == Mode.TTY_OP_ISPEED and argument in _SPEEDS:
        attributes[_ISPEED] = _SPEEDS[argument]
    elif opcode == Mode.TTY_OP_OSPEED and argument in _SPEEDS:
        attributes[_OSPEED] = _SPEEDS[argument]
