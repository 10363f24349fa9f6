"""What users of the store must show."""

from __future__ import annotations

import pytest

from nacre.config.server.config import ServerConfig
from nacre.daemon.accounts.admission import Admission
from nacre.daemon.accounts.candidate import Candidate
from nacre.daemon.accounts.virtual.requirements import (
    REQUIREMENTS,
    WITH_CODE,
    needs_code,
    own_requirement,
)
from nacre.daemon.store.values import AUTH_POLICIES, User
from nacre.protocol.requirement import satisfied, useful


@pytest.mark.parametrize("auth", AUTH_POLICIES)
def test_a_code_is_shown_behind_everything_else(auth: str) -> None:
    config = ServerConfig()
    candidate = Candidate("alice", config, False, Admission(config))
    assert own_requirement(auth, candidate) == REQUIREMENTS[auth]
    candidate.needs_code = True
    required = own_requirement(auth, candidate)
    assert required == WITH_CODE[auth]
    admission = Admission(config)
    before = useful(admission.requirement(REQUIREMENTS[auth]), ())
    # Before the first success, a client can't tell who has a second factor.
    assert useful(admission.requirement(required), ()) == before
    for methods in (("publickey",), ("password",), ("publickey", "password")):
        assert not satisfied(required, methods)
        if set(methods) <= set(before):
            assert "keyboard-interactive" in useful(required, methods)


@pytest.mark.parametrize(
    ("setting", "enrolled", "needed"),
    [
        ("none", True, False),
        ("optional", False, False),
        ("optional", True, True),
        ("required", False, True),
        ("required", True, True),
    ],
)
def test_who_needs_a_code(setting: str, enrolled: bool, needed: bool) -> None:
    assert needs_code(User(name="alice", second_factor=setting), enrolled) is needed
