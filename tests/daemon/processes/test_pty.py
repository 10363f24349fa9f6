"""Pseudo-terminals."""

from __future__ import annotations

import fcntl
import os
import stat
import struct
import termios
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.daemon.processes.pty import open_terminal, resize, set_modes
from nacre.protocol.modes import Mode, encode
from nacre.server.session import Terminal

WANTED = Terminal("xterm", 132, 50, 800, 600, encode({Mode.ECHO: 0, Mode.TTY_OP_OSPEED: 9600}))


@pytest.fixture(scope="module")
def terminal() -> Iterator[tuple[int, int]]:
    master, slave, _ = open_terminal(WANTED, None)
    yield master, slave
    os.close(master)
    os.close(slave)


def size(terminal: int) -> tuple[int, ...]:
    return struct.unpack("HHHH", fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(8)))


def test_opened_as_wanted() -> None:
    master, slave, path = open_terminal(WANTED, None)
    try:
        assert os.ttyname(slave) == path
        assert size(slave) == (50, 132, 800, 600)
        attributes = termios.tcgetattr(slave)
        assert not attributes[3] & termios.ECHO
        assert attributes[5] == termios.B9600
        assert stat.S_IMODE(os.stat(path).st_mode) in (0o600, 0o620)
        assert not os.get_inheritable(master)
        assert not os.get_inheritable(slave)
    finally:
        os.close(master)
        os.close(slave)


def test_flags_go_on_and_off(terminal: tuple[int, int]) -> None:
    for value in (0, 1, 0xFFFFFFFF):
        set_modes(terminal[1], {Mode.IUTF8: value, Mode.OPOST: value, Mode.ISIG: value})
        iflag, oflag, _, lflag, *_ = termios.tcgetattr(terminal[1])
        assert bool(iflag & 0o40000) is bool(value)
        assert bool(oflag & termios.OPOST) is bool(value)
        assert bool(lflag & termios.ISIG) is bool(value)


def test_characters(terminal: tuple[int, int]) -> None:
    set_modes(terminal[1], {Mode.VINTR: 3, Mode.VEOF: 255, Mode.VKILL: 0x115})
    characters = termios.tcgetattr(terminal[1])[6]
    assert characters[termios.VINTR] == b"\x03"
    assert characters[termios.VEOF] == b"\0"
    assert characters[termios.VKILL] == b"\x15"


@given(st.dictionaries(st.integers(1, 159), st.integers(0, 0xFFFFFFFF)))
def test_any_modes_are_taken(terminal: tuple[int, int], modes: dict[int, int]) -> None:
    set_modes(terminal[1], modes)
    assert len(termios.tcgetattr(terminal[1])) == 7


@given(st.lists(st.integers(0, 0xFFFFFFFF), min_size=4, max_size=4))
def test_any_size_is_taken(terminal: tuple[int, int], sizes: list[int]) -> None:
    columns, rows, width, height = sizes
    resize(terminal[0], Terminal("xterm", columns, rows, width, height, b""))
    assert size(terminal[1]) == tuple(min(n, 0xFFFF) for n in (rows, columns, width, height))


def test_nothing_leaks_when_it_fails() -> None:
    before = len(os.listdir("/proc/self/fd"))
    broken = Terminal("xterm", -1, 24, 0, 0, b"")
    with pytest.raises(struct.error):
        open_terminal(broken, None)
    assert len(os.listdir("/proc/self/fd")) == before
