"""Data, windows, EOF and CLOSE."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, islice

import pytest

from nacre.errors import (
    LocalProtocolError,
    MalformedMessage,
    PacketTooLarge,
    RemoteProtocolError,
)
from nacre.limits import DEFAULT_LIMITS, KIB, MIB
from nacre.protocol.events import ChannelClosed, Data, EofReceived, Writable
from nacre.protocol.phases import Role
from nacre.protocol.requests import ExitStatus, Shell
from nacre.protocol.tunnel import TUNNEL
from nacre.ssh2.connection.messages import (
    ChannelClose,
    ChannelData,
    ChannelEof,
    ChannelExtendedData,
    ChannelOpenConfirmation,
    ChannelRequest,
    ChannelSuccess,
    ChannelWindowAdjust,
)
from nacre.ssh2.connection.mux import HANDLERS
from ssh2.connection.pair import End, Pair

SMALL = replace(DEFAULT_LIMITS, window_initial=1000, window_maximum=1000, packet_data=300)


@pytest.fixture
def pair():
    made = Pair()
    made.session()
    return made


@pytest.fixture
def small():
    """Windows of 1,000 bytes and messages of at most 300, in both directions."""
    made = Pair(SMALL)
    made.session()
    return made


class TestSending:
    def test_data_is_split_by_the_peers_maximum_packet(self, small):
        assert small.client.mux.send_data(0, b"x" * 700) == 700
        assert [len(m.data) for m in small.client.sent()] == [300, 300, 100]

    def test_large_packets_are_not_larger_than_all_peers_take(self):
        client = End(Role.CLIENT)
        number = client.mux.open_channel("session")
        client.receive(ChannelOpenConfirmation(number, 5, 1 << 20, 1 << 20, b""))
        client.sent()
        client.mux.send_data(number, bytes(40 * KIB))
        assert [len(m.data) for m in client.sent()] == [32 * KIB, 8 * KIB]

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_any_buffer_is_taken_and_bytes_come_out_in_order(self, small, kind):
        data = bytes(range(256)) * 3
        assert small.client.mux.send_data(0, kind(data)) == len(data)
        small.pump()
        assert b"".join(bytes(e.data) for e in small.server.happened()) == data

    def test_a_full_window_stops_and_writable_follows_its_adjust(self, small):
        client = small.client
        assert client.mux.send_data(0, bytes(1500)) == 1000
        assert client.mux.send_data(0, bytes(500)) == 0
        small.pump()
        assert client.happened() == []
        small.server.mux.adjust_window(0, 250)
        small.pump()
        assert client.happened() == [Writable(0)]
        assert client.mux.send_data(0, bytes(500)) == 250

    def test_nobody_who_was_served_in_full_is_told(self, small):
        assert small.client.mux.send_data(0, bytes(1000)) == 1000
        small.pump()
        small.server.mux.adjust_window(0, 1000)
        small.pump()
        assert small.client.happened() == []

    def test_a_packet_of_a_tunnel_goes_as_a_whole_or_not_at_all(self):
        client = End(Role.CLIENT)
        number = client.mux.open_channel(TUNNEL)
        client.receive(ChannelOpenConfirmation(number, 5, 500, 300, b""))
        client.sent()
        client.happened()
        send = client.mux.send_data
        assert send(number, bytes(301)) == 301, "dropped, as on a link that takes none of its size"
        assert client.sent() == []
        assert send(number, bytes(300)) == 300
        assert client.sent() == [ChannelData(5, bytes(300))]
        assert send(number, bytes(201)) == 0
        assert client.sent() == []
        assert send(number, bytes(200)) == 200
        assert client.sent() == [ChannelData(5, bytes(200))]
        assert send(number, b"x") == 0
        client.receive(ChannelWindowAdjust(number, 1))
        assert client.happened() == [Writable(number)]

    def test_no_data_goes_during_a_key_exchange(self, pair):
        client = pair.client
        client.outbox.takes_data = False
        assert client.mux.send_data(0, b"abc") == 0
        client.receive(ChannelWindowAdjust(0, 5))
        assert client.happened() == [], "an adjust does not end the key exchange"
        client.outbox.takes_data = True
        client.mux.resume()
        client.mux.resume()
        assert client.happened() == [Writable(0)]
        assert client.mux.send_data(0, b"abc") == 3

    def test_a_key_exchange_that_ends_does_not_open_a_window(self, small):
        client = small.client
        client.mux.send_data(0, bytes(1000))
        client.outbox.takes_data = False
        assert client.mux.send_data(0, b"abc") == 0
        client.outbox.takes_data = True
        client.mux.resume()
        assert client.happened() == []
        client.receive(ChannelWindowAdjust(0, 1))
        assert client.happened() == [Writable(0)]

    def test_nothing_offered_is_nothing_sent(self, pair):
        assert pair.client.mux.send_data(0, b"") == 0
        assert pair.client.sent() == []
        pair.client.mux.resume()
        assert pair.client.happened() == []

    def test_standard_error_goes_from_server_to_client_only(self, pair):
        assert pair.server.mux.send_data(0, b"oops", 1) == 4
        (message,) = pair.server.sent()
        assert message == ChannelExtendedData(0, 1, b"oops")
        pair.client.receive(message)
        assert pair.client.happened() == [Data(0, b"oops", 1)]
        with pytest.raises(LocalProtocolError, match="no stream 1"):
            pair.client.mux.send_data(0, b"x", 1)
        with pytest.raises(LocalProtocolError, match="no stream 2"):
            pair.server.mux.send_data(0, b"x", 2)

    def test_both_streams_share_the_window(self, small):
        assert small.server.mux.send_data(0, bytes(600)) == 600
        assert small.server.mux.send_data(0, bytes(600), 1) == 400
        assert [m.NUMBER for m in small.server.sent()] == [94, 94, 95, 95]

    def test_an_adjust_above_32_bits_is_refused(self, pair):
        with pytest.raises(RemoteProtocolError, match="beyond"):
            pair.client.receive(ChannelWindowAdjust(0, 0xFFFFFFFF))


class TestReceiving:
    def test_the_event_holds_the_payloads_own_memory(self, pair):
        payload = memoryview(ChannelData(0, b"hello").encode())
        HANDLERS[94](pair.server.mux, payload)
        (event,) = pair.server.happened()
        assert event == Data(0, b"hello")
        assert event.data.obj is payload.obj

    def test_a_window_is_used_to_its_last_byte_and_no_further(self, small):
        small.server.receive(*[ChannelData(0, bytes(250))] * 4)
        assert len(small.server.happened()) == 4
        with pytest.raises(RemoteProtocolError, match="window has 0"):
            small.server.receive(ChannelData(0, b"x"))

    def test_zero_bytes_are_legal_and_nothing(self, small):
        small.server.receive(*[ChannelData(0, bytes(250))] * 4)
        small.server.happened()
        small.server.receive(ChannelData(0, b""))
        small.client.receive(ChannelExtendedData(0, 1, b""))
        assert small.server.happened() == small.client.happened() == []

    @pytest.mark.parametrize("kind", [94, 95])
    def test_a_message_above_the_maximum_packet_is_refused(self, small, kind):
        message = (
            ChannelData(0, bytes(301)) if kind == 94 else ChannelExtendedData(0, 1, bytes(301))
        )
        with pytest.raises(PacketTooLarge, match="at most 300"):
            small.client.receive(message)

    @pytest.mark.parametrize("message", [ChannelData(0, b"abc"), ChannelExtendedData(0, 1, b"abc")])
    def test_lengths_must_agree(self, pair, message):
        whole = message.encode()
        for wrong in (*(whole[:n] for n in range(1, len(whole))), whole + b"x"):
            with pytest.raises(MalformedMessage):
                pair.client.receive(wrong)

    def test_window_adjust_is_granted_seldom_and_large(self, pair):
        server = pair.server
        for _ in range(32):
            server.receive(ChannelData(0, bytes(32 * KIB)))
            server.mux.adjust_window(0, 32 * KIB)
        assert server.sent() == [ChannelWindowAdjust(0, 1024 * KIB)]

    def test_a_busy_channel_grows_within_the_total_of_all(self):
        limits = replace(SMALL, window_maximum=100_000, windows_total=3500)
        pair = Pair(limits)
        pair.session()
        pair.session()
        clock = count(0.0, 0.2)  # the round trip of the path: larger windows make it faster
        for now in islice(clock, 20):
            pair.server.mux.now = now
            pair.client.mux.send_data(0, bytes(4000))
            pair.pump()
            pair.server.mux.adjust_window(
                0, sum(len(event.data) for event in pair.server.happened())
            )
            pair.pump()
        assert pair.client.mux.send_data(0, bytes(9000)) == 2500, "1,000 are the other channel's"
        pair.pump()
        for _ in range(2):
            pair.client.mux.close_channel(0)
            pair.pump()
        pair.session()
        for now in islice(clock, 20):
            pair.server.mux.now = now
            pair.client.mux.send_data(1, bytes(4000))
            pair.pump()
            came = [event.data for event in pair.server.happened() if isinstance(event, Data)]
            pair.server.mux.adjust_window(1, sum(map(len, came)))
            pair.pump()
        assert pair.client.mux.send_data(1, bytes(9000)) == 2500, "a closed one's are free again"

    def test_windows_of_sessions_fit_a_long_path_from_the_start_on(self):
        pair = Pair()
        pair.client.mux.open_channel("session")
        pair.pump()
        (ask,) = pair.server.questions()
        pair.server.answer(ask)
        pair.client.mux.now = 0.1
        pair.pump()
        pair.client.mux.send_request(0, Shell())
        assert pair.client.mux.send_data(0, bytes(32 * MIB)) == 4 * MIB
        pair.server.mux.now = 0.1
        pair.pump()
        adjusts = [end.mux.channels[0].receive.size for end in (pair.client, pair.server)]
        assert all(0.1 * 125e6 < size < 0.1 * 2 * 125e6 for size in adjusts)
        assert pair.client.mux.send_data(0, bytes(32 * MIB)) == adjusts[1] - 4 * MIB

    def test_sessions_leave_room_for_more(self):
        pair = Pair(replace(DEFAULT_LIMITS, windows_total=64 * MIB))
        for number in range(6):
            pair.client.mux.open_channel("session")
            pair.pump()
            (ask,) = pair.server.questions()
            pair.server.answer(ask)
            pair.client.mux.now = pair.client.mux.now + 0.2
            pair.pump()
            pair.client.happened()
            assert pair.client.mux.channels[number].receive.size >= 4 * MIB
        assert pair.client.mux._windows <= 64 * MIB

    def test_a_session_grows_by_a_quarter_of_what_is_left(self):
        client = End(Role.CLIENT, replace(DEFAULT_LIMITS, windows_total=5 * MIB))
        number = client.mux.open_channel("session")
        client.mux.now = 0.9
        client.receive(ChannelOpenConfirmation(number, 0, 1, 1, b""))
        assert client.sent()[1:] == [ChannelWindowAdjust(0, 256 * KIB)]

    def test_a_slow_clock_does_not_grow_a_channel(self):
        pair = Pair(replace(SMALL, window_maximum=100_000))
        pair.session()
        for second in range(50):
            pair.server.mux.now = float(second)
            pair.client.mux.send_data(0, bytes(900))
            pair.pump()
            pair.server.mux.adjust_window(0, 900)
            pair.pump()
        pair.client.mux.send_data(0, bytes(9000))
        assert sum(len(m.data) for m in pair.client.sent()) <= 1000

    def test_window_adjust_for_more_than_came_is_illegal(self, pair):
        pair.server.receive(ChannelData(0, b"abc"))
        with pytest.raises(LocalProtocolError, match="3 are unread"):
            pair.server.mux.adjust_window(0, 4)

    def test_extended_data_nobody_reads_is_dropped_and_credited(self, small):
        small.client.receive(ChannelExtendedData(0, 2, bytes(250)))
        assert small.client.sent() == [ChannelWindowAdjust(0, 250)]
        small.server.receive(ChannelExtendedData(0, 1, bytes(250)))
        assert small.server.sent() == [ChannelWindowAdjust(0, 250)]
        assert small.client.happened() == small.server.happened() == []

    def test_extended_data_on_what_is_no_session_is_dropped(self):
        client = End(Role.CLIENT)
        number = client.mux.open_channel("direct-tcpip")
        client.receive(ChannelOpenConfirmation(number, 0, 1, 1, b""))
        client.happened()
        client.receive(ChannelExtendedData(number, 1, b"x"))
        assert client.happened() == []


class TestEnds:
    def test_eof_ends_one_direction_only(self, pair):
        pair.client.mux.send_data(0, b"last")
        pair.client.mux.send_eof(0)
        pair.pump()
        assert pair.server.happened() == [Data(0, b"last"), EofReceived(0)]
        assert pair.server.mux.send_data(0, b"answer") == 6
        pair.pump()
        assert pair.client.happened() == [Data(0, b"answer")]

    def test_nothing_is_sent_after_eof(self, pair):
        pair.client.mux.send_eof(0)
        with pytest.raises(LocalProtocolError, match="accepts no data"):
            pair.client.mux.send_data(0, b"x")
        with pytest.raises(LocalProtocolError, match="already"):
            pair.client.mux.send_eof(0)
        assert len(pair.client.sent()) == 1

    @pytest.mark.parametrize(
        "message", [ChannelData(0, b"x"), ChannelData(0, b""), ChannelExtendedData(0, 1, b"x")]
    )
    @pytest.mark.parametrize("closed_by_us", [False, True])
    def test_data_after_eof_is_dropped(self, pair, message, closed_by_us):
        if closed_by_us:
            pair.server.mux.close_channel(0)
        pair.server.receive(ChannelEof(0))
        pair.server.happened()
        pair.server.receive(message)
        assert pair.server.happened() == []

    def test_eof_comes_once(self, pair):
        pair.server.happened()
        pair.server.receive(ChannelEof(0), ChannelEof(0))
        assert pair.server.happened() == [EofReceived(0)]

    def test_no_window_is_opened_after_eof(self, small):
        small.server.receive(ChannelData(0, bytes(300)), ChannelEof(0))
        small.server.mux.adjust_window(0, 300)
        assert small.server.sent() == []

    @pytest.mark.parametrize("first", ["client", "server"])
    @pytest.mark.parametrize("eof", ["none", "first", "second", "both"])
    def test_close_is_answered_at_once_with_eof_or_without(self, pair, first, eof):
        one, other = (pair.client, pair.server) if first == "client" else (pair.server, pair.client)
        if eof in ("first", "both"):
            one.mux.send_eof(0)
        if eof in ("second", "both"):
            other.mux.send_eof(0)
        one.mux.close_channel(0)
        one.mux.close_channel(0)
        pair.pump()
        assert one.happened()[-1] == ChannelClosed(0)
        assert other.happened()[-1] == ChannelClosed(0)
        for end in (one, other):
            end.receive(ChannelClose(0))
            assert end.happened() == end.sent() == []
            with pytest.raises(RemoteProtocolError, match="does not exist"):
                end.receive(ChannelClose(1))

    def test_closes_that_cross_close_once(self, pair):
        pair.client.mux.close_channel(0)
        pair.server.mux.close_channel(0)
        pair.pump()
        assert pair.client.happened() == pair.server.happened() == [ChannelClosed(0)]

    def test_what_the_peer_sent_before_it_saw_our_close_is_ignored(self, pair):
        client = pair.client
        token = client.mux.send_request(0, Shell())
        client.mux.close_channel(0)
        client.sent()
        client.receive(
            ChannelData(0, b"late"),
            ChannelExtendedData(0, 1, b"late"),
            ChannelWindowAdjust(0, 100),
            ChannelRequest(0, "exit-status", True, ExitStatus(0).encode()),
            ChannelEof(0),
        )
        assert client.happened() == []
        assert client.sent() == []
        client.receive(ChannelSuccess(0))
        (answered,) = client.happened()
        assert (answered.token, answered.success) == (token, True)
        client.receive(ChannelClose(0))
        assert client.happened() == [ChannelClosed(0)]
        assert client.sent() == []

    def test_the_window_holds_for_data_that_is_ignored(self, small):
        small.server.mux.close_channel(0)
        small.server.receive(*[ChannelData(0, bytes(250))] * 4)
        with pytest.raises(RemoteProtocolError, match="window has 0"):
            small.server.receive(ChannelData(0, b"x"))

    def test_a_writer_that_waits_is_not_told_of_a_closed_channel(self, small):
        small.client.mux.send_data(0, bytes(2000))
        small.client.mux.close_channel(0)
        small.client.receive(ChannelWindowAdjust(0, 100))
        small.client.mux.resume()
        assert small.client.happened() == []

    def test_the_owner_of_a_closed_channel(self, pair):
        pair.client.receive(ChannelData(0, b"abc"), ChannelClose(0))
        mux = pair.client.mux
        mux.adjust_window(0, 3)
        mux.close_channel(0)
        for call in (
            lambda: mux.send_data(0, b"x"),
            lambda: mux.send_eof(0),
            lambda: mux.send_request(0, Shell()),
        ):
            with pytest.raises(LocalProtocolError):
                call()

    def test_window_adjust_after_our_close_opens_nothing(self, small):
        small.client.receive(ChannelData(0, bytes(300)))
        small.client.mux.close_channel(0)
        small.client.sent()
        small.client.mux.adjust_window(0, 300)
        assert small.client.sent() == []
