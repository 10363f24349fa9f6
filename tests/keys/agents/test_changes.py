from __future__ import annotations

import pytest

from nacre.errors import UnusableKey
from nacre.keys import generate
from nacre.keys.agents import changes as agent_changes
from nacre.keys.agents import requests as agent_requests
from nacre.keys.agents.constraints import UNCONSTRAINED, Constraints
from nacre.keys.agents.messages import Frames, decode_success
from nacre.keys.base import RemoteKey

KEY = generate("ssh-ed25519", comment="a key")


def read(request: bytes) -> agent_requests.AgentRequest:
    (message,) = Frames().receive(request)
    return agent_requests.decode_request(message)


@pytest.mark.parametrize(
    "constraints", [UNCONSTRAINED, Constraints(lifetime=5), Constraints(confirm=True)]
)
def test_a_key_with_constraints(constraints: Constraints) -> None:
    request = read(agent_changes.request_add(KEY, constraints))
    assert isinstance(request, agent_requests.AddKey)
    assert request.key.public == KEY.public
    assert request.constraints == constraints


def test_a_key_without_constraints_has_the_shorter_message() -> None:
    assert agent_changes.request_add(KEY, UNCONSTRAINED)[4] == 17
    assert agent_changes.request_add(KEY, Constraints(confirm=True))[4] == 25


def test_a_key_that_another_program_holds_can_not_be_added() -> None:
    with pytest.raises(UnusableKey):
        agent_changes.request_add(RemoteKey(KEY.public), UNCONSTRAINED)


def test_requests_without_a_private_key() -> None:
    made = [
        agent_changes.request_remove(KEY.public.blob),
        agent_changes.request_remove_all(),
        agent_changes.request_lock(b"secret"),
        agent_changes.request_unlock(b"secret"),
    ]
    assert [read(each) for each in made] == [
        agent_requests.RemoveKey(KEY.public.blob),
        agent_requests.RemoveAllKeys(),
        agent_requests.Lock(b"secret"),
        agent_requests.Unlock(b"secret"),
    ]


def test_tokens() -> None:
    constraints = Constraints(lifetime=9, certificates=(KEY.public,), certificates_only=True)
    made = [
        agent_changes.request_add_token("/lib/a.so", b"1234", UNCONSTRAINED),
        agent_changes.request_add_token("/lib/a.so", b"1234", constraints),
        agent_changes.request_remove_token("/lib/a.so", b""),
    ]
    assert [read(each) for each in made] == [
        agent_requests.AddToken("/lib/a.so", b"1234", UNCONSTRAINED),
        agent_requests.AddToken("/lib/a.so", b"1234", constraints),
        agent_requests.RemoveToken("/lib/a.so", b""),
    ]


def test_answers() -> None:
    decode_success(agent_requests.SUCCESS[4:], "lock itself")
    with pytest.raises(UnusableKey, match="the agent refuses to lock itself"):
        decode_success(agent_requests.FAILURE[4:], "lock itself")
