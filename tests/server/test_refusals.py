"""Connections that are refused at once: what the log has of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from nacre.server import refusals as refusals_module
from nacre.server.refusals import Refusals
from parties import until
from server.stand_ins import RecordingConnection


async def test_a_flood_is_two_lines(monkeypatch: Any) -> None:
    monkeypatch.setattr(refusals_module, "QUIET", 0.05)
    refusals = Refusals()
    connection = RecordingConnection()
    for _ in range(1000):
        refusals.note(connection, "too many")
    await until(lambda: len(connection.records) == 2)
    first, second = connection.records
    assert (first["event"], first["reason"], "connections" in first) == (
        "dropped",
        "too many",
        False,
    )
    assert second["connections"] == 999
    refusals.note(connection, "again")
    refusals.close()
    assert connection.records[2]["connections"] == 1
    refusals.close()
    assert len(connection.records) == 3


async def test_a_server_logs_few_lines_of_many_refused(
    make_server: Callable[..., Any], records: list[dict[str, object]]
) -> None:
    server = await make_server(max_startups="1")
    _, waits = await asyncio.open_connection("127.0.0.1", server.port)
    await until(lambda: server.connections)
    for _ in range(50):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert b"too many connections wait" in await reader.read()
        writer.close()
    waits.close()
    await server.close()
    dropped = [record for record in records if record["event"] == "dropped"]
    assert (
        len([one for one in dropped if "connections" not in one])
        + sum(int(str(one.get("connections", 0))) for one in dropped)
        == 50
    )
    assert len(dropped) < 20
    assert [record["event"] for record in records if record["event"] in ("accepted", "closed")] == [
        "accepted",
        "closed",
    ]


async def test_a_client_that_lingers_after_its_time_holds_no_place(
    make_server: Callable[..., Any],
) -> None:
    server = await make_server(max_startups="1", login_grace=0.2)
    late, waits = await asyncio.open_connection("127.0.0.1", server.port)
    async with asyncio.timeout(20):
        await late.read()  # to the end that the server makes; this side stays open
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert await reader.readline() == b"SSH-2.0-nacre_0.1.0\r\n"
    waits.close()
    writer.close()
