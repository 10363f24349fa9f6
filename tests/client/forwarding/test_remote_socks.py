"""The SOCKS proxy for clients on the server's side: which places it permits."""

from __future__ import annotations

import pytest

from nacre.client.forwarding.remote_socks import RemoteSOCKS

PLACES = (("db.example", 5432), ("::1", None), ("*", 443))


@pytest.mark.parametrize(
    ("host", "port", "permitted"),
    [
        ("db.example", 5432, True),
        ("db.example", 5433, False),
        ("DB.example", 5432, False),
        ("::1", 9, True),
        ("anything", 443, True),
        ("", 80, False),
    ],
)
def test_hosts_are_compared_as_texts(host: str, port: int, permitted: bool) -> None:
    assert RemoteSOCKS(PLACES).permits(host, port) is permitted


def test_none_permits_everything_and_an_empty_list_nothing() -> None:
    assert RemoteSOCKS(None).permits("h", 1)
    assert not RemoteSOCKS(()).permits("h", 1)
