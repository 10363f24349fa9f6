"""The layouts, against bytes written by hand from the RFCs."""

from __future__ import annotations

import pytest

from nacre.errors import MalformedMessage
from nacre.ssh2.auth.messages import (
    InfoPrompt,
    InfoRequest,
    InfoResponse,
    InteractiveRequest,
    KeyexRequest,
    MechanismChosen,
    MechanismsRequest,
    PasswordChange,
    PasswordChangeRequest,
    PasswordRequest,
    PublicKeyOk,
    PublicKeyQuery,
    PublicKeyRequest,
    SecurityError,
    SecurityErrorToken,
    SecurityMIC,
    SecurityToken,
    UserauthBanner,
    UserauthFailure,
    UserauthRequest,
    UserauthSuccess,
)
from nacre.wire.message import Record


def s(text: bytes) -> bytes:
    return len(text).to_bytes(4, "big") + text


VECTORS: list[tuple[Record, bytes]] = [
    (
        UserauthRequest("bob", "ssh-connection", "none", b""),
        b"\x32" + s(b"bob") + s(b"ssh-connection") + s(b"none"),
    ),
    (UserauthFailure(("publickey", "password"), True), b"\x33" + s(b"publickey,password") + b"\1"),
    (UserauthSuccess(), b"\x34"),
    (UserauthBanner("hi\n", "en"), b"\x35" + s(b"hi\n") + s(b"en")),
    (PublicKeyQuery(False, "ssh-ed25519", b"blob"), b"\0" + s(b"ssh-ed25519") + s(b"blob")),
    (
        PublicKeyRequest(True, "ssh-ed25519", b"blob", b"sig"),
        b"\1" + s(b"ssh-ed25519") + s(b"blob") + s(b"sig"),
    ),
    (PublicKeyOk("ssh-ed25519", b"blob"), b"\x3c" + s(b"ssh-ed25519") + s(b"blob")),
    (PasswordRequest(False, "pw"), b"\0" + s(b"pw")),
    (PasswordChange(True, "old", "new"), b"\1" + s(b"old") + s(b"new")),
    (PasswordChangeRequest("expired", ""), b"\x3c" + s(b"expired") + s(b"")),
    (InteractiveRequest("", "pam,otp"), s(b"") + s(b"pam,otp")),
    (
        InfoRequest("n", "i", "", 1, InfoPrompt("P: ", True).encode()),
        b"\x3c" + s(b"n") + s(b"i") + s(b"") + b"\0\0\0\1" + s(b"P: ") + b"\1",
    ),
    (InfoResponse(2, s(b"a") + s(b"")), b"\x3d\0\0\0\2" + s(b"a") + s(b"")),
    (MechanismsRequest(2, s(b"one") + s(b"two")), b"\0\0\0\2" + s(b"one") + s(b"two")),
    (KeyexRequest(b"mic"), s(b"mic")),
    (MechanismChosen(b"oid"), b"\x3c" + s(b"oid")),
    (SecurityToken(b"token"), b"\x3d" + s(b"token")),
    (SecurityError(1, 2, "no key", "en"), b"\x40\0\0\0\1\0\0\0\2" + s(b"no key") + s(b"en")),
    (SecurityErrorToken(b"token"), b"\x41" + s(b"token")),
    (SecurityMIC(b"mic"), b"\x42" + s(b"mic")),
]


@pytest.mark.parametrize(("value", "data"), VECTORS, ids=lambda v: type(v).__name__)
def test_layout(value: Record, data: bytes) -> None:
    assert value.encode() == data
    assert type(value).decode(memoryview(data)) == value


@pytest.mark.parametrize(
    "value",
    [
        UserauthRequest(
            "bob", "ssh-connection", "password", PasswordRequest(False, "hunter2").encode()
        ),
        PasswordRequest(False, "hunter2"),
        PasswordChange(True, "hunter2", "hunter2"),
        InfoResponse(1, s(b"hunter2")),
        SecurityToken(b"hunter2"),
        SecurityErrorToken(b"hunter2"),
    ],
    ids=lambda v: type(v).__name__,
)
def test_a_repr_hides_secrets(value: Record) -> None:
    assert "hunter2" not in repr(value)


@pytest.mark.parametrize("count", [0, 2, 2**32 - 1])
def test_counts_that_do_not_match_what_follows(count: int) -> None:
    with pytest.raises(MalformedMessage):
        InfoRequest("", "", "", count, InfoPrompt("P: ", True).encode()).prompts()
    with pytest.raises(MalformedMessage):
        InfoResponse(count, s(b"a")).responses()
