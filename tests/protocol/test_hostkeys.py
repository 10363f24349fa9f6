import pytest

from nacre.errors import MalformedMessage
from nacre.protocol import hostkeys


def test_parts_are_joined_and_split():
    assert hostkeys.split(hostkeys.join([b"a", b"", b"bc"]), 3) == [b"a", b"", b"bc"]
    assert hostkeys.split(b"", 0) == []


def test_too_many_parts_are_refused():
    with pytest.raises(MalformedMessage, match="more than 2 host keys"):
        hostkeys.split(hostkeys.join([b"a", b"b", b"c"]), 2)


def test_data_that_is_cut_off_is_refused():
    with pytest.raises(MalformedMessage):
        hostkeys.split(hostkeys.join([b"abc"])[:-1], 5)


def test_a_proof_is_bound_to_the_purpose_the_session_and_the_key():
    name = b"hostkeys-prove-00@openssh.com"
    assert hostkeys.signed(b"id", b"key") == b"".join(
        len(part).to_bytes(4, "big") + part for part in (name, b"id", b"key")
    )
