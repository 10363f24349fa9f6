"""Requirements: every order of methods against every policy."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacre.protocol.requirement import METHODS, satisfied, useful
from ssh2.auth.back_to_back import requires

TABLE = [
    # requirement, succeeded, satisfied, useful
    (("password",), (), False, ("password",)),
    (("password",), ("password",), True, ()),
    (("publickey",), (), False, ("publickey",)),
    (("password", "publickey"), (), False, ("publickey", "password")),
    (("password", "publickey"), ("publickey",), True, ("password",)),
    (("password+publickey",), (), False, ("publickey", "password")),
    (("password+publickey",), ("password",), False, ("publickey",)),
    (("password+publickey",), ("publickey",), False, ("password",)),
    (("password+publickey",), ("password", "publickey"), True, ()),
    (
        ("publickey+password", "keyboard-interactive"),
        ("publickey",),
        False,
        ("password", "keyboard-interactive"),
    ),
    (("publickey>password",), (), False, ("publickey",)),
    (("publickey>password",), ("publickey",), False, ("password",)),
    (("publickey>password",), ("password",), False, ("publickey",)),
    (("publickey>password",), ("publickey", "password"), True, ()),
    (("publickey>publickey",), ("publickey",), False, ("publickey",)),
    (("publickey>publickey",), ("publickey", "publickey"), True, ()),
    (("publickey>password", "password>publickey"), (), False, ("publickey", "password")),
    (("publickey>password", "password>publickey"), ("password",), False, ("publickey",)),
    (("publickey>mystery", "password"), (), False, ("password",)),
    (("",), (), True, ()),
    ((), (), False, ()),
    (("mystery",), (), False, ()),
    (("mystery+password", "publickey"), (), False, ("publickey",)),
]


@pytest.mark.parametrize(("requirement", "succeeded", "done", "left"), TABLE)
def test_table(
    requirement: tuple[str, ...], succeeded: tuple[str, ...], done: bool, left: tuple[str, ...]
) -> None:
    wanted = requires(*requirement).requirement
    assert satisfied(wanted, succeeded) is done
    assert useful(wanted, succeeded) == left


alternatives = st.sets(st.sampled_from(METHODS), min_size=1).map(frozenset)


@settings(deadline=None)
@given(st.lists(alternatives, min_size=1).map(tuple), st.permutations(METHODS))
def test_taking_any_useful_method_leads_in(
    requirement: tuple[frozenset[str], ...], order: list[str]
) -> None:
    succeeded: list[str] = []
    while not satisfied(requirement, succeeded):
        left = useful(requirement, succeeded)
        assert left == tuple(m for m in METHODS if m in left)
        succeeded.append(min(left, key=order.index))
    assert any(alternative <= set(succeeded) for alternative in requirement)


@pytest.mark.parametrize("order", list(permutations(METHODS)))
def test_all_three_in_any_order(order: tuple[str, ...]) -> None:
    wanted = requires("+".join(METHODS)).requirement
    for done in range(3):
        assert not satisfied(wanted, order[:done])
        assert set(useful(wanted, order[:done])) == set(order[done:])
    assert satisfied(wanted, order)
