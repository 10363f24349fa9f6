"""Agents forwarded through two hops, where agents, clients and servers are OpenSSH's and nacre's.

A key may be restricted to some destinations: then a hop that lies gets no signature for another.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import nacre
from interop.agents import agent
from interop.clients import ME
from interop.daemons import Daemon, start_sshd
from interop.nacre_sshd import serving
from interop.programs import check, require, run
from nacre.errors import AuthenticationFailed, UnusableKey
from nacre.keys import PrivateKey, PublicKey, dump_private, generate
from nacre.protocol.asks import (
    Answer,
    AskAuthentication,
    AskSignature,
    Denied,
    GiveUp,
    SessionProof,
    TryPublicKey,
)

pytestmark = [
    pytest.mark.untraced,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root starts nacre-sshd"),
]

ED25519 = "ssh-ed25519"
SSH = {"OpenSSH": "ssh", "nacre": str(Path(sys.executable).parent / "nacre-ssh")}
ADD = {"OpenSSH": "ssh-add", "nacre": str(Path(sys.executable).parent / "nacre-ssh-add")}


@dataclass(frozen=True)
class Hosts:
    """Servers of both makers at each place, the user's key, and the file of host keys."""

    servers: dict[tuple[str, str], Daemon]
    keys: dict[tuple[str, str], PublicKey]
    known_hosts: Path
    key: Path

    def name(self, place: tuple[str, str]) -> str:
        return f"[127.0.0.1]:{self.servers[place].port}"

    def ssh(self, maker: str, port: int, *options: str) -> list[str]:
        """Return the command line of a client that has no key but those of its agent."""
        words = [
            f"UserKnownHostsFile={self.known_hosts}",
            "GlobalKnownHostsFile=none",
            "StrictHostKeyChecking=yes",
            "IdentityFile=none",
            "BatchMode=yes",
            "LogLevel=ERROR",
        ]
        listed = [part for word in words for part in ("-o", word)]
        program = require(SSH[maker])
        return [program, "-F", "none", "-p", str(port), *listed, *options, f"{ME}@127.0.0.1"]

    def add(self, maker: str, sock: str, *destinations: str) -> None:
        """Give the key to an agent that has no others, for these destinations."""
        words = [part for one in destinations for part in ("-h", one)]
        check([require(ADD[maker]), "-q", "-D"], SSH_AUTH_SOCK=sock)
        command = [require(ADD[maker]), "-q", "-H", self.known_hosts, *words, self.key]
        check(command, SSH_AUTH_SOCK=sock)


def save(path: Path, key: PrivateKey) -> Path:
    path.write_bytes(dump_private(key))
    path.chmod(0o600)
    return path


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    directory = tmp_path_factory.mktemp("hosts")
    user = generate(ED25519, comment="the user's")
    authorized_keys = directory / "authorized_keys"
    authorized_keys.write_text(f"{user.public}\n")
    servers, keys = {}, {}
    with ExitStack() as stack:
        for place in ("first", "second"):
            for maker in ("OpenSSH", "nacre"):
                key = generate(ED25519)
                host_key = save(directory / f"{place}-{maker}", key)
                if maker == "OpenSSH":
                    daemon = stack.enter_context(start_sshd(directory, [host_key], authorized_keys))
                else:
                    config = directory / f"{place}.conf"
                    lines = (
                        "ListenAddress 127.0.0.1",
                        f"HostKey {host_key}",
                        f"AuthorizedKeysFile {authorized_keys}",
                        "StrictModes no",
                        "PermitRootLogin yes",
                        "PidFile none",
                    )
                    config.write_text("\n".join(lines) + "\n")
                    daemon = stack.enter_context(serving(config))
                servers[place, maker], keys[place, maker] = daemon, key.public
        known_hosts = directory / "known_hosts"
        lines_ = [f"[127.0.0.1]:{servers[at].port} {key}\n" for at, key in keys.items()]
        known_hosts.write_text("".join(lines_))
        yield Hosts(servers, keys, known_hosts, save(directory / "key", user))


MIXES = [
    # the agent and ssh-add, the first client and server, the second client and server
    ("OpenSSH", "nacre", "OpenSSH", "nacre", "OpenSSH"),
    ("nacre", "OpenSSH", "nacre", "OpenSSH", "nacre"),
    ("OpenSSH", "OpenSSH", "nacre", "nacre", "nacre"),
]


