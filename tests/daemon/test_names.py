"""The names of clients' addresses."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import pytest

from nacre.daemon import names
from nacre.daemon.names import look_up, name_of


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Addresses by name; reverse lookups know them, too, and an address of a liar."""
    found = {"host.example": "192.0.2.1"}
    real = socket.getaddrinfo

    def reverse(where: tuple[str, int], flags: int) -> tuple[str, str]:
        names = {"192.0.2.1": "Host.Example.", "192.0.2.2": "host.example", "192.0.2.3": "10.1.1.1"}
        if where[0] not in names:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return names[where[0]], "0"

    def forward(name: str, port: object, **options: Any) -> Any:
        if name not in found:
            return real(name, 0, flags=socket.AI_NUMERICHOST)
        if options.get("flags"):
            raise socket.gaierror(socket.EAI_NONAME, "not numeric")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (found[name], 0))]

    monkeypatch.setattr(socket, "getnameinfo", reverse)
    monkeypatch.setattr(socket, "getaddrinfo", forward)
    return found


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.1", "host.example"),
        ("192.0.2.2", "192.0.2.2"),  # the name has another address
        ("192.0.2.3", "192.0.2.3"),  # the name looks like an address
        ("192.0.2.4", "192.0.2.4"),  # there is no name
    ],
)
async def test_a_name_counts_if_its_address_is_the_same(
    zone: dict[str, str], address: str, name: str
) -> None:
    assert look_up(address) == name
    assert await name_of(address) == name


async def test_no_address_has_no_name() -> None:
    assert await name_of("") == ""


async def test_a_name_server_that_hangs_costs_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()

    def hang(address: str) -> str:
        release.wait(20)
        return "late"

    monkeypatch.setattr(names, "look_up", hang)
    monkeypatch.setattr(names, "PATIENCE", 0.01)
    try:
        async with asyncio.timeout(30):
            assert await name_of("192.0.2.1") == "192.0.2.1"
    finally:
        release.set()
