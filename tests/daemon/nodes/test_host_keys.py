"""Servers with one store have the same host keys, which the store has sealed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from nacre.daemon.hostkeys import DEFAULT_TYPES, FILES, load_host_keys
from nacre.daemon.nodes.host_keys import share_host_keys
from nacre.daemon.nodes.tables import DatabaseConnection
from nacre.daemon.store.postgres.store_url import StoreURL
from nacre.errors import StateError

pytestmark = pytest.mark.interop


KEY = bytes(range(32))


@pytest.fixture
def states(tmp_path: Path) -> list[Path]:
    made = [tmp_path / name for name in ("one", "two")]
    for path in made:
        path.mkdir(mode=0o700)
    return made


def blobs(state: Path) -> list[bytes]:
    return [key.public.blob for key in load_host_keys(state)]


def test_two_servers_that_start_at_once_have_the_same(
    url: StoreURL, connection: DatabaseConnection, states: list[Path]
) -> None:
    threads = [threading.Thread(target=share_host_keys, args=(state, url, KEY)) for state in states]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    one, two = states
    assert len(blobs(one)) == len(DEFAULT_TYPES)
    assert blobs(one) == blobs(two)
    assert all((two / FILES[type]).stat().st_mode & 0o777 == 0o600 for type in DEFAULT_TYPES)
    rows = connection.execute("SELECT type, sealed FROM host_keys").fetchall()
    assert {type for type, _ in rows} == set(DEFAULT_TYPES)
    assert not any(b"PRIVATE" in sealed for _, sealed in rows)
    share_host_keys(one, url, KEY)
    assert blobs(one) == blobs(two)


def test_a_server_with_another_key_does_not_start(url: StoreURL, states: list[Path]) -> None:
    one, two = states
    share_host_keys(one, url, KEY)
    load_host_keys(two)
    with pytest.raises(StateError, match="is not the one that the store has: remove the file"):
        share_host_keys(two, url, KEY)
    for type in DEFAULT_TYPES:
        (two / FILES[type]).unlink()
    share_host_keys(two, url, KEY)
    assert blobs(one) == blobs(two)


def test_the_key_that_seals_them_must_be_the_same(url: StoreURL, states: list[Path]) -> None:
    one, two = states
    share_host_keys(one, url, KEY)
    with pytest.raises(StateError, match="must be the same on all servers"):
        share_host_keys(two, url, bytes(32))
    assert not any(two.iterdir())


def test_a_file_that_is_no_key_is_named(url: StoreURL, states: list[Path]) -> None:
    one, two = states
    share_host_keys(one, url, KEY)
    (two / FILES["ssh-ed25519"]).write_text("rubbish")
    with pytest.raises(StateError, match="ssh_host_ed25519_key can't be used"):
        share_host_keys(two, url, KEY)
