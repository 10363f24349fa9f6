from __future__ import annotations

import pytest

from nacre.keys.hosts.known_hosts import KnownHosts
from nacre.keys.hosts.rotation import HostKeyRotation, edited, plan
from nacre.keys.key import generate

SHOWN, NEW, OLD = (generate("ssh-ed25519").public for _ in range(3))
ECDSA = generate("ecdsa-sha2-nistp256").public
HOST = [("h", 22)]
BOTH = [("h", 22), ("192.0.2.1", 22)]


def planned(*texts: str, keys=(SHOWN, NEW), places=HOST) -> HostKeyRotation | None:
    return plan(map(KnownHosts.parse, texts), places, SHOWN, keys)


def test_new_and_old_keys():
    assert planned(f"h {SHOWN}\n") == HostKeyRotation((NEW,), ())
    assert planned(f"h {SHOWN}\n", f"h {OLD}\nx {ECDSA}\n") == HostKeyRotation((NEW,), (OLD,))
    assert planned(f"h {SHOWN}\nh {OLD}\n", keys=(SHOWN,)) == HostKeyRotation((), (OLD,))
    assert planned(f"h {SHOWN}\nh {NEW}\n") is None


def test_hashed_names_and_pairs_count():
    hashed = KnownHosts.line_for("h", 22, SHOWN, hashed=True)
    assert planned(hashed) == HostKeyRotation((NEW,), ())
    assert planned(f"h,192.0.2.1 {SHOWN}\n") == HostKeyRotation((NEW,), ())
    assert planned(f"h,192.0.2.1 {SHOWN}\n", places=BOTH) == HostKeyRotation((NEW,), ())
    assert planned(f"h {SHOWN}\n192.0.2.1 {SHOWN}\n", places=BOTH) == HostKeyRotation((NEW,), ())


@pytest.mark.parametrize(
    "text",
    [
        f"x {SHOWN}\n",
        f"h {OLD}\n",
        f"@cert-authority h {SHOWN}\n",
        f"h {SHOWN}\n@revoked * {OLD}\n",
        f"h {SHOWN}\n@cert-authority *.h,h {OLD}\n",
        f"h* {SHOWN}\n",
        f"h {SHOWN}\n? {OLD}\n",
        f"h,!x {SHOWN}\n",
        f"h,i,j {SHOWN}\n",
        f"h {SHOWN}\nother {SHOWN}\n",
        f"h {SHOWN}\nother {NEW}\n",
        f"h {SHOWN}\nh {OLD}\nother {OLD}\n",
    ],
    ids=range(12),
)
def test_lines_that_a_person_keeps_are_left_alone(text):
    assert planned(text) is None


def test_a_name_that_stands_with_another_address_is_left_alone():
    assert planned(f"h,192.0.2.2 {SHOWN}\n", places=BOTH) is None


def test_the_key_in_use_must_be_among_those_announced():
    assert planned(f"h {SHOWN}\n", keys=(NEW,)) is None


def test_a_file_keeps_all_else():
    text = f"# mine\n\nx {OLD}\nh {SHOWN} my comment\nbroken\nh ssh-new AAAA\nh {OLD}\ny {ECDSA}"
    changed = edited(text.encode(), HOST, (SHOWN, NEW), add=True)
    assert changed is not None
    expected = text.replace(f"h {OLD}\n", "") + f"\nh {NEW}\n"
    assert changed.decode() == expected
    assert edited(changed, HOST, (SHOWN, NEW), add=True) is None
    less = edited(text.encode(), HOST, (SHOWN, NEW), add=False)
    assert less == text.replace(f"h {OLD}\n", "").encode()
    assert edited(less, HOST, (SHOWN, NEW), add=False) is None


def test_names_that_are_added_may_be_hashed():
    changed = edited(f"h {SHOWN}\n".encode(), BOTH, (SHOWN,), add=True, hashed=True)
    assert changed is not None
    assert b"192.0.2.1" not in changed
    found = KnownHosts(changed)
    assert found.check("192.0.2.1", 22, SHOWN).lines == (2,)


def test_a_line_that_has_come_meanwhile_stops_the_change():
    assert edited(f"h {SHOWN}\n@revoked h {NEW}\n".encode(), HOST, (SHOWN, NEW), add=True) is None
