import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

from nacre.cli.common.modes import RawTerminal
from nacre.cli.ssh.terminal import encode_modes, size
from nacre.wire.codec import WireReader


@pytest.fixture
def terminal():
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def set_size(descriptor, rows, columns):
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 10, 20))


def decode_modes(data):
    reader, modes = WireReader(data), {}
    while opcode := reader.u8():
        modes[opcode] = reader.u32()
    reader.end()
    return modes


def test_size(terminal):
    set_size(terminal[1], 50, 132)
    assert size(terminal[1]) == (132, 50, 10, 20)
    set_size(terminal[1], 0, 0)
    assert size(terminal[1])[:2] == (80, 24)


def test_size_of_no_terminal(tmp_path):
    with (tmp_path / "file").open("w") as file, pytest.raises(OSError, match="ioctl"):
        size(file.fileno())


def test_modes_on_the_wire(terminal):
    attributes = termios.tcgetattr(terminal[1])
    attributes[4] = attributes[5] = termios.B9600
    attributes[3] |= termios.ECHO
    attributes[3] &= ~termios.ICANON
    attributes[2] = (attributes[2] & ~termios.CSIZE) | termios.CS8
    attributes[6][termios.VINTR] = b"\x03"
    attributes[6][termios.VEOL] = b"\x00"
    modes = decode_modes(encode_modes(attributes))
    assert modes[128] == modes[129] == 9600
    assert modes[1] == 3
    assert modes[6] == 255
    assert modes[53] == 1
    assert modes[51] == 0
    assert modes[91] == 1
    assert modes[90] == 0


def test_raw_mode_comes_and_goes(terminal):
    before = termios.tcgetattr(terminal[1])
    with RawTerminal(terminal[1]) as raw:
        during = termios.tcgetattr(terminal[1])
        assert not during[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
        assert not during[1] & termios.OPOST
        raw.restore()
        assert termios.tcgetattr(terminal[1]) == before
        raw.set()
        assert termios.tcgetattr(terminal[1]) == during
    assert termios.tcgetattr(terminal[1]) == before


def test_raw_mode_ends_with_the_program(terminal):
    before = termios.tcgetattr(terminal[1])
    program = (
        "import sys; from nacre.cli.common.modes import RawTerminal\n"
        "with RawTerminal(0): sys.exit(3)"
    )
    done = subprocess.run([sys.executable, "-c", program], stdin=terminal[1], timeout=30)
    assert done.returncode == 3
    assert termios.tcgetattr(terminal[1]) == before
