"""The monitor's side of its processes: what they may say, and what is signed for them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from daemon.separate.said import BLOB, CERTIFIED, HOST_KEY, Said
from nacre.daemon.accounts.policy import AccountPolicy
from nacre.daemon.separate import monitor as monitor_module
from nacre.daemon.separate.messages import (
    AnswerPrompts,
    Arrived,
    HandOver,
    Left,
    LogRecord,
    LookUp,
    NameUser,
    OriginRead,
    ProveKey,
    ReadOrigin,
    Reads,
    Ready,
    Serve,
    SignExchange,
    packed,
    unpacked,
)
from nacre.daemon.separate.monitor import (
    Configured,
    GateProcess,
)
from nacre.errors import UnusableKey
from nacre.keys import generate
from nacre.protocol import hostkeys
from nacre.server.settings import ServerSettings
from nacre.wire.message import Message

RECORDS: list[Mapping[str, object]] = []


# --- what is signed ---


@pytest.mark.parametrize("key", [HOST_KEY, CERTIFIED])
async def test_host_keys_sign_with_their_own_algorithms(configured: Configured, key: Any) -> None:
    (algorithm, *_) = key.public.signature_algorithms
    blob = await configured.sign(key.public.blob, b"h" * 32, algorithm)
    assert key.public.verify(blob, b"h" * 32, algorithm)


@pytest.mark.parametrize(
    ("blob", "algorithm"),
    [(generate("ssh-ed25519").public.blob, "ssh-ed25519"), (BLOB, "ssh-rsa"), (b"", "")],
    ids=["another", "algorithm", "none"],
)
async def test_nothing_else_signs(configured: Configured, blob: bytes, algorithm: str) -> None:
    with pytest.raises(UnusableKey, match="no such host key"):
        await configured.sign(blob, b"h" * 32, algorithm)


def test_what_a_session_process_may_have_signed(configured: Configured) -> None:
    session = b"s" * 32
    assert configured.may_sign(session, BLOB, b"h" * 32)
    assert configured.may_sign(session, BLOB, hostkeys.signed(session, BLOB))
    assert not configured.may_sign(session, BLOB, hostkeys.signed(b"t" * 32, BLOB))
    assert not configured.may_sign(session, BLOB, hostkeys.signed(session, b"other"))
    assert not configured.may_sign(session, BLOB, b"what a user signs to log in")


def test_no_private_key_leaves_the_monitor(configured: Configured) -> None:
    given = packed((configured.values(), configured.blobs))
    assert HOST_KEY.secret_fields()[-64:-32] not in given
    assert BLOB in given


# --- what processes say ---


@pytest.fixture
async def gate(configured: Configured) -> Any:
    said = Said(GateProcess(3, configured, lambda *_: None, RECORDS.append))
    yield said
    said.close()


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([b""], "no such message"),
        ([b"\xff"], "no such message"),
        ([Serve(b"").encode()], "no such message"),
        ([LookUp(1, b"").encode()], "no such message"),
        ([bytes([SignExchange.NUMBER])], "can't be read"),
        ([Reads(), Reads()], "begins once"),
        ([LogRecord(b"{}")], "no record"),
        ([NameUser(1, 1, "alice")], "nobody"),
        ([Arrived(1)], "a descriptor is missing"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
async def test_what_a_gate_may_not_say_ends_it(
    gate: Said, messages: list[Message | bytes], reason: str
) -> None:
    for message in messages:
        gate.say(message)
    assert reason in str(await gate.over())


async def test_a_descriptor_that_is_no_socket_ends_a_gate_and_is_closed(gate: Said) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with open(os.devnull, "rb") as null:
        gate.say(Arrived(1), null.fileno())
    assert "no socket" in str(await gate.over())
    assert len(os.listdir("/proc/self/fd")) == before - 1  # its end of the link is closed, too


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["listens", "udp"])
async def test_a_socket_that_is_no_clients_ends_a_gate(gate: Said, kind: int) -> None:
    """A user would get it at the login, who must not accept the connections of others."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            sock.listen()
        before = len(os.listdir("/proc/self/fd"))
        gate.say(Arrived(1), sock.fileno())
        assert "no client's socket" in str(await gate.over())
        assert len(os.listdir("/proc/self/fd")) == before - 1


async def test_a_connection_that_is_handed_over_may_be_longer_than_a_packet(gate: Said) -> None:
    gate.say(HandOver(1, bytes(300 * 1024)))
    assert "nobody" in str(await gate.over())


async def test_a_question_that_is_longer_ends_a_gate(gate: Said) -> None:
    gate.say(ProveKey(1, 1, False, bytes(300 * 1024)))
    assert "too long" in str(await gate.over())


async def test_a_process_that_does_not_end_when_it_is_told_to_is_killed(
    gate: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor_module, "_MARGIN", 0.0)
    child = await asyncio.create_subprocess_exec("sleep", "600")
    gate.process.pid = child.pid
    gate.process.retire(0)
    async with asyncio.timeout(30):
        assert await child.wait() == -signal.SIGKILL
    gate.process.pid = 0


