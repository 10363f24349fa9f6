"""A world for each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.file_server import FileServer, file_server
from console.world import ROLES, Browser, World, at_home, world_at

RUN_AS = "root" if os.geteuid() == 0 else None


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with world_at(tmp_path, monkeypatch) as world:
        yield world


@pytest.fixture
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory that has those of users, by their names."""
    return tmp_path_factory.mktemp("homes")


@pytest.fixture
def server(world: World, homes: Path) -> Iterator[FileServer]:
    for name in ROLES:
        (homes / name).mkdir()
        world.resources.store.change(name, root=str(homes / name), service="sftp")
    with file_server(world.resources.store, RUN_AS) as server:
        world.resources.ssh = server.ssh
        yield server


@pytest.fixture
def uma(world: World, server: FileServer) -> Iterator[Browser]:
    """Return a browser whose requests share a loop, in which a user has signed in."""
    with at_home(world, "uma") as browser:
        yield browser
