from __future__ import annotations

import pytest

from nacre.errors import MalformedMessage
from nacre.keys import Certificate, PublicKey, generate
from nacre.keys.signed_data import SignedLogin, decode_login, is_sshsig
from nacre.wire.codec import string, text, u8

KEY, HOST = generate("ssh-ed25519").public, generate("ssh-ed25519").public
HOSTBOUND = "publickey-hostbound-v00@openssh.com"


def request(
    *,
    key: PublicKey = KEY,
    number: int = 50,
    service: str = "ssh-connection",
    method: str = "publickey",
    signed: int = 1,
    algorithm: str = "",
    behind: bytes = b"",
) -> bytes:
    names = text(algorithm or key.signature_algorithms[0]) + string(key.blob)
    front = string(b"session") + u8(number) + text("bob") + text(service) + text(method)
    return front + u8(signed) + names + behind


def test_a_login() -> None:
    assert decode_login(request(), KEY) == SignedLogin(b"session", "bob", None)


def test_a_login_that_names_the_host() -> None:
    data = request(method=HOSTBOUND, behind=string(HOST.blob))
    assert decode_login(data, KEY) == SignedLogin(b"session", "bob", HOST)


def test_a_login_with_a_certificate() -> None:
    certificate = Certificate.issue(KEY, generate("ssh-ed25519"))
    assert decode_login(request(key=certificate), certificate).user == "bob"
    with pytest.raises(MalformedMessage):
        decode_login(request(key=certificate), KEY)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        request(number=51),
        request(service="ssh-userauth"),
        request(method="hostbased"),
        request(signed=0),
        request(signed=2),
        request(key=HOST),
        request(algorithm="ssh-rsa"),
        request(behind=b"x"),
        request(method=HOSTBOUND),
        request(behind=string(HOST.blob)),
        request(method=HOSTBOUND, behind=string(HOST.blob) + b"x"),
    ],
)
def test_other_data(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_login(data, KEY)


def test_sshsig() -> None:
    data = b"SSHSIG" + text("git") + string(b"") + text("sha512") + string(bytes(64))
    assert is_sshsig(data)
    assert not is_sshsig(data + b"x")
    assert not is_sshsig(data[:-1])
    assert not is_sshsig(b"")
    assert not is_sshsig(request())
