"""Destinations of keys, and the host keys of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from nacre.cli.add.arguments import parse_arguments
from nacre.cli.add.constraints import constraints, destinations
from nacre.errors import ConfigurationError
from nacre.keys import generate
from nacre.keys.agents.constraints import UNCONSTRAINED, Constraints
from nacre.keys.agents.destinations import DestinationConstraint, DestinationEnd, DestinationKey

GATE, DB, AUTHORITY, FORMER = (generate("ssh-ed25519").public for _ in range(4))


@pytest.fixture
def known_hosts(tmp_path: Path) -> str:
    path = tmp_path / "known_hosts"
    lines = (
        f"gate {GATE}",
        f"gate {GATE}",
        f"[db]:2222 {DB}",
        f"@cert-authority *.example.org {AUTHORITY}",
        f"gate {FORMER}",
        f"@revoked gate {FORMER}",
        "gate ssh-new AAAAB3NzaC1uZXc=",
    )
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_destinations_have_the_keys_of_known_hosts(known_hosts: str) -> None:
    gate = DestinationEnd("gate", (DestinationKey(GATE),))
    db = DestinationEnd("[db]:2222", (DestinationKey(DB),))
    web = DestinationEnd("www.example.org", (DestinationKey(AUTHORITY, True),), "alice*")
    texts = ["gate", "gate>[db]:2222", "[gate]>alice*@www.example.org"]
    assert destinations(texts, ["/nonexistent", known_hosts]) == (
        DestinationConstraint(DestinationEnd(), gate),
        DestinationConstraint(gate, db),
        DestinationConstraint(gate, web),
    )


@pytest.mark.parametrize("text", ["db", "", "a@", "gate>", "nobody>gate"])
def test_a_host_whose_key_is_not_known(known_hosts: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match="No host keys found for destination"):
        destinations([text], [known_hosts])


@pytest.mark.parametrize("text", [">gate", "me@gate>gate", "gate>gate>gate"])
def test_a_destination_of_a_bad_form(known_hosts: str, text: str) -> None:
    with pytest.raises(ConfigurationError, match="host>"):
        destinations([text], [known_hosts])


def test_constraints_of_a_command_line(known_hosts: str) -> None:
    assert constraints(parse_arguments(["-t", "0"])) == UNCONSTRAINED
    words = ["-t", "90", "-c", "-h", "gate", "-H", known_hosts]
    gate = DestinationConstraint(DestinationEnd(), DestinationEnd("gate", (DestinationKey(GATE),)))
    expected = Constraints(lifetime=90, confirm=True, destinations=(gate,))
    assert constraints(parse_arguments(words)) == expected
