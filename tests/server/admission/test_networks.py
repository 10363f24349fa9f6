"""Networks: what is one, and which addresses are in it."""

from __future__ import annotations

import pytest

from nacre.errors import ConfigurationError
from nacre.server.admission.networks import (
    NetworkSet,
    NetworkTable,
    host_network,
    parse_network,
    parse_networks,
    show_network,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_a_network_is_parsed_and_shown(text: str, shown: str) -> None:
    assert show_network(parse_network(text)) == shown


@pytest.mark.parametrize("text", ["", "host", "192.0.2.1/24", "192.0.2.0/33", "192.0.2", "*"])
def test_what_is_no_network_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"give for example 192\.0\.2\.0/24"):
        parse_network(text)


def test_addresses_are_in_networks_of_their_own_kind() -> None:
    networks = NetworkSet(parse_networks(["192.0.2.0/24,198.51.100.7", "2001:db8::/32"]))
    inside = ("192.0.2.255", "::ffff:192.0.2.1", "198.51.100.7", "2001:db8::1", "2001:db8::1%eth0")
    outside = ("192.0.3.0", "198.51.100.8", "2001:db9::1", "::c000:201", "/run/socket", "")
    assert all(one in networks for one in inside)
    assert not any(one in networks for one in outside)
    assert not NetworkSet(())


def test_a_client_counts_for_its_network() -> None:
    found = [host_network(one, (24, 64)) for one in ("192.0.2.77", "2001:db8::1:2:3:4", "@socket")]
    assert found[2] is None
    shown = [show_network(one) for one in found if one is not None]
    assert shown == ["192.0.2.0/24", "2001:db8::/64"]


def test_a_table_finds_the_values_of_all_networks_that_hold_one() -> None:
    table = NetworkTable[str]()
    for text in ("192.0.2.0/24", "192.0.0.0/16", "192.0.2.7", "198.51.100.0/24"):
        table[parse_network(text)] = text
    assert len(table) == 4
    found = set(table.holding(parse_network("192.0.2.7")))
    assert found == {"192.0.2.0/24", "192.0.0.0/16", "192.0.2.7"}
    assert set(table.holding(parse_network("192.0.2.0/24"))) == {"192.0.2.0/24", "192.0.0.0/16"}
    table.remove(parse_network("192.0.0.0/16"))
    table.remove(parse_network("10.0.0.0/8"))
    assert len(table) == 3
    assert table.get(parse_network("192.0.2.0/24")) == "192.0.2.0/24"
    assert table.get(parse_network("192.0.0.0/16")) is None
