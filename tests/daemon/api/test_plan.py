"""What the server checks before it starts the processes of the API."""

from __future__ import annotations

import importlib.util
import os
import socket
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest

from nacre.daemon.api import plan
from nacre.daemon.api.plan import APIPlan, SocketFiles
from nacre.errors import ConfigurationError, StateError


def opened(tmp_path: Path, program: str = "no_such_module", **more: Any) -> None:
    given = {"program": program, "addresses": (("127.0.0.1", 0),), **more}
    with APIPlan(**given).open(tmp_path, None, audited=False):
        pass


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_an_address_that_others_reach_needs_tls(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigurationError, match="can be reached from elsewhere"):
        opened(tmp_path, addresses=((address, 0),))


def test_a_process_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="can't serve the API: its process has ended"):
        opened(tmp_path)


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "find_spec", lambda name: None)
    assert importlib.util.find_spec("starlette") is not None
    with pytest.raises(ConfigurationError, match=r"pip install 'nacre\[api\]'"):
        opened(tmp_path)


def test_the_files_of_sockets_are_removed_by_the_server_that_serves_them(tmp_path: Path) -> None:
    kept, gone, new = (str(tmp_path / name) for name in ("kept", "gone", "new"))
    for one in (kept, gone, new):
        make(one)
    files = SocketFiles(frozenset({kept, gone}))
    files.listen(frozenset({kept, new}))
    files.remove()  # it does not come to serve
    assert sorted(os.listdir(tmp_path)) == ["gone", "kept"]
    files.own()
    assert os.listdir(tmp_path) == ["kept"]
    files.leave()
    files.remove()
    assert os.listdir(tmp_path) == ["kept"]
    files.own()
    files.remove()
    assert os.listdir(tmp_path) == []


def make(path: str) -> None:
    """Leave the file of a socket, whose path may be long."""
    directory = os.open(os.path.dirname(path), os.O_PATH)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
    os.close(directory)


def test_a_file_that_is_not_the_socket_that_was_made_is_neither_shared_nor_removed(
    tmp_path: Path,
) -> None:
    place, other = tmp_path / "api", tmp_path / "other"
    make(str(place))
    other.touch(mode=0o600)
    files = SocketFiles(frozenset())
    files.listen(frozenset({str(place)}))
    files.share(os.getegid())
    assert stat.S_IMODE(place.stat().st_mode) == 0o660
    place.rename(tmp_path / "away")
    for replace in (lambda: place.symlink_to(other), lambda: make(str(place))):
        replace()
        with pytest.raises(StateError, match="is not the socket that the server has made"):
            files.share(os.getegid())
        assert stat.S_IMODE(other.stat().st_mode) == 0o600
        files.remove()
        place.unlink()


def test_the_socket_of_another_server_is_not_shared_anew(tmp_path: Path) -> None:
    place = tmp_path / "api"
    make(str(place))
    place.chmod(0o600)
    files = SocketFiles(frozenset({str(place)}))
    files.listen(frozenset({str(place)}))
    files.share(os.getegid())
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


def test_a_group_that_the_account_lacks_is_named() -> None:
    if os.geteuid() == 0:
        pytest.skip("root may give any")
    with (
        tempfile.TemporaryDirectory(prefix="nacre-") as directory,
        pytest.raises(StateError, match=r"can't give .*api to the group of --api-group"),
    ):
        opened(Path(directory), addresses=((f"{directory}/api", 0),), group=0)
