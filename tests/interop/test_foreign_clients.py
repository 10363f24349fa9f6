"""Clients that others wrote, in their own languages, log in to ``nacre serve`` and copy files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interop.daemons import Daemon, State, start_nacre
from interop.payload import Payload
from interop.peers import CLIENTS, INSTALLED, Client
from interop.programs import check, require
from interop.trees import summary

pytestmark = [pytest.mark.slow, pytest.mark.untraced, pytest.mark.timeout(150)]

USER = "foreigner"


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A private key of a kind and in a format that all these clients can read."""
    path = tmp_path_factory.mktemp("pem") / "key"
    check([require("ssh-keygen"), "-q", "-m", "PEM", "-t", "ecdsa", "-N", "", "-f", path])
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("foreign") / "home"


@pytest.fixture(scope="module")
def server(home: Path, pem: Path) -> Iterator[Daemon]:
    """``nacre serve`` that exchanges keys anew after each MiB."""
    state = State(home.parent / "state")
    state.add_user(USER, keys=[pem.with_suffix(".pub")], home=home)
    with start_nacre(state, "-o", "RekeyLimit=1M", "-o", "LogLevel=VERBOSE") as daemon:
        yield daemon


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_client(
    client: Client,
    server: Daemon,
    home: Path,
    pem: Path,
    payload: Payload,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    client.record("client", record_property)
    sent, there = payload(client.mebibytes), home / "there"
    shutil.rmtree(there, ignore_errors=True)
    start = len(server.log)
    back = tmp_path / "back"
    back.mkdir()
    program, *words = client.command
    check(
        [require(str(program)), *words, server.port, USER, pem, sent, back],
        timeout=120,
        HOME=str(tmp_path),
        NODE_PATH=str(INSTALLED / "node_modules"),
    )
    if client.links:
        assert os.readlink(there / "link") == "large"
        (there / "link").unlink()
    expected = summary(sent, modes=False, times=False)
    assert summary(there, modes=False, times=False) == expected
    assert summary(back, modes=False, times=False) == expected
    rekeys = sum("event=rekey" in line for line in server.log[start:])
    assert rekeys >= client.mebibytes
