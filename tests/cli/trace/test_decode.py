import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.cli.trace.decode import Decoder
from nacre.keys import generate
from nacre.protocol.requests import Env, Exec
from nacre.ssh2.auth import messages as auth
from nacre.ssh2.connection import messages as connection
from nacre.ssh2.transport import messages as transport
from nacre.wire.codec import string, text, u32

KEY = generate("ssh-ed25519").public
SECRET = "correct horse"


def request(method, fields=b""):
    return auth.UserauthRequest("alice", "ssh-connection", method, fields).encode()


def everything(decoder, *payloads):
    return "".join(json.dumps([d.name, d.fields]) for d in map(decoder.decode, payloads))


def test_a_password_is_not_shown():
    decoder = Decoder()
    once = auth.PasswordRequest(False, SECRET).encode()
    change = auth.PasswordChange(True, SECRET, SECRET).encode()
    shown = everything(decoder, request("password", once), request("password", change))
    assert SECRET not in shown
    assert decoder.decode(request("password", once)).fields == {
        "user": "alice",
        "service": "ssh-connection",
        "method": "password",
        "change": False,
        "password": "<hidden>",
    }


def test_responses_are_not_shown():
    decoder = Decoder()
    decoder.decode(request("keyboard-interactive", text("") + text("")))
    question = auth.InfoRequest("", "", "", 1, text("Password: ") + b"\0").encode()
    answer = auth.InfoResponse(1, text(SECRET)).encode()
    assert decoder.decode(question).fields["prompts"] == [{"text": "Password: ", "echo": False}]
    shown = decoder.decode(answer)
    assert shown.name == "SSH_MSG_USERAUTH_INFO_RESPONSE"
    assert shown.fields == {"count": 1, "responses": "<hidden>"}


def test_fields_of_an_unknown_method_are_not_shown():
    assert SECRET not in everything(Decoder(), request("magic", SECRET.encode()))


def test_values_of_the_environment_and_data_are_not_shown():
    env = connection.ChannelRequest(0, "env", False, Env("TOKEN", SECRET).encode()).encode()
    data = connection.ChannelData(0, SECRET.encode()).encode()
    ignored = transport.Ignore(SECRET.encode()).encode()
    shown = everything(Decoder(), env, data, ignored)
    assert SECRET not in shown
    assert "TOKEN" in shown
    assert "<13 bytes>" in shown


def test_a_key_shows_as_its_fingerprint_and_a_signature_as_its_size():
    fields = auth.PublicKeyRequest(True, "ssh-ed25519", KEY.blob, bytes(83)).encode()
    shown = Decoder().decode(request("publickey", fields)).fields
    assert shown["blob"] == f"ssh-ed25519 {KEY.fingerprint()}"
    assert shown["signature"] == "<83 bytes>"
    query = auth.PublicKeyQuery(False, "ssh-ed25519", KEY.blob).encode()
    assert Decoder().decode(request("publickey", query)).fields["signed"] is False


@pytest.mark.parametrize(
    ("method", "message", "name"),
    [
        ("publickey", auth.PublicKeyOk("ssh-ed25519", KEY.blob), "SSH_MSG_USERAUTH_PK_OK"),
        ("password", auth.PasswordChangeRequest("new?", ""), "SSH_MSG_USERAUTH_PASSWD_CHANGEREQ"),
    ],
)
def test_number_60_means_what_the_method_says(method, message, name):
    decoder = Decoder()
    decoder.decode(request(method, bytes(1) + text("x") + text("")))
    assert decoder.decode(message.encode()).name == name


@pytest.mark.parametrize(
    ("kex", "number", "name"),
    [
        ("curve25519-sha256", 30, "SSH_MSG_KEX_ECDH_INIT"),
        ("diffie-hellman-group14-sha256", 30, "SSH_MSG_KEXDH_INIT"),
        ("mlkem768x25519-sha256", 30, "SSH_MSG_KEX_HYBRID_INIT"),
    ],
)
def test_number_30_means_what_the_kex_says(kex, number, name):
    decoder = Decoder()
    decoder.kex = kex
    shown = decoder.decode(transport.KexInitiate(bytes(32)).encode())
    assert (shown.number, shown.name) == (number, name)
    assert shown.fields == {"public": "<32 bytes>"}


