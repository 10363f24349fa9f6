"""A host's files through fsspec."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.callbacks import Callback

import nacre
import nacre.blocking
from nacre.blocking.fsspec import NacreFileSystem

PASSWORD = "open sesame"
CONTENT = hashlib.shake_256(b"fsspec").digest(1_500_001)
OPTIONS: dict[str, Any] = {
    "username": "alice",
    "password": PASSWORD,
    "keys": [],
    "agent": False,
    "trust": nacre.AnyHostKey(),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The directory whose files the server has."""
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture
def server(root: Path) -> Iterator[nacre.blocking.Server]:
    with nacre.blocking.listen(
        host_keys=[nacre.generate("ssh-ed25519")],
        policy=nacre.Users({"alice": PASSWORD}),
        handler=lambda session: None,
        sftp=lambda session: nacre.LocalFilesystem(root),
        log=lambda record: None,
    ) as server:
        yield server


@pytest.fixture
def files(server: nacre.blocking.Server) -> Iterator[NacreFileSystem]:
    files = NacreFileSystem("127.0.0.1", server.port, skip_instance_cache=True, **OPTIONS)
    yield files
    files.close()


# --- URLs ---


def test_a_url_has_host_port_user_and_path() -> None:
    assert NacreFileSystem._get_kwargs_from_urls("nacre://u@h:5/p") == {
        "host": "h",
        "port": 5,
        "username": "u",
    }
    assert NacreFileSystem._get_kwargs_from_urls("nacre://h/p") == {"host": "h"}


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("nacre://u@h:5/a/b", "/a/b"),
        ("nacre://h/a/", "/a"),
        ("nacre://h", "/"),
        ("/a/b/", "/a/b"),
        (["nacre://h/a", "/b"], ["/a", "/b"]),
    ],
)
def test_a_path_is_what_follows_the_host(url: object, path: object) -> None:
    assert NacreFileSystem._strip_protocol(url) == path


def test_urls_are_opened(server: nacre.blocking.Server) -> None:
    fsspec.register_implementation("nacre", NacreFileSystem, clobber=True)
    url = f"nacre://127.0.0.1:{server.port}/f"
    try:
        with fsspec.open(url, "wb", **OPTIONS) as file:
            file.write(CONTENT)
        with fsspec.open(url, "rb", **OPTIONS) as file:
            assert file.read() == CONTENT
        files = fsspec.filesystem("nacre", host="127.0.0.1", port=server.port, **OPTIONS)
        connection = files.connection
        again = fsspec.filesystem("nacre", host="127.0.0.1", port=server.port, **OPTIONS)
        assert again.connection is connection
        files.close()
        assert connection.closed
    finally:
        NacreFileSystem.clear_instance_cache()


# --- files ---


def test_files_are_described(files: NacreFileSystem, root: Path) -> None:
    (root / "d").mkdir()
    (root / "d" / "f").write_bytes(b"12345")
    (root / "d" / "l").symlink_to("f")
    found = files.info("/d/f")
    assert (found["name"], found["size"], found["type"]) == ("/d/f", 5, "file")
    assert files.info("/d")["type"] == "directory"
    assert files.ls("/d", detail=False) == ["/d/f", "/d/l"]
    kinds = {entry["name"]: entry["type"] for entry in files.ls("/d")}
    assert kinds == {"/d/f": "file", "/d/l": "link"}
    assert files.ls("/d/f", detail=False) == ["/d/f"]
    changed = datetime.fromtimestamp(int((root / "d" / "f").stat().st_mtime), UTC)
    assert files.modified("/d/f") == changed
    with pytest.raises(NotImplementedError, match="modified"):
        files.created("/d/f")
    assert files.exists("/d/f")
    assert not files.exists("/none")
    for call in (files.info, files.ls):
        with pytest.raises(FileNotFoundError):
            call("/none")


def test_directories_are_made_and_removed(files: NacreFileSystem, root: Path) -> None:
    files.mkdir("/a/b")
    assert (root / "a" / "b").is_dir()
    with pytest.raises(FileExistsError):
        files.mkdir("/a/b")
    with pytest.raises(FileNotFoundError):
        files.mkdir("/x/y", create_parents=False)
    files.makedirs("/a/b", exist_ok=True)
    with pytest.raises(FileExistsError):
        files.makedirs("/a/b")
    with pytest.raises(OSError, match="not empty"):
        files.rmdir("/a")
    (root / "a" / "b" / "f").write_bytes(b"")
    files.rm("/a", recursive=True)
    assert list(root.iterdir()) == []


def test_trees_are_copied_there_and_back(files: NacreFileSystem, tmp_path: Path) -> None:
    (tmp_path / "up" / "sub").mkdir(parents=True)
    (tmp_path / "up" / "sub" / "x").write_bytes(b"x")
    files.put(str(tmp_path / "up"), "/up", recursive=True)
    assert files.find("/up") == ["/up/sub/x"]
    files.cp("/up/sub/x", "/up/y")
    files.mv("/up/y", "/up/z")
    files.get("/up", str(tmp_path / "down"), recursive=True)
    assert (tmp_path / "down" / "sub" / "x").read_bytes() == b"x"
    assert files.cat("/up/z") == b"x"
    files.cp("/up", "/copy", recursive=True)
    assert sorted(files.find("/copy")) == ["/copy/sub/x", "/copy/z"]


def test_mv_replaces_what_is_there(files: NacreFileSystem, root: Path) -> None:
    (root / "f").write_bytes(b"f")
    (root / "g").write_bytes(b"g")
    files.mv("/f", "/g")
    assert (root / "g").read_bytes() == b"f"


def test_a_callback_hears_of_progress(files: NacreFileSystem, root: Path, tmp_path: Path) -> None:
    (root / "f").write_bytes(CONTENT)
    down, up = Callback(), Callback()
    files.get_file("/f", str(tmp_path / "f"), callback=down)
    files.put_file(str(tmp_path / "f"), "/g", callback=up)
    assert (root / "g").read_bytes() == CONTENT
    for callback in (down, up):
        assert (callback.size, callback.value) == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("mode", ["rb", "wb", "ab"])
def test_files_are_opened_in_binary_modes(files: NacreFileSystem, root: Path, mode: str) -> None:
    (root / "f").write_bytes(b"12345")
    with files.open("/f", mode, block_size=100) as file:
        if mode == "rb":
            assert file.read(3) == b"123"
        else:
            file.write(b"6")
    expected = {"rb": b"12345", "wb": b"6", "ab": b"123456"}
    assert (root / "f").read_bytes() == expected[mode]


def test_the_options_of_the_session_are_passed_on(server: nacre.blocking.Server) -> None:
    options = {**OPTIONS, "read_size": 4096, "window": 8192, "idle_timeout": None}
    files = NacreFileSystem("127.0.0.1", server.port, skip_instance_cache=True, **options)
    session = files.sftp.session
    assert (session.read_size, session.window.limit) == (4096, 8192)
    assert session._watch.timeout is None
    files.close()
