"""What an agent gets from its clients, and what a client gets from an agent."""

from __future__ import annotations

import contextlib
import random
import tracemalloc
from functools import cache

import pytest

from fuzz.mutate import BUDGET, mutated, portions, seeds
from nacre.agent.memory import ClientKeyring, MemoryKeyring
from nacre.agent.service import answer
from nacre.errors import UnusableKey
from nacre.keys import Certificate, CertifiedKey, PrivateKey, generate
from nacre.keys.agents import changes as agent_changes
from nacre.keys.agents import messages as agent
from nacre.keys.agents.constraints import UNCONSTRAINED, Constraints
from nacre.keys.agents.destinations import DestinationConstraint, DestinationEnd, DestinationKey
from nacre.keys.agents.requests import (
    encode_extension,
    encode_identities,
    encode_signature,
)
from nacre.keys.key import KEY_TYPES, decode_public
from nacre.limits import MIB
from nacre.wire.codec import string, text

pytestmark = pytest.mark.timeout(120 + 2 * BUDGET)

MOST = 8 * MIB
"""Bytes that a message of at most 256 KiB may cost while it is handled."""


@cache
def _keys() -> list[PrivateKey]:
    keys = [generate(type, bits=1024 if type == "ssh-rsa" else None) for type in KEY_TYPES]
    return [*keys, *(CertifiedKey(Certificate.issue(key.public, keys[0]), key) for key in keys)]


def _requests() -> list[bytes]:
    keys = _keys()
    host = keys[0]
    known = DestinationEnd("host", (DestinationKey(host.public),), "")
    restricted = Constraints(
        lifetime=9, destinations=(DestinationConstraint(DestinationEnd(), known),) * 3
    )
    signature = host.sign(b"session", host.public.signature_algorithms[0])
    bind = [
        agent.request_session_bind(host.public.blob, b"session", signature, forwarding=forwarding)
        for forwarding in (True, False)
    ]
    token = Constraints(certificates=(keys[-1].public,), certificates_only=True)
    return [
        agent.request_identities(),
        agent.request_extension(agent.QUERY),
        agent_changes.request_add_token("/lib/x.so", b"1234", token),
        agent_changes.request_remove_token("/lib/x.so", b""),
        *bind,
        *(agent_changes.request_add(key, UNCONSTRAINED) for key in keys),
        *(agent_changes.request_add(key, restricted) for key in keys),
        *(agent_changes.request_remove(key.public.blob) for key in keys),
        *(
            agent.request_signature(key.public.blob, b"data", algorithm)
            for key in keys
            for algorithm in key.public.signature_algorithms
        ),
    ]


async def test_an_agent_answers_every_message() -> None:
    requests = _requests()
    keyring = MemoryKeyring()
    keyring.add(_keys()[0], UNCONSTRAINED)
    refused: list[str] = []
    tracemalloc.start()
    try:
        for seed in seeds():
            draw = random.Random(seed)
            client = ClientKeyring(keyring)
            for _ in range(draw.randrange(1, 6)):
                message = mutated(draw.choice(requests)[4:], draw)
                tracemalloc.reset_peak()
                before = tracemalloc.get_traced_memory()[0]
                answered = await answer(client, message, refused.append)
                assert tracemalloc.get_traced_memory()[1] - before < MOST, seed
                (only,) = agent.Frames().receive(answered)
                assert only[0] in (5, 6, 12, 14, 28, 29), seed
            if draw.random() < 0.1:
                keyring.remove_all()
            # Whatever is said of an error, it is one that was thought of.
            assert not any("Error:" in line for line in refused), (seed, refused)
            refused.clear()
    finally:
        tracemalloc.stop()
        keyring.remove_all()


def _answers() -> list[bytes]:
    identities = [agent.Identity(key.public.blob, key.comment) for key in _keys()]
    rsa1 = b"\2\0\0\0\1\0\0\4\0\0\2\3\4\0\2\5" + text("old")
    return [
        b"\0\0\0\1\5",
        b"\0\0\0\1\6",
        string(rsa1),
        string(b"\4" + bytes(16)),
        encode_identities(identities),
        encode_signature(_keys()[0].sign(b"data", "ssh-ed25519")),
        encode_extension(agent.QUERY, text("a@b") + text("c@d")),
    ]


def test_a_client_takes_every_answer() -> None:
    answers = _answers()
    readers = [
        agent.decode_identities,
        agent.decode_signature,
        agent.decode_rsa_identities,
        agent.decode_rsa_response,
        lambda got: agent.decode_success(got, "do it"),
        lambda got: agent.decode_query(agent.decode_extension(got, agent.QUERY)),
    ]
    for seed in seeds():
        draw = random.Random(seed)
        frames = agent.Frames()
        received: list[bytes] = []
        stream = b"".join(mutated(draw.choice(answers), draw) for _ in range(3))
        with contextlib.suppress(UnusableKey):
            for part in portions(stream, draw):
                received += frames.receive(part)
        for one in received:
            for read in readers:
                with contextlib.suppress(UnusableKey):
                    read(one)
            with contextlib.suppress(UnusableKey):
                for identity in agent.decode_identities(one):
                    with contextlib.suppress(UnusableKey):
                        decode_public(identity.blob)
