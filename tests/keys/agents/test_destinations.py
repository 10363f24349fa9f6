from __future__ import annotations

import pytest

from nacre.errors import KeyFormatError, MalformedMessage
from nacre.keys import Certificate, PrivateKey, PublicKey, generate
from nacre.keys.agents.destinations import (
    MAXIMUM_DESTINATIONS,
    MAXIMUM_HOST_KEYS,
    Binding,
    DestinationConstraint,
    DestinationEnd,
    DestinationKey,
    decode,
    encode,
    refusal,
)
from nacre.wire.codec import boolean, string, text

A, B, C, CA = (generate("ssh-ed25519") for _ in range(4))
NOW = 1_000_000.0


def hop(name: str, *keys: PrivateKey, user: str = "") -> DestinationEnd:
    return DestinationEnd(name, tuple(DestinationKey(key.public) for key in keys), user)


HERE = DestinationEnd()
TO_A = DestinationConstraint(HERE, hop("a", A))
TO_A_AS_BOB = DestinationConstraint(HERE, hop("a", A, user="b?b"))
A_TO_B = DestinationConstraint(hop("a", A), hop("b", B))
B_TO_C = DestinationConstraint(hop("b", B), hop("c", C))


def login(key: PublicKey) -> Binding:
    return Binding(key, b"login" + key.blob, False)


def through(*keys: PrivateKey) -> list[Binding]:
    return [Binding(key.public, key.public.blob, True) for key in keys]


def test_a_key_without_destinations_is_for_all() -> None:
    assert refusal([], through(A), "bob", NOW) is None


def test_on_this_machine_a_key_is_listed_without_a_binding() -> None:
    assert refusal([TO_A], [], None, NOW) is None


@pytest.mark.parametrize(
    ("destinations", "bindings", "user", "permitted"),
    [
        # A login from this machine.
        ([TO_A], [login(A.public)], "bob", True),
        ([TO_A], [login(B.public)], "bob", False),
        ([TO_A_AS_BOB], [login(A.public)], "bob", True),
        ([TO_A_AS_BOB], [login(A.public)], "root", False),
        ([A_TO_B], [login(A.public)], "bob", False),
        ([A_TO_B], [login(B.public)], "bob", False),
        # Listed for a login.
        ([TO_A_AS_BOB], [login(A.public)], None, True),
        ([TO_A], [login(B.public)], None, False),
        # Forwarded to A, listed there: only keys that may be used from there.
        ([TO_A], through(A), None, False),
        ([TO_A, A_TO_B], through(A), None, True),
        ([TO_A, A_TO_B], through(B), None, False),
        ([A_TO_B], through(A), None, False),
        # A login from A to B.
        ([TO_A, A_TO_B], [*through(A), login(B.public)], "bob", True),
        ([TO_A, A_TO_B], [*through(A), login(C.public)], "bob", False),
        ([A_TO_B], [*through(A), login(B.public)], "bob", False),
        ([TO_A], [*through(A), login(A.public)], "bob", False),
        # Two hops.
        ([TO_A, A_TO_B, B_TO_C], [*through(A, B), login(C.public)], "bob", True),
        ([TO_A, A_TO_B, B_TO_C], [*through(A, C), login(C.public)], "bob", False),
        ([TO_A, B_TO_C], [*through(A, B), login(C.public)], "bob", False),
        # A login over a session that the agent is forwarded through.
        ([TO_A, A_TO_B], through(A), "bob", False),
        # Forwarded through a session that was bound for a login.
        ([TO_A, A_TO_B], [login(A.public), login(B.public)], "bob", False),
    ],
)
def test_the_hops(
    destinations: list[DestinationConstraint],
    bindings: list[Binding],
    user: str | None,
    permitted: bool,
) -> None:
    assert (refusal(destinations, bindings, user, NOW) is None) is permitted


def certificate(authority: PrivateKey, **changes: object) -> Certificate:
    fields: dict[str, object] = {"kind": "host", "principals": ["a"]} | changes
    return Certificate.issue(A.public, authority, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("key", "permitted"),
    [
        (certificate(CA), True),
        (certificate(CA, principals=[]), True),
        (certificate(CA, principals=["?"]), True),
        (certificate(CA, principals=["b"]), False),
        (certificate(CA, kind="user"), False),
        (certificate(CA, valid_before=999_999), False),
        (certificate(CA, critical_options={"x": b""}), False),
        (certificate(B), False),
        (CA.public, False),
        (A.public, False),
    ],
)
def test_hosts_that_an_authority_certifies(key: PublicKey, permitted: bool) -> None:
    to_certified = DestinationConstraint(
        HERE, DestinationEnd("a", (DestinationKey(CA.public, True),))
    )
    assert (refusal([to_certified], [login(key)], "bob", NOW) is None) is permitted


def test_a_certified_host_is_not_the_plain_key() -> None:
    assert refusal([TO_A], [login(certificate(CA))], "bob", NOW) is not None


def test_both_ways() -> None:
    ends = DestinationEnd("c", (DestinationKey(C.public), DestinationKey(CA.public, True)), "alice")
    destinations = (TO_A, TO_A_AS_BOB, A_TO_B, DestinationConstraint(hop("b", B), ends))
    assert decode(encode(destinations)) == destinations


@pytest.mark.parametrize(
    "wrong",
    [
        DestinationConstraint(hop("a", A, user="bob"), hop("b", B)),
        DestinationConstraint(hop("", A), hop("b", B)),
        DestinationConstraint(hop("a"), hop("b", B)),
        DestinationConstraint(HERE, hop("b")),
        DestinationConstraint(HERE, hop("", B)),
        DestinationConstraint(HERE, hop("b", *[B] * (MAXIMUM_HOST_KEYS + 1))),
    ],
)
def test_destinations_that_contradict_themselves(wrong: DestinationConstraint) -> None:
    with pytest.raises(KeyFormatError):
        decode(encode([wrong]))


def test_too_many_destinations() -> None:
    with pytest.raises(KeyFormatError, match="at most"):
        decode(encode([TO_A] * (MAXIMUM_DESTINATIONS + 1)))


def test_fields_that_are_not_known() -> None:
    ends = text("") + text("a") + string(b"new") + string(A.public.blob) + boolean(False)
    start = string(text("") + text("") + string(b""))
    for data in (start + string(ends) + string(b""), start + start + string(b"new")):
        with pytest.raises(MalformedMessage, match="not known"):
            decode(string(data))
