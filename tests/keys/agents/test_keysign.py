import pytest

from nacre.errors import MalformedMessage
from nacre.keys.agents.keysign import (
    HostSignatureRequest,
    VouchedLogin,
    decode_reply,
    encode_reply,
)
from nacre.wire.codec import string, text, u8, u32


def test_requests_and_replies_come_back() -> None:
    made = HostSignatureRequest(3, b"data").encode()
    assert made == u32(13) + u8(2) + u32(3) + string(b"data")
    assert HostSignatureRequest.decode(made[4:]) == HostSignatureRequest(3, b"data")
    assert decode_reply(encode_reply(b"signature")) == b"signature"


@pytest.mark.parametrize(
    "body", [b"", u8(1) + u32(3) + string(b""), u8(2) + u32(3) + string(b"") + b"x"]
)
def test_other_requests_are_refused(body: bytes) -> None:
    with pytest.raises(MalformedMessage):
        HostSignatureRequest.decode(body)


@pytest.mark.parametrize("reply", [b"", string(u8(1) + string(b"x")), encode_reply(b"x") + b"y"])
def test_other_replies_are_refused(reply: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_reply(reply)


def login(**changed: bytes) -> bytes:
    fields = {
        "session": string(bytes(32)),
        "start": u8(50) + text("bob") + text("ssh-connection") + text("hostbased"),
        "key": text("ssh-ed25519") + string(b"blob"),
        "host": text("h."),
        "user": text("alice"),
    }
    return b"".join((fields | changed).values())


def test_a_login_that_a_host_vouches_for() -> None:
    assert VouchedLogin.decode(login()) == VouchedLogin("ssh-ed25519", b"blob", "h", "alice")


@pytest.mark.parametrize(
    "changed",
    [
        {"session": string(bytes(19))},
        {"session": string(bytes(65))},
        {"start": u8(50) + text("bob") + text("ssh-connection") + text("publickey")},
        {"host": text("h")},
        {"user": b""},
        {"user": text("alice") + b"x"},
    ],
)
def test_other_data_is_not_signed(changed: dict[str, bytes]) -> None:
    with pytest.raises(MalformedMessage):
        VouchedLogin.decode(login(**changed))