async def test_what_is_malformed_inside_ends_a_gate(gate: Said) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        gate.say(Arrived(1), ours.fileno())
        gate.say(SignExchange(1, 1, BLOB, "ssh-ed25519", b"h" * 32))
        await asyncio.to_thread(gate.heard)
        gate.say(NameUser(1, 2, "alice"))
        await asyncio.to_thread(gate.heard)
        gate.say(AnswerPrompts(1, 3, False, "", b"\0\0\0\xff"))
        assert "can't be read" in str(await gate.over())


async def test_connections_of_a_gate_are_bounded(
    gate: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor_module, "_MOST_VISITS", 2)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for number in (1, 2):
            gate.say(Arrived(number), ours.fileno())
        gate.say(Left(1))
        for number in (3, 4):
            gate.say(Arrived(number), ours.fileno())
        assert "too many" in str(await gate.over())


async def test_the_log_says_which_process_a_record_is_of(gate: Said) -> None:
    gate.say(LogRecord(b'{"event": "accepted", "gate": 99}'))
    gate.say(Ready())
    async with asyncio.timeout(30):
        await gate.process.ready
    assert RECORDS[-1] == {"event": "accepted", "gate": 3}


# --- whom a proxy speaks for ---

HEADER = b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 22\r\n"
FORGED = b"PROXY TCP4 192.0.2.99 198.51.100.1 40000 22\r\n"


@pytest.fixture
async def proxied(policy: AccountPolicy) -> Any:
    """A gate of a server that trusts the proxies of 127.0.0.1."""
    made = ServerSettings(host_keys=[HOST_KEY], policy=policy, proxy_from=["127.0.0.1"])
    process = GateProcess(3, Configured(made, policy), lambda *_: None, RECORDS.append)
    said = Said(process)
    yield said
    said.close()


@contextmanager
def connected(host: str = "127.0.0.1") -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return both ends of a connection from an address: the client's, and the server's."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), source_address=(host, 0)) as client,
    ):
        accepted, _ = listener.accept()
        with accepted:
            yield client, accepted


async def told(gate: Said) -> Any:
    message = OriginRead.decode(await asyncio.to_thread(gate.heard))
    return unpacked(message.origin)


async def test_the_monitor_reads_itself_whom_a_proxy_names(proxied: Said) -> None:
    with connected() as (client, accepted):
        client.sendall(HEADER + b"SSH-2.0-client\r\n")
        proxied.say(ReadOrigin(1), accepted.fileno())
        origin = await told(proxied)
        assert (origin.peer, origin.local) == (("192.0.2.7", 40000), ("198.51.100.1", 22))
        assert proxied.process._visits[1].peer == ("192.0.2.7", 40000)  # type: ignore[attr-defined]
        assert accepted.recv(100) == b"SSH-2.0-client\r\n"
        proxied.say(Left(1))


async def test_a_gate_that_takes_the_header_can_have_no_other_one_read(proxied: Said) -> None:
    """The client of a gate that it has taken over sends the header which the gate wants."""
    with connected() as (client, accepted):
        client.sendall(HEADER + FORGED)
        assert accepted.recv(len(HEADER)) == HEADER
        proxied.say(ReadOrigin(1), accepted.fileno())
        assert "was not the first" in await told(proxied)
        assert not proxied.process._visits  # type: ignore[attr-defined]


@pytest.mark.parametrize("sent", [b"", HEADER[:-5]], ids=["nothing", "a-part"])
async def test_a_proxy_that_leaves_is_no_visit(proxied: Said, sent: bytes) -> None:
    with connected() as (client, accepted):
        client.sendall(sent)
        client.close()
        proxied.say(ReadOrigin(1), accepted.fileno())
        assert await told(proxied) == ""


async def test_a_header_and_an_end_are_read(proxied: Said) -> None:
    with connected() as (client, accepted):
        client.sendall(HEADER)
        client.shutdown(socket.SHUT_WR)
        proxied.say(ReadOrigin(1), accepted.fileno())
        assert (await told(proxied)).peer == ("192.0.2.7", 40000)


async def test_a_gate_that_says_a_client_is_no_proxys_is_not_believed(proxied: Said) -> None:
    with connected() as (_, accepted):
        proxied.say(Arrived(1), accepted.fileno())
        assert "has not read" in str(await proxied.over())


async def test_a_gate_that_says_a_client_is_a_proxy_is_not_believed(proxied: Said) -> None:
    with connected("127.0.0.9") as (client, accepted):
        client.sendall(HEADER)
        proxied.say(ReadOrigin(1), accepted.fileno())
        assert "only proxies" in str(await proxied.over())


async def test_a_header_that_is_awaited_counts_as_a_connection(
    proxied: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor_module, "_MOST_VISITS", 1)
    with connected() as (_, one), connected() as (_, two):
        proxied.say(ReadOrigin(1), one.fileno())
        proxied.say(ReadOrigin(2), two.fileno())
        assert "one connection too many" in str(await proxied.over())
