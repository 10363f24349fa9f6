"""The table of channels: their numbers, and the sum of their windows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nacre.errors import RemoteProtocolError
from nacre.limits import DEFAULT_LIMITS, KIB, MIB
from nacre.protocol.events import ChannelClosed
from nacre.protocol.phases import Role
from nacre.ssh2.connection.messages import ChannelEof
from ssh2.connection.pair import End, Pair


def test_numbers_are_small_and_free_again_only_after_both_closes() -> None:
    pair = Pair()
    numbers = [pair.session() for _ in range(3)]
    assert numbers == [(0, 0), (1, 1), (2, 2)]
    pair.client.mux.close_channel(1)
    assert pair.client.mux.open_channel("direct-tcpip") == 3
    pair.pump()
    assert pair.client.happened() == [ChannelClosed(1)]
    assert pair.client.mux.open_channel("direct-tcpip") == 1


def test_windows_of_many_channels_stay_within_their_total() -> None:
    limits = replace(DEFAULT_LIMITS, window_initial=1000 * KIB, windows_total=2500 * KIB)
    client = End(Role.CLIENT, limits)
    for _ in range(4):
        client.mux.open_channel("session")
    assert [m.window for m in client.sent()] == [1000 * KIB, 1000 * KIB, 64 * KIB, 64 * KIB]


@pytest.mark.parametrize(("total", "first"), [(8 * MIB, 4 * MIB), (8 * MIB - 1, 64 * KIB)])
def test_a_window_is_small_only_where_the_total_is_used_up(total: int, first: int) -> None:
    client = End(Role.CLIENT, replace(DEFAULT_LIMITS, windows_total=total))
    for _ in range(2):
        client.mux.open_channel("direct-tcpip")
    assert [message.window for message in client.sent()] == [4 * MIB, first]


def test_a_closed_channel_is_known_and_one_that_never_was_is_not() -> None:
    pair = Pair()
    number, _ = pair.session()
    pair.client.mux.close_channel(number)
    pair.pump()
    pair.server.happened()
    pair.server.receive(ChannelEof(0))
    assert pair.server.happened() == []
    with pytest.raises(RemoteProtocolError, match="channel 1, which does not exist"):
        pair.server.receive(ChannelEof(1))


def test_nothing_is_left_of_channels_that_are_closed() -> None:
    pair = Pair()
    for _ in range(3):
        number, _ = pair.session()
        pair.client.mux.close_channel(number)
        pair.pump()
    for end in (pair.client, pair.server):
        assert (end.mux.channels, end.mux._windows) == ({}, 0)
