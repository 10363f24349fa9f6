"""The connection protocol alone, between the two ends of a shared connection."""

from __future__ import annotations

import pytest

from nacre.errors import (
    ConnectionLost,
    DisconnectCode,
    Disconnected,
    LocalProtocolError,
    PacketCorrupt,
    PacketTooLarge,
    RemoteProtocolError,
)
from nacre.protocol.asks import AskOpen, AskRequest, Granted
from nacre.protocol.events import ChannelOpened, ConnectionEnded, Data, GlobalRequestAnswered
from nacre.protocol.options import EngineOptions
from nacre.protocol.phases import Phase, Role
from nacre.protocol.requests import Exec
from nacre.ssh2.proxied import ProxiedEngine


class Ends:
    def __init__(self) -> None:
        self.client, self.master = (
            ProxiedEngine(role, EngineOptions()) for role in (Role.CLIENT, Role.SERVER)
        )
        for end in (self.client, self.master):
            end.start(0.0)

    def carry(self, *, step: int = 1 << 20):
        """Give each end what the other has put out, and return what both report."""
        for one, other in ((self.client, self.master), (self.master, self.client)):
            data = bytes(one.take_output())
            for at in range(0, len(data), step):
                other.receive(data[at : at + step], 0.0)
        return self.client.take_events(), self.master.take_events()


def test_packets_have_no_padding():
    ends = Ends()
    ends.client.connection.open_channel("session")
    packet = bytes(ends.client.take_output())
    assert packet[:5] == (len(packet) - 4).to_bytes(4, "big") + b"\0"
    assert packet[5:17] == b"\x5a\0\0\0\x07session"


def test_a_reply_has_the_five_bytes_that_openssh_reads():
    ends = Ends()
    token = ends.client.connection.send_global_request("keepalive@openssh.com")
    ends.master.receive(ends.client.take_output(), 0.0)
    packet = bytes(ends.master.take_output())
    assert packet == b"\0\0\0\x05\x03\x52\0\0\0"
    ends.client.receive(packet, 0.0)
    assert ends.client.take_events() == [GlobalRequestAnswered(token, False, b"")]


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_a_session(step):
    ends = Ends()
    number = ends.client.connection.open_channel("session")
    _, [ask] = ends.carry(step=step)
    assert isinstance(ask, AskOpen)
    assert ask.channel_type == "session"
    ends.master.answer(ask.ask_id, Granted())
    [opened], _ = ends.carry(step=step)
    assert opened == ChannelOpened(number)
    ends.client.connection.send_request(number, Exec(b"true"))
    _, asked = ends.carry(step=step)
    assert isinstance(asked[-1], AskRequest)
    ends.master.answer(asked[-1].ask_id, Granted())
    ends.master.connection.send_data(ask.channel, b"out")
    told, _ = ends.carry(step=step)
    assert told[-1] == Data(number, memoryview(b"out"))


BROKEN = {
    "length of 0": (bytes(5), PacketTooLarge | PacketCorrupt),
    "too long": (b"\xff" * 5, PacketTooLarge),
    "padding alone": (b"\0\0\0\x03\x02\x02\0", PacketCorrupt),
    "key exchange": (b"\0\0\0\x02\0\x14", RemoteProtocolError),
    "login": (b"\0\0\0\x02\0\x32", RemoteProtocolError),
    "cut off": (b"\0\0\0\x02\0\x5a", RemoteProtocolError),
}


@pytest.mark.parametrize(("data", "error"), BROKEN.values(), ids=BROKEN)
def test_what_ends_the_connection(data, error):
    ends = Ends()
    ends.master.receive(data, 0.0)
    [ended] = ends.master.take_events()
    assert isinstance(ended, ConnectionEnded)
    assert isinstance(ended.error, error)
    assert ends.master.phase is Phase.CLOSED
    [told], _ = ends.carry()
    assert isinstance(told, ConnectionEnded)
    assert isinstance(told.error, Disconnected)
    with pytest.raises(LocalProtocolError):
        _ = ends.master.connection


def test_the_end():
    ends = Ends()
    ends.master.disconnect(DisconnectCode.BY_APPLICATION, "bye")
    ends.carry()
    assert ends.client.phase is Phase.CLOSED
    ends = Ends()
    ends.client.receive_eof()
    [ended] = ends.client.take_events()
    assert isinstance(ended, ConnectionEnded)
    assert isinstance(ended.error, ConnectionLost)


def test_messages_without_effect_and_unknown_ones():
    ends = Ends()
    ends.master.receive(b"\0\0\0\x06\0\x02\0\0\0\0", 0.0)  # IGNORE
    assert not ends.master.take_output()
    ends.master.receive(b"\0\0\0\x02\0\xc8", 0.0)
    assert bytes(ends.master.take_output())[5] == 3  # UNIMPLEMENTED
    assert ends.master.phase is Phase.CONNECTION
    with pytest.raises(LocalProtocolError):
        ends.master.rekey()
