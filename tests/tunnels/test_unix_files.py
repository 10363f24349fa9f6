"""The files of Unix sockets."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from nacre.tunnels.unix_files import bind_unix, identity, remove


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory whose paths a socket's address has room for."""
    with TemporaryDirectory(prefix="f", dir="/tmp") as path:
        yield Path(path)


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as made:
        yield made


@pytest.mark.parametrize(("mask", "mode"), [(0o177, 0o600), (0o117, 0o660), (0, 0o777)])
def test_the_mask_decides_about_the_permissions(
    short: Path, sock: socket.socket, mask: int, mode: int
) -> None:
    before = os.umask(0o027)
    try:
        bind_unix(sock, f"{short}/s", mask=mask, replace=False)
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(f"{short}/s").st_mode) == mode


def test_a_socket_in_the_way_is_replaced_only_on_request(short: Path, sock: socket.socket) -> None:
    path = f"{short}/s"
    with socket.socket(socket.AF_UNIX) as old:
        bind_unix(old, path, mask=0o177, replace=False)
    with pytest.raises(OSError, match="in use"):
        bind_unix(sock, path, mask=0o177, replace=False)
    bind_unix(sock, path, mask=0o177, replace=True)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_another_file_is_never_replaced(short: Path, sock: socket.socket) -> None:
    (short / "s").write_text("precious")
    with pytest.raises(OSError, match="in use"):
        bind_unix(sock, f"{short}/s", mask=0o177, replace=True)
    assert (short / "s").read_text() == "precious"


def test_a_file_is_removed_only_while_it_is_the_one_that_was_made(
    short: Path, sock: socket.socket
) -> None:
    path = f"{short}/s"
    bind_unix(sock, path, mask=0o177, replace=False)
    made = identity(path)
    os.rename(path, f"{short}/moved")
    remove(path, made)
    with socket.socket(socket.AF_UNIX) as other:
        bind_unix(other, path, mask=0o177, replace=False)
        remove(path, made)
        assert os.path.exists(path)
    remove(f"{short}/moved", made)
    assert not os.path.exists(f"{short}/moved")
    assert identity(f"{short}/moved") is None
