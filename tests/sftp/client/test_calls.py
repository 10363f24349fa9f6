"""What the calls of a client share: paths, the current directory, extensions."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from nacre.errors import SFTPError
from nacre.sftp.client.calls import Path, alike, bytes_of, text_of
from nacre.sftp.client.client import SFTPClient
from sftp.client.lines import MemoryLine

Both = tuple[SFTPClient, MemoryLine]


@pytest.mark.parametrize("path", ["/d/f", b"/d/f", PurePosixPath("/d/f")])
def test_paths_of_all_kinds_become_text(path: Path) -> None:
    assert text_of(path) == "/d/f"


def test_bytes_that_are_not_utf_8_survive() -> None:
    assert bytes_of(text_of(b"\xff/\xe4")) == b"\xff/\xe4"
    assert alike("\udcff", b"x") == b"\xff"
    assert alike("x", PurePosixPath("y")) == "x"


async def test_relative_paths_start_in_the_clients_directory(both: Both) -> None:
    sftp, line = both
    line.files.directories |= {"/d", "/d/e"}
    assert (sftp.path("f"), sftp.path(""), sftp.path("/f")) == ("f", ".", "/f")
    assert await sftp.getcwd() == "/"
    await sftp.chdir(b"d")
    assert await sftp.getcwd() == "/d"
    assert (sftp.path("f"), sftp.path(""), sftp.path("/f")) == ("/d/f", "/d/", "/f")
    await sftp.chdir("e")
    assert await sftp.getcwd() == "/d/e"
    await sftp.chdir("..")
    assert await sftp.realpath("f") == "/d/f"
    assert await sftp.realpath(b"f") == b"/d/f"


async def test_only_a_directory_becomes_the_current_one(both: Both) -> None:
    sftp, line = both
    line.files.files["/f"] = bytearray()
    with pytest.raises(NotADirectoryError):
        await sftp.chdir("/f")
    with pytest.raises(FileNotFoundError):
        await sftp.chdir("/none")
    assert await sftp.getcwd() == "/"


async def test_a_tilde_is_expanded_by_the_server(both: Both) -> None:
    sftp, line = both
    assert "expand-path@openssh.com" in sftp.extensions
    assert await sftp.expanduser("~/f") == "/~/f"
    line.session.client.extensions = {}
    assert await sftp.expanduser("f") == "/f"
    with pytest.raises(SFTPError, match="expand-path") as caught:
        await sftp.expanduser("~/f")
    assert (caught.value.filename, caught.value.code) == ("~/f", 8)
