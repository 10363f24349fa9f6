from __future__ import annotations

import pytest

from nacre.errors import MalformedMessage
from nacre.wire.message import (
    U8,
    U32,
    U64,
    Bool,
    Cookie,
    Message,
    MPInt,
    NameList,
    Record,
    Rest,
    SecretString,
    String,
    Text,
    message,
    record,
)


@message(200)
class Everything(Message):
    a: U8
    b: Bool
    c: U32
    d: U64
    e: String
    f: Text
    g: MPInt
    h: NameList
    i: Cookie
    j: SecretString
    k: Rest


@record
class Empty(Record):
    pass


VALUE = Everything(1, True, 2, 3, b"e", "f", -5, ("h", "i"), b"c" * 16, b"hunter2", b"rest")


def test_round_trip() -> None:
    encoded = VALUE.encode()
    assert encoded[0] == Everything.NUMBER == 200
    assert Everything.decode(encoded) == VALUE
    assert Everything.decode(memoryview(encoded)) == VALUE


def test_layout() -> None:
    assert VALUE.encode().hex() == (
        "c8"
        "01"
        "01"
        "00000002"
        "0000000000000003"
        "0000000165"
        "0000000166"
        "00000001fb"
        "00000003682c69" + "63" * 16 + "00000007" + b"hunter2".hex() + b"rest".hex()
    )


def test_every_cut_is_malformed() -> None:
    encoded = VALUE.encode()
    for size in range(len(encoded) - len(b"rest")):
        with pytest.raises(MalformedMessage):
            Everything.decode(encoded[:size])


def test_other_number_is_malformed() -> None:
    with pytest.raises(MalformedMessage):
        Everything.decode(b"\x01" + VALUE.encode()[1:])


def test_bytes_behind_a_record_are_malformed() -> None:
    assert Empty().encode() == b""
    with pytest.raises(MalformedMessage):
        Empty.decode(b"x")


def test_secrets_are_not_shown() -> None:
    assert "hunter2" not in repr(VALUE)
    assert "j=<hidden>" in repr(VALUE)
    assert {"j"} == Everything.SECRETS


def test_messages_are_frozen() -> None:
    with pytest.raises(AttributeError):
        VALUE.a = 2  # type: ignore[misc]
