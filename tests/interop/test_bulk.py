"""Much data, many channels, many connections."""

from __future__ import annotations

import functools
import hashlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from interop import pattern
from interop.clients import Login
from interop.daemons import Daemon, State, start_nacre
from interop.programs import environment, run

pytestmark = [pytest.mark.slow, pytest.mark.untraced, pytest.mark.timeout(180)]

MEBIBYTES = 1024
"""Between two of nacre's: both exchange keys anew after the first GiB, by default."""

BESIDE_OPENSSH = 256
WITH_REKEYS = 64
"""Mebibytes of a transfer that exchanges keys anew after each."""


@functools.cache
def _digest(mebibytes: int) -> str:
    digest = hashlib.sha256()
    for block in pattern.blocks(mebibytes):
        digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True)
class Pair:
    """A client's command line up to the host, the server it leads to, and how much goes through."""

    command: Sequence[str]
    server: Daemon
    mebibytes: int

    @property
    def source(self) -> list[str]:
        """The command that prints the data."""
        return [sys.executable, pattern.__file__, str(self.mebibytes)]


@pytest.fixture(params=["", "RekeyLimit=1M"], ids=["one key", "RekeyLimit 1M"])
def words(request: pytest.FixtureRequest) -> list[str]:
    """ssh's options to exchange keys anew: often, so by a quick method."""
    return [request.param, "KexAlgorithms=curve25519-sha256"] if request.param else []


@pytest.fixture(params=["OpenSSH to nacre", "nacre to OpenSSH", "nacre to nacre"])
def pair(
    request: pytest.FixtureRequest,
    state: State,
    to_nacre: Login,
    to_sshd: Login,
    words: list[str],
) -> Iterator[Pair]:
    client, _, server = request.param.partition(" to ")
    mebibytes = MEBIBYTES if request.param == "nacre to nacre" else BESIDE_OPENSSH
    if words:
        mebibytes = WITH_REKEYS
    if server == "OpenSSH":
        yield Pair(to_sshd.nacre_ssh(*words), to_sshd.server, mebibytes)
        return
    options = [word for option in words for word in ("-o", option)]
    with start_nacre(state, *options) as daemon:
        login = replace(to_nacre, server=daemon)
        command = login.ssh if client == "OpenSSH" else login.nacre_ssh
        yield Pair(command(*words), daemon, mebibytes)


def test_much_out(pair: Pair) -> None:
    digest, received = hashlib.sha256(), 0
    with subprocess.Popen(
        [*pair.command, " ".join(pair.source)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment(),
    ) as client:
        assert client.stdout is not None
        while block := client.stdout.read(1 << 20):
            digest.update(block)
            received += len(block)
    assert client.returncode == 0
    assert received == pair.mebibytes << 20
    assert digest.hexdigest() == _digest(pair.mebibytes)


def test_much_in(pair: Pair) -> None:
    with subprocess.Popen(pair.source, stdout=subprocess.PIPE) as source:
        done = subprocess.run(
            [*pair.command, "sha256sum"],
            stdin=source.stdout,
            capture_output=True,
            timeout=150,
            env=environment(),
            check=False,
        )
    assert done.stderr == b""
    assert done.stdout.decode().split()[:1] == [_digest(pair.mebibytes)]


# --- many at once ---


def _all_at_once(commands: Sequence[Sequence[str]]) -> None:
    """Start all commands, and end the first only when the last is up."""
    with ExitStack() as stack:
        clients = [
            stack.enter_context(
                subprocess.Popen(
                    [*command, f"echo up {number}; cat; exit {number % 50}"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=environment(),
                )
            )
            for number, command in enumerate(commands)
        ]
        for number, client in enumerate(clients):
            assert client.stdout is not None
            line = client.stdout.readline()
            assert line == b"up %d\n" % number, client.communicate()
        for number, client in enumerate(clients):
            out, err = client.communicate(b"%d" % number * 1000, timeout=60)
            assert out == b"%d" % number * 1000, err
            assert client.returncode == number % 50, err


def test_fifty_channels_on_one_connection(state: State, to_nacre: Login, tmp_path: Path) -> None:
    with start_nacre(state, "-o", "MaxSessions=50") as server:
        login = replace(to_nacre, server=server)
        path = f"ControlPath={tmp_path / 'c'}"
        master = login.ssh("ControlMaster=yes", path, flags=["-N", "-f"])
        started = subprocess.run(master, env=environment(), timeout=30, check=False)
        assert started.returncode == 0
        try:
            _all_at_once([login.ssh("ControlMaster=no", path)] * 50)
        finally:
            run(login.ssh(path, flags=["-O", "exit"]))


def test_eighty_connections(state: State, to_nacre: Login) -> None:
    with start_nacre(state, "-o", "MaxStartups=100") as server:
        _all_at_once([replace(to_nacre, server=server).ssh()] * 80)
