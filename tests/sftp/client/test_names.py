"""The calls about names, on a server over a real connection."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nacre
from nacre.errors import AlreadyExists, ConnectionLost, SFTPError
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.server import Call
from parties import client_for
from sftp.client.lines import MemoryLine

Both = tuple[SFTPClient, MemoryLine]
Served = tuple[SFTPClient, Path]


def fail_without_a_reason(line: MemoryLine, *kinds: type) -> None:
    """Let the server answer requests of some kinds as old ones do: FAILURE."""
    change = line.files.change

    def refuse(call: Call) -> None:
        if isinstance(call.request, kinds):
            raise OSError(0, "")
        change(call)

    line.files.change = refuse  # type: ignore[method-assign]


# --- listing ---


async def test_a_listing_has_names_paths_and_attributes(served: Served) -> None:
    sftp, root = served
    (root / "d").mkdir()
    (root / "d" / "f").write_bytes(b"12345")
    (root / "d" / "l").symlink_to("f")
    entries = {entry.name: entry async for entry in sftp.scandir("/d")}
    assert sorted(entries) == sorted(await sftp.listdir("/d")) == ["f", "l"]
    assert os.fspath(entries["f"]) == "/d/f"
    assert entries["f"].stat().st_size == 5
    assert entries["l"].is_symlink()
    assert sorted(await sftp.listdir(b"/d")) == [b"f", b"l"]
    await sftp.chdir("/d")
    assert sorted([entry.path async for entry in sftp.scandir()]) == ["./f", "./l"]


async def test_names_that_are_not_utf_8_are_bytes(served: Served) -> None:
    sftp, root = served
    Path(os.fsdecode(os.fsencode(root) + b"/\xff")).write_bytes(b"x")
    assert await sftp.listdir(b"/") == [b"\xff"]
    assert await sftp.listdir("/") == ["\udcff"]
    assert await sftp.read_bytes(b"/\xff") == b"x"
    await sftp.remove("/\udcff")
    assert os.listdir(root) == []


async def walked(sftp: SFTPClient, top: str, **options: bool) -> list[tuple[str, str, str]]:
    return [
        (path, " ".join(sorted(directories)), " ".join(sorted(files)))
        async for path, directories, files in sftp.walk(top, **options)
    ]


async def test_a_walk_is_that_of_os(served: Served) -> None:
    sftp, root = served
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "f").write_bytes(b"")
    (root / "a" / "l").symlink_to("b")
    down = [("/a", "b", "f l"), ("/a/b", "", "")]
    assert await walked(sftp, "/a") == down
    assert await walked(sftp, "/a", topdown=False) == down[::-1]
    followed = await walked(sftp, "/a", followlinks=True)
    assert followed[0] == ("/a", "b l", "f")
    assert sorted(followed[1:]) == [("/a/b", "", ""), ("/a/l", "", "")]
    assert await walked(sftp, "/none") == []
    async for path, directories, _ in sftp.walk(b"/a"):
        assert path == b"/a"
        directories.clear()


async def test_a_walk_does_not_hide_a_lost_connection(both: Both) -> None:
    sftp, line = both
    line.session.end(ConnectionLost("as asked"))
    with pytest.raises(ConnectionLost):
        await walked(sftp, "/")


# --- making ---


async def test_directories_are_made(served: Served) -> None:
    sftp, root = served
    await sftp.mkdir("/d", 0o700)
    assert (root / "d").stat().st_mode & 0o777 == 0o700
    await sftp.makedirs("/a/b/c")
    assert (root / "a" / "b" / "c").is_dir()
    await sftp.makedirs("/a/b/c", exist_ok=True)
    with pytest.raises(FileExistsError):
        await sftp.makedirs("/a/b/c")
    (root / "f").write_bytes(b"")
    with pytest.raises(FileExistsError):
        await sftp.makedirs("/f", exist_ok=True)
    await sftp.chdir("/a")
    await sftp.makedirs("x/y/")
    assert (root / "a" / "x" / "y").is_dir()


async def test_links_are_made_and_read(served: Served) -> None:
    sftp, root = served
    (root / "f").write_bytes(b"12345")
    await sftp.symlink("f", "/l")
    assert os.readlink(root / "l") == await sftp.readlink("/l") == "f"
    assert await sftp.readlink(b"/l") == b"f"
    await sftp.link("/f", "/g")
    assert (root / "g").samefile(root / "f")
    with pytest.raises(FileExistsError):
        await sftp.symlink("f", "/g")
    with pytest.raises(FileExistsError):
        await sftp.link("/f", "/l")


async def test_rename_keeps_and_replace_replaces_what_is_there(served: Served) -> None:
    sftp, root = served
    (root / "f").write_bytes(b"f")
    (root / "g").write_bytes(b"g")
    with pytest.raises(FileExistsError):
        await sftp.rename("/f", "/g")
    assert (root / "g").read_bytes() == b"g"
    await sftp.replace("/f", "/g")
    assert (root / "g").read_bytes() == b"f"
    await sftp.rename("/g", "/h")
    assert sorted(path.name for path in root.iterdir()) == ["h"]


async def test_a_failure_without_a_reason_may_be_a_name_that_exists(both: Both) -> None:
    sftp, line = both
    line.files.files |= {"/f": bytearray(), "/g": bytearray()}
    fail_without_a_reason(line, msg.Rename, msg.MkDir)
    with pytest.raises(AlreadyExists) as caught:
        await sftp.rename("/f", "/g")
    assert (caught.value.filename, caught.value.code) == ("/g", 4)
    with pytest.raises(AlreadyExists):
        await sftp.mkdir("/f")
    with pytest.raises(SFTPError) as unknown:
        await sftp.mkdir("/none")
    assert not isinstance(unknown.value, FileExistsError)


# --- removing ---


async def test_files_and_empty_directories_are_removed(served: Served) -> None:
    sftp, root = served
    (root / "d").mkdir()
    (root / "d" / "f").write_bytes(b"")
    with pytest.raises(OSError, match="not empty") as caught:
        await sftp.rmdir("/d")
    assert caught.value.errno == errno.ENOTEMPTY
    await sftp.remove("/d/f")
    await sftp.rmdir("/d")
    assert list(root.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        await sftp.unlink("/d/f")


async def test_a_failure_without_a_reason_may_be_a_directory_that_is_not_empty(both: Both) -> None:
    sftp, line = both
    line.files.directories |= {"/d", "/e"}
    line.files.files["/d/f"] = bytearray()
    fail_without_a_reason(line, msg.RmDir)
    with pytest.raises(SFTPError) as caught:
        await sftp.rmdir("/d")
    assert caught.value.errno == errno.ENOTEMPTY
    with pytest.raises(SFTPError) as unknown:
        await sftp.rmdir("/e")
    assert unknown.value.errno == errno.EIO


async def test_a_tree_is_removed_but_not_what_its_links_point_at(served: Served) -> None:
    sftp, root = served
    (root / "kept").mkdir()
    (root / "kept" / "f").write_bytes(b"")
    (root / "d" / "e").mkdir(parents=True)
    (root / "d" / "l").symlink_to("../kept")
    for number in range(150):
        (root / "d" / "e" / str(number)).write_bytes(b"")
    await sftp.rmtree("/d")
    assert [path.name for path in root.iterdir()] == ["kept"]
    assert (root / "kept" / "f").exists()
    with pytest.raises(FileNotFoundError):
        await sftp.rmtree("/d")


@pytest.mark.parametrize("client", ["SSH-2.0-nacre_0", "SSH-2.0-libssh_0.10.4"])
@pytest.mark.parametrize("server", ["SSH-2.0-nacre_0", "SSH-2.0-Erlang/4.15"])
async def test_both_ends_take_the_order_of_a_link_from_the_other_s_identification(
    client: str, server: str, make_server: Callable[..., Any], tmp_path: Path
) -> None:
    def files(session: nacre.Session) -> nacre.LocalFilesystem:
        session.connection.peer_version = client
        return nacre.LocalFilesystem(tmp_path)

    listening = await make_server(sftp=files)
    async with client_for(listening) as ssh:
        ssh.peer_version = server
        async with ssh.sftp() as sftp:
            await sftp.symlink("one", "two")
    made = {path.name: os.readlink(path) for path in tmp_path.iterdir()}
    agree = ("libssh" in client) == ("Erlang" in server)
    assert made == ({"two": "one"} if agree else {"one": "two"})
