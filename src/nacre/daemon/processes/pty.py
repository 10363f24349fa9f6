"""Pseudo-terminals: opened, with the size and the modes of the client's terminal."""

from __future__ import annotations

import asyncio
import fcntl
import grp
import os
import signal
import struct
import termios
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from nacre.daemon.processes.child import ProcessCredentials
from nacre.daemon.processes.descriptors import Descriptor
from nacre.limits import KIB
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

_TYPED_AT_ONCE = 4 * KIB


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


def echoes(terminal: int) -> bool:
    """Tell whether what is typed now is shown; the master of a terminal has the slave's modes."""
    try:
        return bool(termios.tcgetattr(terminal)[_LFLAG] & termios.ECHO)
    except termios.error:  # it is closed
        return False


class TerminalKeyboard:
    """Types at a terminal what others than the session's client send.

    The client's own input has the descriptor of the master: two tasks can't wait for one.

    :param master: the master of the terminal.
    """

    def __init__(self, master: int) -> None:
        self._master = master
        self._own: Descriptor | None = None
        self._typing = asyncio.Lock()

    async def type(self, data: bytes, note: Callable[[bytes, bool], None]) -> None:
        """Type something; return when the terminal has taken it.

        :param note: gets what was typed, in pieces of at most 4 KiB, and whether the terminal
            showed what is typed immediately before.
        :raises OSError: the terminal is closed.
        """
        if self._own is None:
            self._own = Descriptor(os.dup(self._master))
        own, view = self._own, memoryview(data)
        async with self._typing:
            while view:
                shown = echoes(own.number)
                try:
                    size = os.write(own.number, view[:_TYPED_AT_ONCE])
                except BlockingIOError:
                    await own.writable()
                    continue
                note(bytes(view[:size]), shown)
                view = view[size:]

    def redraw(self) -> None:
        """Tell the programs in the foreground of a new size, which is the old one."""
        with suppress(OSError):  # they are another account's, as after sudo
            group = os.tcgetpgrp(self._master)
            if group > 0:
                os.killpg(group, signal.SIGWINCH)

    def close(self) -> None:
        """Close it: as long as it is open, the kernel does not hang up the terminal."""
        if self._own is not None:
            self._own.close()
            self._own = None


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
