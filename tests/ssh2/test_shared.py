from __future__ import annotations

import os

import pytest

from nacre.errors import LocalProtocolError, PacketCorrupt, PacketTooLarge
from nacre.limits import DEFAULT_LIMITS
from nacre.protocol.events import Authenticated, ChannelOpened, ConnectionEnded, Data
from nacre.protocol.options import ClientOptions, algorithms
from nacre.protocol.phases import Phase
from nacre.ssh2.shared import SharedClient
from nacre.wire.codec import string, text, u32


def begun():
    options = ClientOptions(algorithms=algorithms(), limits=DEFAULT_LIMITS, user="alice")
    engine = SharedClient(options, random=os.urandom)
    engine.start(0.0)
    return engine


def packet(payload):
    return string(b"\0" + payload)


def test_it_begins_with_channels_and_says_nothing():
    engine = begun()
    assert engine.phase is Phase.CONNECTION
    assert engine.take_events()[-1] == Authenticated("alice", ())
    assert bytes(engine.take_output()) == b""
    assert engine.next_tick is None


def test_a_channel_without_padding():
    engine = begun()
    engine.take_events()
    number = engine.connection.open_channel("session")
    out = bytes(engine.take_output())
    assert int.from_bytes(out[:4], "big") == len(out) - 4
    assert out[4:6] == b"\0\x5a"
    assert out[6:].startswith(text("session") + u32(number))
    # In pieces: the padding's length is 0, and packets have any size.
    opened = packet(b"\x5b" + u32(number) + u32(9) + u32(100) + u32(50))
    data = packet(b"\x5e" + u32(number) + string(b"abc"))
    for byte in opened + data:
        engine.receive(bytes([byte]), 1.0)
    kinds = [type(event) for event in engine.take_events()]
    assert kinds == [ChannelOpened, Data]
    assert engine.connection.send_data(number, b"xyz") == 3
    # Behind what the window may need.
    assert bytes(engine.take_output()).endswith(packet(b"\x5e" + u32(9) + string(b"xyz")))


@pytest.mark.parametrize(
    ("length", "error"), [(0, PacketCorrupt), (1, PacketCorrupt), (1 << 30, PacketTooLarge)]
)
def test_lengths_out_of_bounds(length, error):
    engine = begun()
    engine.receive(u32(length) + b"\0\x5e", 0.0)
    ended = engine.take_events()[-1]
    assert isinstance(ended, ConnectionEnded)
    assert isinstance(ended.error, error)
    assert bytes(engine.take_output()) == b""  # no DISCONNECT: the connection is the master's


def test_no_keys_are_exchanged():
    engine = begun()
    engine.receive(packet(b"\x14" + bytes(16)), 0.0)
    ended = engine.take_events()[-1]
    assert isinstance(ended, ConnectionEnded)
    assert "exchanges no keys" in str(ended.error)


def test_what_the_master_would_have_to_answer():
    engine = begun()
    with pytest.raises(LocalProtocolError, match="no global requests"):
        engine.connection.send_global_request("tcpip-forward")
    with pytest.raises(LocalProtocolError, match="no keys"):
        engine.rekey()
    assert engine.connection.send_global_request("x", want_reply=False) == 0
