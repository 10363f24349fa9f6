from __future__ import annotations

import pytest

from nacre.crypto.argon2 import MAXIMUM_LANES, MAXIMUM_MEMORY, MAXIMUM_WORK, VARIANTS, argon2
from nacre.errors import KeyFormatError

SALT = bytes(range(16))


def test_variants_differ() -> None:
    made = {argon2(it, b"x", SALT, 80, memory=64, passes=1, lanes=1) for it in VARIANTS}
    assert len(made) == 3
    assert {len(one) for one in made} == {80}


@pytest.mark.parametrize(
    "costs",
    [
        {"memory": MAXIMUM_MEMORY + 1},
        {"memory": 1024, "passes": MAXIMUM_WORK // 1024 + 1},
        {"lanes": MAXIMUM_LANES + 1},
        {"passes": (1 << 32) - 1},
    ],
)
def test_costs_are_bounded(costs: dict[str, int]) -> None:
    with pytest.raises(KeyFormatError, match="too expensive"):
        argon2("Argon2id", b"x", SALT, 80, **{"memory": 64, "passes": 1, "lanes": 1, **costs})


@pytest.mark.parametrize("costs", [{"memory": 7}, {"passes": 0}, {"lanes": 0}, {"memory": 0}])
def test_costs_that_argon2_does_not_have(costs: dict[str, int]) -> None:
    with pytest.raises(KeyFormatError, match="RFC 9106"):
        argon2("Argon2id", b"x", SALT, 80, **{"memory": 64, "passes": 1, "lanes": 1, **costs})


def test_a_variant_that_does_not_exist() -> None:
    with pytest.raises(KeyFormatError, match="Argon2id, Argon2i, Argon2d"):
        argon2("Argon2", b"x", SALT, 80, memory=64, passes=1, lanes=1)
