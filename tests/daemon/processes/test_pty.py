"""Pseudo-terminals."""

from __future__ import annotations

import asyncio
import fcntl
import os
import stat
import struct
import termios
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.daemon.processes.pty import (
    TerminalKeyboard,
    echoes,
    open_terminal,
    resize,
    set_modes,
)
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


def test_whether_what_is_typed_is_shown() -> None:
    master, slave, _ = open_terminal(WANTED, None)
    assert not echoes(master)
    attributes = termios.tcgetattr(slave)
    attributes[3] |= termios.ECHO
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    assert echoes(master)
    os.close(slave)
    os.close(master)
    assert not echoes(master)


async def test_what_others_type_waits_for_a_program_that_does_not_read() -> None:
    master, slave, _ = open_terminal(
        Terminal("xterm", 80, 24, 0, 0, encode({Mode.ICANON: 0})), None
    )
    keyboard, noted = TerminalKeyboard(master), []
    text = b"x" * 100_000

    async def read() -> int:
        loop, count = asyncio.get_running_loop(), 0
        while count < len(text):
            count += len(await loop.run_in_executor(None, os.read, slave, 65536))
        return count

    try:
        set_modes(slave, {Mode.ECHO: 0})
        typing = asyncio.ensure_future(
            keyboard.type(text, lambda data, shown: noted.append((data, shown)))
        )
        await asyncio.sleep(0)
        assert not typing.done()
        async with asyncio.timeout(20):
            assert await read() == len(text)
            await typing
        assert b"".join(data for data, _ in noted) == text
        assert {shown for _, shown in noted} == {False}
        assert max(len(data) for data, _ in noted) <= 4096
    finally:
        keyboard.close()
        os.close(master)
        os.close(slave)


async def test_a_terminal_hangs_up_where_nobody_types_any_more() -> None:
    master, slave, _ = open_terminal(Terminal("xterm", 80, 24, 0, 0, b""), None)
    keyboard = TerminalKeyboard(master)
    await keyboard.type(b"x", lambda data, shown: None)
    keyboard.close()
    keyboard.close()
    keyboard.redraw()  # nothing is in the foreground
    os.close(master)
    assert os.read(slave, 1) == b""
    os.close(slave)
