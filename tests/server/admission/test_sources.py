from __future__ import annotations

import os

import pytest

from nacre.config.server.penalties import PenaltyRules
from nacre.server.admission.sources import Penalties, network_of

RULES = PenaltyRules(min=10, max=30)


@pytest.mark.parametrize(
    ("address", "bits", "network"),
    [
        ("192.0.2.7", (32, 128), bytes([192, 0, 2, 7])),
        ("192.0.2.7", (24, 128), bytes([192, 0, 2, 0])),
        ("192.0.2.7", (0, 128), bytes(4)),
        ("::ffff:192.0.2.7", (24, 128), bytes([192, 0, 2, 0])),
        ("2001:db8:1:2::3", (32, 64), bytes.fromhex("20010db8000100020000000000000000")),
        ("fe80::1%lo", (32, 16), bytes.fromhex("fe80") + bytes(14)),
        ("", (32, 128), b""),
        ("/run/socket", (32, 128), b""),
    ],
)
def test_the_network_of_an_address(address: str, bits: tuple[int, int], network: bytes) -> None:
    assert network_of(address, bits) == network


def network(number: int) -> bytes:
    return bytes([10, 0, 0, number])


def test_penalties_add_up_and_count_from_the_least_sum_on() -> None:
    penalties = Penalties()
    assert penalties.add(network(1), 6, RULES, 100) == 0
    assert penalties.refused(network(1), RULES, 101) == 0
    assert penalties.add(network(1), 6, RULES, 101) == 11
    assert penalties.refused(network(1), RULES, 102) == 10
    assert penalties.refused(network(2), RULES, 102) == 0
    assert penalties.refused(network(1), RULES, 112) == 0


def test_a_source_is_refused_until_its_penalties_are_over_and_no_longer_than_the_most() -> None:
    penalties = Penalties()
    assert penalties.add(network(1), 300, RULES, 100) == 30
    assert penalties.add(network(1), 300, RULES, 105) == 0  # it was refused already
    assert penalties.refused(network(1), RULES, 134) == 1
    assert penalties.refused(network(1), RULES, 135) == 0
    assert penalties.add(network(1), 6, RULES, 136) == 0  # it begins anew


def test_the_source_of_the_oldest_penalty_is_forgotten_when_there_are_too_many() -> None:
    rules = PenaltyRules(min=1, max_sources4=2)
    penalties = Penalties()
    for number in (1, 2, 3):
        penalties.add(network(number), 5, rules, 100)
    assert [penalties.refused(network(n), rules, 101) for n in (1, 2, 3)] == [0, 4, 4]


def test_what_is_over_makes_room_first() -> None:
    rules = PenaltyRules(min=1, max_sources4=2)
    penalties = Penalties()
    penalties.add(network(1), 50, rules, 100)
    penalties.add(network(2), 5, rules, 100)
    penalties.add(network(3), 5, rules, 110)
    assert penalties.refused(network(1), rules, 110) == 40


def test_deny_all_refuses_everyone_of_the_family_while_there_are_too_many() -> None:
    rules = PenaltyRules(min=1, max_sources4=1, overflow="deny-all", overflow6="permissive")
    penalties = Penalties()
    penalties.add(network(1), 5, rules, 100)
    assert penalties.refused(network(9), rules, 101) > 0
    assert penalties.refused(bytes(16), rules, 101) == 0
    assert penalties.refused(network(9), rules, 106) == 0


def test_processes_share_penalties() -> None:
    penalties = Penalties(2)
    pid = os.fork()
    if pid == 0:
        penalties.be(1)
        penalties.add(network(1), 20, RULES, 100)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    penalties.be(0)
    assert penalties.refused(network(1), RULES, 101) == 19
    for number in range(1, 255):
        for third in range(6):
            penalties.add(bytes([10, 0, third, number]), 20, RULES, 100)
    late = Penalties(2)
    late._shared = penalties._shared
    late.be(1)  # of more than a ring holds, the latest
    assert late.refused(bytes([10, 0, 5, 254]), RULES, 101) == 19
