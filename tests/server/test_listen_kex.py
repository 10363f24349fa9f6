"""Slow key exchanges at a server: D(HE)at (CVE-2002-20001), and who waits for whom."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import nacre
from nacre.crypto.kex import dh
from nacre.crypto.kex.method import Initiator
from nacre.crypto.kex.power import power
from nacre.protocol.asks import AskArithmetic, Computed
from nacre.protocol.options import ClientOptions
from nacre.server.peer import ConnectionTerms
from nacre.ssh2.client import SSH2Client
from nacre.wire.codec import mpint
from parties import client_for, until

Make = Callable[..., Any]

GROUP16 = "diffie-hellman-group16-sha512"
GEX = "diffie-hellman-group-exchange-sha256"
ATTACKERS = 40
WEIGHT = 12345678901234567890
"""The public value of the attackers, for which the server computes until it is told to end."""


class Cheap(Initiator):
    """A client's half without arithmetic: a number is sent, as if it were a public value."""

    public = mpint(WEIGHT)[4:]

    def finish(self, reply: bytes) -> bytes:
        raise AssertionError("an attacker does not compute")


async def attack(port: int, kex: str) -> None:
    """Send a public value that cost nothing, and wait for the reply."""
    engine = SSH2Client(
        ClientOptions(user="eve", algorithms=nacre.algorithms(kex=kex)), random=os.urandom
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        engine.start(0.0)
        while True:
            for event in engine.take_events():
                if isinstance(event, AskArithmetic):
                    engine.answer(event.ask_id, Computed(Cheap()))
            writer.write(engine.take_output())
            if not (data := await reader.read(1 << 16)):
                return
            engine.receive(data, 0.0)
    finally:
        writer.close()


def from_another_network(server: nacre.Server) -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.2", 0))
    sock.connect(("127.0.0.1", server.port))
    sock.setblocking(False)
    return sock


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Computing with the attackers' value ends when this is set."""
    gate = threading.Event()

    def slow(base: int, exponent: int, modulus: int) -> int:
        if base == WEIGHT:
            gate.wait(20)
        return power(base, exponent, modulus)

    monkeypatch.setattr(dh, "power", slow)
    return gate


@pytest.mark.parametrize("kex", [GROUP16, GEX])
async def test_forty_that_have_the_server_compute_hold_up_nobody(
    make_server: Make, gate: threading.Event, kex: str
) -> None:
    server = await make_server()
    asked = 0
    compute = server.compute

    def counted(*arguments: Any) -> Any:
        nonlocal asked
        asked += 1
        return compute(*arguments)

    server.compute = counted
    async with client_for(server) as established:
        attackers = [asyncio.ensure_future(attack(server.port, kex)) for _ in range(ATTACKERS)]
        try:
            await until(lambda: asked == ATTACKERS)
            (source,) = server._computations._sources.values()
            # One computes, and the loop is free: a session of the same network goes on, ...
            assert (len(server._computations._running), len(source.jobs)) == (1, ATTACKERS - 1)
            for _ in range(20):
                assert (await established.run("cat", input="echo")).stdout == "echo"
            # ... and another network's client logs in, with the same method, before all of them.
            options = {"algorithms": nacre.algorithms(kex=kex)}
            async with client_for(server, sock=from_another_network(server), **options) as honest:
                assert honest.algorithms.kex == kex
            assert len(source.jobs) == ATTACKERS - 1
        finally:
            gate.set()
            for attacker in attackers:
                attacker.cancel()
            await asyncio.gather(*attackers, return_exceptions=True)


async def test_a_network_that_used_its_time_is_not_admitted(make_server: Make) -> None:
    slow = {"algorithms": nacre.algorithms(kex=GROUP16)}
    server = await make_server(limits=nacre.Limits(kex_seconds=1e-6))
    async with client_for(server, **slow):
        with pytest.raises(nacre.NacreError, match="because of earlier key exchanges"):
            await client_for(server)
        async with client_for(server, sock=from_another_network(server), **slow):
            pass
    server.apply(replace(server._settings, terms=ConnectionTerms(exempt=("127.0.0.1",))))
    async with client_for(server, **slow), client_for(server, **slow):
        pass


async def test_a_rekey_is_computed_in_a_thread_too(
    make_server: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set[threading.Thread]()

    def noted(*numbers: int) -> int:
        threads.add(threading.current_thread())
        return power(*numbers)

    monkeypatch.setattr(dh, "power", noted)
    server = await make_server()
    async with client_for(server, algorithms=nacre.algorithms(kex=GEX)) as ssh:
        threads.clear()
        await ssh.rekey()
        assert (await ssh.run("cat", input="echo")).stdout == "echo"
    assert threads
    assert threading.main_thread() not in threads


@pytest.mark.parametrize("role", ["client", "server"])
async def test_a_failure_to_compute_ends_the_connection(
    make_server: Make, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    server = await make_server()

    def fail(*_: object) -> Any:
        raise MemoryError

    async def refuse(*_: object) -> Any:
        fail()

    if role == "server":
        server.compute = refuse
    else:
        monkeypatch.setattr(AskArithmetic, "compute", fail)  # the client is the first to compute
    with pytest.raises(nacre.NacreError):
        await client_for(server, algorithms=nacre.algorithms(kex=GROUP16))
    await until(lambda: not server.connections)
