"""Servers with one store have the same host keys, which the store has sealed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from nacre.daemon.hostkeys import DEFAULT_TYPES, FILES, load_host_keys
from nacre.daemon.nodes.host_keys import share_host_keys
from nacre.daemon.nodes.tables import DatabaseConnection
from nacre.daemon.store.postgres.store_url import StoreURL
from nacre.errors import AccountError, StateError

pytestmark = pytest.mark.interop


def seal_file(path: Path, digits: str = "ab") -> str:
    path.write_text(digits * 32 + "\n")
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def sealed_by(tmp_path: Path) -> str:
    return seal_file(tmp_path / "seal")


@pytest.fixture
def states(tmp_path: Path) -> list[Path]:
    made = [tmp_path / name for name in ("one", "two")]
    for path in made:
        path.mkdir(mode=0o700)
    return made


def blobs(state: Path) -> list[bytes]:
    return [key.public.blob for key in load_host_keys(state)]


def test_two_servers_that_start_at_once_have_the_same(
    url: StoreURL, connection: DatabaseConnection, states: list[Path], sealed_by: str
) -> None:
    threads = [
        threading.Thread(target=share_host_keys, args=(state, url, sealed_by)) for state in states
    ]
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
    share_host_keys(one, url, sealed_by)
    assert blobs(one) == blobs(two)


def test_a_server_with_another_key_does_not_start(
    url: StoreURL, states: list[Path], sealed_by: str
) -> None:
    one, two = states
    share_host_keys(one, url, sealed_by)
    load_host_keys(two)
    with pytest.raises(StateError, match="is not the one that the store has: remove the file"):
        share_host_keys(two, url, sealed_by)
    for type in DEFAULT_TYPES:
        (two / FILES[type]).unlink()
    share_host_keys(two, url, sealed_by)
    assert blobs(one) == blobs(two)


def test_the_key_that_seals_them_must_be_the_same_and_a_secret(
    url: StoreURL, states: list[Path], sealed_by: str, tmp_path: Path
) -> None:
    one, two = states
    share_host_keys(one, url, sealed_by)
    with pytest.raises(StateError, match="must be the same on all servers"):
        share_host_keys(two, url, seal_file(tmp_path / "other", "cd"))
    Path(sealed_by).chmod(0o640)
    with pytest.raises(AccountError, match=r"others may read the key .* of the host keys"):
        share_host_keys(two, url, sealed_by)
    assert not any(two.iterdir())


def test_a_file_that_is_no_key_is_named(url: StoreURL, states: list[Path], sealed_by: str) -> None:
    one, two = states
    share_host_keys(one, url, sealed_by)
    (two / FILES["ssh-ed25519"]).write_text("rubbish")
    with pytest.raises(StateError, match="ssh_host_ed25519_key can't be used"):
        share_host_keys(two, url, sealed_by)