@pytest.mark.parametrize("mix", MIXES, ids="-".join)
def test_two_hops(hosts: Hosts, mix: tuple[str, ...]) -> None:
    """A key for these two hops works there, and nowhere else."""
    maker, client, server, onward, last = mix
    first, second = ("first", server), ("second", last)
    there = hosts.ssh(onward, hosts.servers[second].port)

    def two_hops(sock: str) -> subprocess.CompletedProcess[bytes]:
        here = hosts.ssh(client, hosts.servers[first].port, "-A")
        return run([*here, shlex.join([*there, "echo arrived"])], SSH_AUTH_SOCK=sock)

    with agent(maker) as sock:
        hosts.add(client, sock)
        assert two_hops(sock).stdout == b"arrived\n"
        hosts.add(client, sock, hosts.name(first), f"{hosts.name(first)}>{hosts.name(second)}")
        assert two_hops(sock).stdout == b"arrived\n"
        direct = run([*there, "echo arrived"], SSH_AUTH_SOCK=sock)
        assert (direct.returncode, direct.stdout) == (255, b"")
        assert b"Permission denied" in direct.stderr
        hosts.add(client, sock, hosts.name(first))
        stopped = two_hops(sock)
        assert (stopped.returncode, stopped.stdout) == (255, b"")
        assert b"Permission denied" in stopped.stderr


class Liar:
    """Logs in to one server, and tells the agent of sessions with another one.

    :ivar signed: the lies with which the agent signed.
    :ivar refused: the lies with which it did not.
    """

    def __init__(self, path: str, key: PublicKey, other: SessionProof | None = None) -> None:
        self.signed: list[str] = []
        self.refused: list[str] = []
        self.session: SessionProof | None = None
        self._path = path
        self._key = key
        self._other = other

    async def authentication(self, ask: AskAuthentication) -> Answer:
        assert ask.session is not None
        if self.session is None and self._other is not None:
            self.session = ask.session
            return TryPublicKey(self._key, (ED25519,), signed=True)
        self.session = ask.session
        return GiveUp(AuthenticationFailed("enough"))

    async def signature(self, ask: AskSignature) -> Answer:
        session, other = self.session, self._other
        assert session is not None
        assert other is not None
        lies = {
            "no session": [],
            "the session itself": [session],
            "another host key": [
                SessionProof(session.session_id, other.host_key, session.signature)
            ],
            "another session": [other],
            "both sessions": [other, session],
        }
        for name, proofs in lies.items():
            told = nacre.Agent(self._path)
            for proof in proofs:
                told = told.bound(proof)
            try:
                await told.sign(ask.key, ask.data, ask.algorithm)
            except UnusableKey:
                self.refused.append(name)
            else:
                self.signed.append(name)
        return Denied("no signature")

    async def prompts(self, ask: Any) -> Answer:
        raise NotImplementedError

    async def new_password(self, ask: Any) -> Answer:
        raise NotImplementedError

    def banner(self, text: str) -> None:
        pass

    def result(self, event: Any) -> None:
        pass


class Hop(nacre.Users):
    def agent_forwarding(self, session: nacre.Session) -> bool:
        return True


@pytest.mark.parametrize("client", ["OpenSSH", "nacre"])
@pytest.mark.parametrize("maker", ["OpenSSH", "nacre"])
async def test_a_hop_that_lies(hosts: Hosts, maker: str, client: str) -> None:
    """The key is for a login from the hop to one server; the hop wants to log in to another."""
    host_key, user = generate(ED25519), nacre.load_private(hosts.key.read_bytes())
    meant, wanted = ("second", "OpenSSH"), ("first", "OpenSSH")
    liars: list[Liar] = []
    honest: list[int | None] = []

    async def connect(place: tuple[str, str], **how: Any) -> nacre.Connection:
        port = hosts.servers[place].port
        trust = nacre.AnyHostKey()
        return await nacre.connect("127.0.0.1", port, user=ME, trust=trust, config=None, **how)

    async def hop(session: nacre.Session) -> None:
        async with session.agent_socket() as sock:
            observed = Liar(sock.path, user.public)
            with pytest.raises(AuthenticationFailed):
                await connect(meant, credentials=observed)
            liar = Liar(sock.path, user.public, observed.session)
            liars.append(liar)
            with pytest.raises(AuthenticationFailed):
                await connect(wanted, credentials=liar)
            with pytest.raises(AuthenticationFailed):
                await connect(wanted, agent=nacre.Agent(sock.path))
            async with await connect(meant, agent=nacre.Agent(sock.path)) as ssh:
                honest.append((await ssh.run("true")).exit_status)

    policy = Hop({ME: user.public})
    with agent(maker) as sock:
        async with nacre.listen(host_keys=[host_key], policy=policy, handler=hop) as server:
            known = hosts.known_hosts.read_text()
            name = f"[127.0.0.1]:{server.port}"
            hosts.known_hosts.write_text(f"{known}{name} {host_key.public}\n")
            try:
                hosts.add(maker, sock, name, f"{name}>{hosts.name(meant)}")
                command = [*hosts.ssh(client, server.port, "-A"), "go"]
                done = await asyncio.to_thread(run, command, SSH_AUTH_SOCK=sock)
            finally:
                hosts.known_hosts.write_text(known)
    assert done.returncode == 0, done.stderr
    assert honest == [0]
    assert [liar.signed for liar in liars] == [[]]
    assert len(liars[0].refused) == 5
