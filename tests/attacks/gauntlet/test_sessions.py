"""Public vulnerabilities, tried on nacre: users who get more of a server than they should."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nacre
from attacks.links import inside
from nacre.limits import KIB
from nacre.protocol.requests import Env, Exec
from nacre.protocol.tcpip import X11_PORT
from nacre.scp.command import parse_scp
from nacre.server.x11 import ForwardedDisplay
from nacre.sftp.filesystems.local import LocalFilesystem
from nacre.sftp.protocol import messages as msg
from nacre.ssh2.connection.messages import ChannelExtendedData
from parties import client_for
from server.stand_ins import RecordingConnection
from server.test_x11 import close, opened
from sftp.protocol.memory_files import Both

Make = Callable[..., Any]


@pytest.mark.parametrize(
    "command",
    [
        b"scp -t `touch x`",
        b"scp -t $(touch x)",
        b'scp -t "`touch x`"',
        b'scp -t "$(touch x)"',
        b"scp -t x; touch x",
        b"scp -t x\ntouch x",
        b"scp -t x && touch x",
        b"scp -t x | touch x",
        b"scp -t ${IFS}x",
        b"scp -t x > y",
        b"scp -S touch -t x",
        b"touch x; scp -t x",
    ],
)
def test_commands_in_the_target_of_a_copy(command: bytes) -> None:
    """CVE-2020-15778: who could only copy files ran a command in scp's target."""
    assert parse_scp(command) is None


def test_names_in_quotation_marks_are_names() -> None:
    """What a shell would not expand is the name of a file, with every character in it."""
    found = parse_scp(b"scp -t '`touch x`;$(id)'")
    assert found is not None
    (path,) = found.paths
    assert path.replace("\\", "") == "`touch x`;$(id)"


def test_links_tell_nothing_of_the_root(tmp_path: Path) -> None:
    """CVE-2026-48855: Erlang's server told where its root is, by a link to it."""
    root = tmp_path / "a root that is nobody's business"
    root.mkdir()
    files = LocalFilesystem(root)
    try:
        for name, target in (("top", "/"), ("up", "../.."), ("file", "/f")):
            files.symlink(target, name)
            assert files.readlink(name) == target
            assert "business" not in files.realpath(name)
        assert files.realpath("up") == "/"
    finally:
        files.close()


@pytest.mark.parametrize("size", [257, 300, 200 * KIB])
def test_handles_that_are_longer_than_any(size: int) -> None:
    """CVE-2025-48038: Erlang's server worked on handles of any length."""
    both = Both()
    for request in (msg.Read, msg.Close, msg.FStat, msg.ReadDir):
        arguments = (b"x" * size, 0, 1) if request is msg.Read else (b"x" * size,)
        with pytest.raises(nacre.SFTPError, match="Invalid handle"):
            both.call(request(*arguments))
    assert not both.server.files


async def test_extended_data_to_a_subsystem(make_server: Make, tmp_path: Path) -> None:
    """CVE-2026-54886: of data that was not for it, Erlang's SFTP server never came back."""
    (tmp_path / "there").touch()
    server = await make_server(sftp=lambda session: LocalFilesystem(tmp_path), handler=None)
    async with client_for(server) as ssh, ssh.sftp() as sftp:
        for type in (1, 2, 99):
            junk = ChannelExtendedData(0, type, b"\0\0\0\5junk").encode()
            inside(ssh).engine._outbox.send_parts(junk, b"")
        assert await sftp.listdir(".") == ["there"]


@pytest.mark.parametrize(
    "name",
    ["LD_LC_PRELOAD", "XLC_A", "LC", "lc_a", "=LC_A", "LD_PRELOAD=LC_A", "", "L\0C_A"],
)
async def test_variables_that_only_look_like_accepted_ones(name: str, make_server: Make) -> None:
    """CVE-2014-2532: OpenSSH took what only contained the text before a wildcard."""
    seen: list[dict[str, str]] = []

    async def handler(session: nacre.Session) -> int:
        seen.append(dict(session.environment))
        return 0

    server = await make_server(handler=handler, accept_env=["LC_*"])
    async with client_for(server) as ssh:
        channel = ssh.open_channel("session")
        await channel.wait_opened()
        for request in (Env(name, "x"), Env("LC_TIME", "C")):
            channel.request(request, want_reply=False)
        assert await channel.granted(channel.request(Exec(b"env"), want_reply=True))
        while not channel.closed:
            await channel.changed.wait()
    assert seen == [{"LC_TIME": "C"}]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
async def test_a_display_that_somebody_else_listens_for(family: socket.AddressFamily) -> None:
    """CVE-2008-1483: OpenSSH named a display that listened, of two addresses, on one alone."""
    thief, number = _thief(family)
    connection = RecordingConnection()
    display = await opened(connection, x11_display_offset=number)
    thief.close()
    assert isinstance(display, ForwardedDisplay)
    assert int(display.name.partition(":")[2].removesuffix(".0")) > number
    await close(connection, display)


def _thief(family: socket.AddressFamily) -> tuple[socket.socket, int]:
    """Return a socket that listens on one address alone, and the display that has its port."""
    address = "127.0.0.1" if family == socket.AF_INET else "::1"
    for number in range(400, 900):
        thief = socket.socket(family)
        try:
            thief.bind((address, X11_PORT + number))
            thief.listen()
        except OSError as error:
            thief.close()
            if error.errno != errno.EADDRINUSE:
                pytest.skip(f"this machine has no {address}")
        else:
            return thief, number
    raise AssertionError("no port is free")
