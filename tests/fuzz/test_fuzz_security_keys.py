"""Damaged keys and signatures of security keys: documented errors, and no signature that passes."""

from __future__ import annotations

import contextlib
import random

import pytest

from fuzz.mutate import BUDGET, mutated, seeds
from keys.soft_key import TYPES, SoftKey
from nacre.errors import KeyFormatError
from nacre.keys import decode_public
from nacre.keys.families.security_key import ECDSA, WEBAUTHN
from nacre.keys.key import decode_private, encode_private
from nacre.wire.codec import WireReader

pytestmark = pytest.mark.timeout(120 + 2 * BUDGET)

KEYS = [SoftKey(type) for type in TYPES]
DATA = b"the data"
SIGNATURES = [
    *((key.public, key.sign(DATA), key.public.type) for key in KEYS),
    *((key.public, key.browse(DATA), WEBAUTHN) for key in KEYS if key.public.type == ECDSA),
]


def test_signatures() -> None:
    for seed in seeds():
        draw = random.Random(seed)
        public, whole, algorithm = draw.choice(SIGNATURES)
        damaged = mutated(whole, draw)
        passed = public.verify(damaged, DATA, algorithm)
        assert not passed or damaged == whole, f"NACRE_FUZZ_SEED={seed}"
        public.presence(damaged)


def test_keys() -> None:
    for seed in seeds():
        draw = random.Random(seed)
        key = draw.choice(KEYS)
        damaged = mutated(key.public.blob, draw)
        with contextlib.suppress(KeyFormatError):
            assert decode_public(damaged).blob == damaged, f"NACRE_FUZZ_SEED={seed}"
        with contextlib.suppress(KeyFormatError):
            decode_private(WireReader(mutated(encode_private(key.private), draw)))
