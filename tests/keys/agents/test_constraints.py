from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.errors import KeyFormatError, MalformedMessage
from nacre.keys import generate
from nacre.keys.agents.constraints import (
    ASSOCIATED_CERTIFICATES,
    MAXIMUM_CERTIFICATES,
    RESTRICT_DESTINATION,
    UNCONSTRAINED,
    Constraints,
    decode,
    encode,
)
from nacre.keys.agents.destinations import DestinationConstraint, DestinationEnd, DestinationKey
from nacre.wire.codec import WireReader, string, text, u8, u32

KEY = generate("ssh-ed25519").public
DESTINATION = DestinationConstraint(
    DestinationEnd(), DestinationEnd("host", (DestinationKey(KEY),))
)


@pytest.mark.parametrize(
    "constraints",
    [
        UNCONSTRAINED,
        Constraints(lifetime=0),
        Constraints(lifetime=(1 << 32) - 1, confirm=True, provider="internal"),
        Constraints(destinations=(DESTINATION,)),
        Constraints(certificates=(KEY, KEY), certificates_only=True),
    ],
)
def test_both_ways(constraints: Constraints) -> None:
    assert decode(WireReader(encode(constraints))) == constraints
    assert bool(constraints) == bool(encode(constraints))


@pytest.mark.parametrize(
    ("data", "error", "says"),
    [
        (b"\x01\0\0", MalformedMessage, "cut off"),
        (b"\x02\x02", KeyFormatError, "2 comes twice"),
        (b"\x03" + u32(1), KeyFormatError, "3 is not supported"),
        (b"\xff" + text("\x1bnew"), KeyFormatError, r"\\x1bnew is not supported"),
        (b"\xff" + text(RESTRICT_DESTINATION) + string(b""), MalformedMessage, "has none"),
    ],
)
def test_what_is_refused(data: bytes, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        decode(WireReader(data))


def test_certificates_are_bounded() -> None:
    blobs = string(string(KEY.blob) * (MAXIMUM_CERTIFICATES + 1))
    with pytest.raises(KeyFormatError, match="at most"):
        decode(WireReader(b"\xff" + text(ASSOCIATED_CERTIFICATES) + u8(1) + blobs))


@given(st.binary(max_size=60))
def test_no_bytes_make_it_raise_anything_else(data: bytes) -> None:
    try:
        decode(WireReader(data))
    except (KeyFormatError, MalformedMessage):
        return
    assert data[:1] in (b"", b"\x01", b"\x02", b"\xff")
