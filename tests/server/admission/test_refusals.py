"""Connections that are refused at once: what the log has of them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from nacre.config.server.penalties import PenaltyRules
from nacre.server.admission import refusals as refusals_module
from nacre.server.admission.refusals import Refusals
from nacre.server.peer import ConnectionTerms
from parties import until
from server.stand_ins import RecordingConnection

Make = Callable[..., Any]
Records = list[dict[str, object]]


async def test_a_flood_is_two_lines(monkeypatch: Any) -> None:
    monkeypatch.setattr(refusals_module, "QUIET", 0.05)
    refusals = Refusals("dropped", "connections")
    connection = RecordingConnection()
    for _ in range(1000):
        refusals.note(connection, reason="too many")
    await until(lambda: len(connection.records) == 2)
    first, second = connection.records
    assert (first["event"], first["reason"], "connections" in first) == (
        "dropped",
        "too many",
        False,
    )
    assert second["connections"] == 999
    refusals.note(connection, reason="again")
    refusals.close()
    assert connection.records[2]["connections"] == 1
    refusals.close()
    assert len(connection.records) == 3


def counted(records: Records) -> int:
    """Return how many connections the records of dropped ones stand for, few as they are."""
    dropped = [record for record in records if record["event"] == "dropped"]
    assert len(dropped) < 20
    return sum(int(str(record.get("connections", 1))) for record in dropped)


async def test_a_server_logs_few_lines_of_many_refused(make_server: Make, records: Records) -> None:
    server = await make_server(max_startups="1")
    _, waits = await asyncio.open_connection("127.0.0.1", server.port)
    await until(lambda: server.connections)
    for _ in range(50):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert b"too many connections wait" in await reader.read()
        writer.close()
    waits.close()
    await server.close()
    assert counted(records) == 50
    assert [record["event"] for record in records if record["event"] in ("accepted", "closed")] == [
        "accepted",
        "closed",
    ]


async def test_a_server_logs_few_lines_of_a_network_with_a_penalty(
    make_server: Make, records: Records
) -> None:
    server = await make_server()
    terms = ConnectionTerms(penalties=PenaltyRules(min=1, noauth=100))
    server.apply(replace(server._settings, terms=terms))
    for told in [b"SSH-2.0-", *[b"because of earlier failures"] * 50]:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert told in await reader.readline()
        writer.close()
        await until(lambda: not server.connections)
    await server.close()
    assert counted(records) == 50
    assert len([record for record in records if record["event"] == "penalty"]) == 1


async def test_a_server_logs_few_lines_of_places_that_are_given_up(
    make_server: Make, records: Records
) -> None:
    server = await make_server(max_startups="40")
    with ExitStack() as stack:
        for source in ["127.0.0.2"] * 40 + ["127.0.0.3"] * 19:
            sock = socket.create_connection(("127.0.0.1", server.port), 10, (source, 0))
            stack.enter_context(sock).setblocking(False)
            await asyncio.get_running_loop().sock_recv(sock, 1)
        await server.close()
    assert counted(records) == 19


async def test_a_client_that_lingers_after_its_time_holds_no_place(
    make_server: Make,
) -> None:
    server = await make_server(max_startups="1", login_grace=0.2)
    late, waits = await asyncio.open_connection("127.0.0.1", server.port)
    async with asyncio.timeout(20):
        await late.read()  # to the end that the server makes; this side stays open
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert await reader.readline() == b"SSH-2.0-nacre_0.1.0\r\n"
    waits.close()
    writer.close()


async def test_of_refused_clients_that_stay_few_hold_a_socket(
    make_server: Make,
) -> None:
    server = await make_server(max_startups="2")
    clients = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(10)]
    async with asyncio.timeout(20):
        for reader, _ in clients[2:]:
            assert b"too many connections wait" in await reader.read()
    # Two log in, two linger; nobody waited for the others to close.
    await until(lambda: len(server.connections) == 4)
    for _, writer in clients:
        writer.close()
    await until(lambda: not server.connections)
