from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.errors import KeyFormatError, MalformedMessage, UnusableKey
from nacre.keys import Certificate, generate
from nacre.keys.agents import messages as agent
from nacre.keys.agents import requests as agent_requests
from nacre.keys.agents.constraints import Constraints, encode
from nacre.keys.agents.messages import Frames, Identity
from nacre.keys.agents.requests import SignData, UseExtension, decode_request
from nacre.wire.codec import string, text, u8, u32

KEY = generate("ssh-ed25519")
RSA = generate("ssh-rsa", bits=1024)


def message(request: bytes) -> bytes:
    (only,) = Frames().receive(request)
    return only


def test_requests_of_a_login() -> None:
    assert decode_request(message(agent.request_identities())) == agent_requests.ListKeys()
    made = agent.request_signature(RSA.public.blob, b"data", "rsa-sha2-512")
    assert decode_request(message(made)) == SignData(RSA.public.blob, b"data", 4)
    made = agent.request_extension("a@b", b"fields")
    assert decode_request(message(made)) == UseExtension("a@b", b"fields")


@pytest.mark.parametrize(
    ("flags", "algorithm"),
    [(0, "ssh-rsa"), (2, "rsa-sha2-256"), (4, "rsa-sha2-512"), (6, "rsa-sha2-256"), (8, "ssh-rsa")],
)
def test_the_flags_choose_the_algorithm_of_rsa_keys_alone(flags: int, algorithm: str) -> None:
    request = SignData(b"", b"", flags)
    assert request.algorithm(RSA.public) == algorithm
    certificate = Certificate.issue(RSA.public, KEY)
    assert request.algorithm(certificate) == f"{algorithm}-cert-v01@openssh.com"
    assert request.algorithm(KEY.public) == "ssh-ed25519"


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"", MalformedMessage),
        (u8(1), KeyFormatError),
        (u8(255), KeyFormatError),
        (u8(13) + string(b"") + string(b""), MalformedMessage),
        (u8(13) + string(b"") + string(b"") + u32(0) + b"x", MalformedMessage),
        (u8(17) + text("ssh-unknown"), KeyFormatError),
        (u8(18) + string(b"") + b"x", MalformedMessage),
        (u8(22), MalformedMessage),
        (u8(27), MalformedMessage),
    ],
)
def test_what_is_not_a_request(sent: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        decode_request(sent)


def test_certificates_of_tokens_do_not_come_with_keys() -> None:
    from nacre.keys.agents.changes import request_add

    made = request_add(KEY, Constraints(certificates=(KEY.public,)))
    with pytest.raises(KeyFormatError, match="PKCS#11"):
        decode_request(message(made))


def test_a_constraint_that_is_not_known_refuses_the_key() -> None:
    from nacre.keys.agents.changes import request_add

    made = message(request_add(KEY, Constraints(confirm=True)))
    for unknown in (b"\x03" + u32(1), b"\xff" + text("new@example.com"), b"\x02"):
        with pytest.raises(KeyFormatError, match="constraint"):
            decode_request(made + unknown)


def test_answers_are_those_that_the_client_reads() -> None:
    listed = [Identity(KEY.public.blob, "a"), Identity(RSA.public.blob, "ü\udcff")]
    assert agent.decode_identities(message(agent_requests.encode_identities(listed))) == listed
    signature = KEY.sign(b"data", "ssh-ed25519")
    assert agent.decode_signature(message(agent_requests.encode_signature(signature))) == signature
    for content in (b"", b"content"):
        answer = message(agent_requests.encode_extension("a@b", content))
        assert agent.decode_extension(answer, "a@b") == content
    for refusal in (agent_requests.FAILURE, agent_requests.EXTENSION_FAILURE):
        with pytest.raises(UnusableKey):
            agent.decode_extension(message(refusal), "a@b")
    with pytest.raises(UnusableKey, match="another extension"):
        agent.decode_extension(message(agent_requests.encode_extension("c@d", b"x")), "a@b")


def test_the_names_of_extensions() -> None:
    assert agent.decode_query(text("a@b") + text("c@d")) == ("a@b", "c@d")
    with pytest.raises(UnusableKey, match="malformed"):
        agent.decode_query(b"\0\0\0\x05a")


def test_a_session_bind() -> None:
    made = agent.request_session_bind(KEY.public.blob, b"id", b"signature", forwarding=True)
    request = decode_request(message(made))
    assert isinstance(request, UseExtension)
    assert request.name == agent.SESSION_BIND
    bound = agent_requests.decode_session_bind(request.data)
    assert bound == agent_requests.SessionBind(KEY.public.blob, b"id", b"signature", True)
    with pytest.raises(MalformedMessage):
        agent_requests.decode_session_bind(request.data + b"x")


@given(st.integers(0, 40), st.binary(max_size=80))
def test_no_message_makes_it_raise_anything_else(number: int, data: bytes) -> None:
    with contextlib.suppress(KeyFormatError, MalformedMessage):
        decode_request(u8(number) + data)


def test_constraints_follow_the_comment() -> None:
    assert encode(Constraints(lifetime=7)) == b"\x01" + u32(7)