def test_group_exchange():
    decoder = Decoder()
    decoder.kex = "diffie-hellman-group-exchange-sha256"
    group = decoder.decode(transport.GexGroup((1 << 2047) + 1, 2).encode())
    assert group.name == "SSH_MSG_KEX_DH_GEX_GROUP"
    assert group.fields == {"prime": "<2048 bits>", "generator": 2}


def test_requests_on_channels_are_taken_apart():
    shown = Decoder().decode(
        connection.ChannelRequest(3, "exec", True, Exec(b"uname \x1b[2J").encode()).encode()
    )
    assert shown.fields == {
        "recipient": 3,
        "name": "exec",
        "want_reply": True,
        "exec command": "uname \\x1b[2J",
    }


def test_host_keys_of_openssh():
    payload = connection.GlobalRequest("hostkeys-00@openssh.com", False, string(KEY.blob)).encode()
    assert Decoder().decode(payload).fields["keys"] == [f"ssh-ed25519 {KEY.fingerprint()}"]


def test_extensions():
    shown = Decoder().decode(transport.ExtInfo({"server-sig-algs": b"ssh-ed25519\x07"}).encode())
    assert shown.name == "SSH_MSG_EXT_INFO"
    assert shown.fields == {"server-sig-algs": "ssh-ed25519\\x07"}


@pytest.mark.parametrize(
    "payload", [b"\x32", b"\x14abc", bytes((98,)) + u32(0) + text("exec") + b"\1x", b"\x07\xff" * 9]
)
def test_what_does_not_decode_says_so(payload):
    assert "error" in Decoder().decode(payload).fields


def test_numbers_nobody_knows():
    shown = Decoder().decode(bytes((150, 1, 2)))
    assert (shown.name, shown.fields) == ("SSH_MSG_150", {"data": "<2 bytes>"})


NUMBERS = [*range(1, 8), 20, 21, *range(30, 35), *range(50, 54), 60, 61, *range(80, 101), 192]


@given(
    st.sampled_from(["", "publickey", "password", "keyboard-interactive"]),
    st.sampled_from(["curve25519-sha256", "diffie-hellman-group-exchange-sha256"]),
    st.sampled_from(NUMBERS),
    st.binary(max_size=80),
)
def test_whatever_a_peer_sends_is_shown_and_printable(method, kex, number, body):
    decoder = Decoder()
    decoder.kex = kex
    decoder.decode(request(method))
    shown = decoder.decode(bytes((number,)) + body)
    assert shown.number == number
    assert json.dumps(shown.fields, ensure_ascii=False).isprintable()


def test_tokens_of_gssapi_are_not_shown():
    decoder = Decoder()
    offer = auth.MechanismsRequest(1, string(b"oid")).encode()
    assert decoder.decode(request("gssapi-with-mic", offer)).fields["mechanisms"] == 1
    shown = decoder.decode(auth.SecurityToken(SECRET.encode()).encode())
    assert (shown.name, shown.fields) == ("SSH_MSG_USERAUTH_GSSAPI_TOKEN", {})
    mic = decoder.decode(request("gssapi-keyex", auth.KeyexRequest(b"mic").encode()))
    assert mic.fields["mic"] == "<3 bytes>"
    decoder.kex = "gss-nistp256-sha256-toWM5Slw5Ew8Mqkay+al2g=="
    begins = decoder.decode(transport.GssInitiate(SECRET.encode(), b"12").encode())
    assert (begins.name, begins.fields) == ("SSH_MSG_KEXGSS_INIT", {"public": "<2 bytes>"})
    ends = transport.GssComplete.of(b"1", b"mic", SECRET.encode()).encode()
    assert SECRET not in everything(decoder, ends)
