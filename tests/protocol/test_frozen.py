"""The encoding of a frozen connection: what comes back, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.errors import MalformedMessage
from nacre.limits import DEFAULT_LIMITS, Limits
from nacre.protocol.events import Chosen
from nacre.protocol.frozen import FORMAT, MOST, FrozenDirection, FrozenServer
from nacre.testing import host_key
from nacre.value import replace
from nacre.wire.codec import u32

CHOSEN = Chosen(
    kex="curve25519-sha256",
    host_key="ssh-ed25519",
    cipher_c2s="aes128-ctr",
    cipher_s2c="aes128-gcm@openssh.com",
    mac_c2s="hmac-sha2-256",
    mac_s2c="<implicit>",
    compression_c2s="none",
    compression_s2c="zlib@openssh.com",
    strict=False,
)
FROZEN = FrozenServer(
    user="ålice\udcff",
    methods=("publickey", "password"),
    limits=DEFAULT_LIMITS,
    lines=(b"SSH-2.0-client", b"SSH-2.0-server"),
    session_id=b"\x07" * 32,
    host_key=host_key().public,
    strict=True,
    told=False,
    no_more_sessions=False,
    pings=True,
    chosen=CHOSEN,
    age=77,
    incoming=FrozenDirection(b"K" * 16, b"I" * 16, b"M" * 32, 2**32 - 1, 9, 2**40, b"unread"),
    outgoing=FrozenDirection(b"L" * 16, b"J" * 12, b"", 3, 2, 1, b"unsent"),
)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"user": "", "methods": ()},
        {"host_key": None},
        {"strict": False, "pings": False, "chosen": replace(CHOSEN, strict=True)},
        {"limits": Limits(sessions=0, rekey_bytes=1 << 62, rekey_seconds=0.125)},
        {"age": 2**32 - 1},
        {"told": True},
        {"no_more_sessions": True},
    ],
)
def test_what_is_decoded_is_what_was_encoded(change: dict[str, Any]) -> None:
    frozen = replace(FROZEN, **change)
    assert FrozenServer.decode(frozen.encode()) == frozen
    assert FrozenServer.decode(memoryview(frozen.encode())) == frozen


def test_the_keys_of_each_direction() -> None:
    assert FROZEN.incoming_keys.cipher == "aes128-ctr"
    assert FROZEN.incoming_keys.mac_key == b"M" * 32
    assert FROZEN.outgoing_keys.cipher == "aes128-gcm@openssh.com"
    assert FROZEN.outgoing_keys.key == b"L" * 16


def test_secrets_are_not_shown() -> None:
    for shown in (repr(FROZEN), repr(FROZEN.incoming), repr(FROZEN.incoming_keys)):
        assert "KKKK" not in shown
        assert "MMMM" not in shown
        assert "IIII" not in shown


def refused(frozen: FrozenServer, words: str) -> None:
    with pytest.raises(MalformedMessage, match=words):
        FrozenServer.decode(frozen.encode())


def test_another_version() -> None:
    data = FROZEN.encode()
    with pytest.raises(MalformedMessage, match=f"format {FORMAT + 1}"):
        FrozenServer.decode(u32(FORMAT + 1) + data[4:])


def test_too_much() -> None:
    waiting = replace_field(FROZEN.incoming, waiting=bytes(MOST))
    refused(replace(FROZEN, incoming=waiting), "bytes")


def replace_field(direction: FrozenDirection, **changes: Any) -> FrozenDirection:
    fields = {name: getattr(direction, name) for name in FrozenDirection.FIELDS}
    return FrozenDirection(**{**fields, **changes})


@pytest.mark.parametrize("field", ["key", "iv", "mac_key"])
@pytest.mark.parametrize("size", [0, 15, 33])
def test_keys_of_another_size(field: str, size: int) -> None:
    direction = replace_field(FROZEN.incoming, **{field: bytes(size)})
    refused(replace(FROZEN, incoming=direction), "keys")


@pytest.mark.parametrize(
    "change",
    [
        {"cipher_c2s": "none"},
        {"cipher_s2c": "rot13"},
        {"mac_c2s": "none"},
        {"compression_c2s": "lzma"},
        {"kex": ""},
        {"kex": "two,names"},
    ],
)
def test_algorithms_that_do_not_exist(change: dict[str, str]) -> None:
    refused(replace(FROZEN, chosen=replace(CHOSEN, **change)), "frozen connection")


@pytest.mark.parametrize(
    "text",
    [b"sessions=x", b"sessions=-1", b"rekey_seconds=nan", b"rekey_seconds=inf", b"no_such=1"],
)
def test_bounds_that_are_none(text: bytes) -> None:
    data = replace(FROZEN, limits=Limits(packet=123456)).encode()
    mark = b"packet=123456"
    assert mark in data
    with pytest.raises(MalformedMessage):
        FrozenServer.decode(data.replace(u32(len(mark)) + mark, u32(len(text)) + text))


def test_a_host_key_that_is_none() -> None:
    data, blob = FROZEN.encode(), host_key().public.blob
    with pytest.raises(MalformedMessage, match="host key"):
        FrozenServer.decode(data.replace(u32(len(blob)) + blob, u32(3) + b"abc"))


def test_every_truncation_and_every_addition() -> None:
    data = FROZEN.encode()
    for size in range(len(data)):
        with pytest.raises(MalformedMessage):
            FrozenServer.decode(data[:size])
    with pytest.raises(MalformedMessage):
        FrozenServer.decode(data + b"\0")


@given(st.binary(max_size=300))
def test_rubbish(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        FrozenServer.decode(u32(FORMAT) + data)


@given(st.integers(0, 10**6), st.binary(min_size=1, max_size=8))
def test_changed_bytes_are_another_state_or_refused(at: int, change: bytes) -> None:
    data = bytearray(FROZEN.encode())
    at %= len(data)
    data[at : at + len(change)] = change
    try:
        frozen = FrozenServer.decode(data)
    except MalformedMessage:
        return
    assert FrozenServer.decode(frozen.encode()) == frozen
