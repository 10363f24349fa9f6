"""A server whose connection is at rest is frozen again; its client notices nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from attacks.links import error, inside, of
from nacre.errors import LocalProtocolError
from nacre.protocol.events import Authenticated, KexDone, PongReceived, Resumed
from nacre.protocol.frozen import FrozenServer
from nacre.protocol.options import algorithms
from nacre.protocol.phases import Phase
from ssh2.moved import Moving
from ssh2.test_thawed import PAIRS, only


def in_use(pair: Moving | None = None) -> Moving:
    """Return a pair whose server was thawed and has had a session."""
    pair = pair or Moving()
    pair.run()
    pair.move()
    use(pair)
    return pair


def use(pair: Moving) -> None:
    """Send data over a channel, and close it."""
    channel = pair.open()
    pair.talk(channel)
    for end in (pair.client, pair.server):
        end.connection.close_channel(channel)
    pair.run()


def again(pair: Moving) -> FrozenServer:
    """Freeze the server that was thawed."""
    return FrozenServer.decode(inside(pair.server).freeze().encode())


@pytest.mark.parametrize(("cipher", "mac"), PAIRS)
def test_it_goes_on_with_every_cipher_and_mac(cipher: str, mac: str) -> None:
    pair = in_use(Moving(only(cipher, mac)))
    for _ in range(2):
        pair.thaw(again(pair))
        use(pair)
    assert pair.client.phase is pair.server.phase is Phase.CONNECTION


def test_new_keys_are_frozen_as_well() -> None:
    pair = in_use()
    pair.client.rekey()
    pair.run()
    pair.thaw(again(pair))
    pair.server.rekey()
    pair.run()
    assert not of(pair.server_events, KexDone)[-1].first
    pair.thaw(again(pair))
    pair.talk(pair.open())


def test_the_client_hears_nothing_and_the_owner_learns_of_the_login() -> None:
    pair = in_use()
    frozen = again(pair)
    assert frozen.told
    pair.thaw(frozen)
    assert pair.server.output_size == 0
    (resumed,) = pair.server.take_events()
    assert isinstance(resumed, Resumed)
    assert resumed.login == Authenticated("alice", ("password",))
    assert inside(pair.server).pings
    assert again(pair) == frozen


def test_a_client_that_opens_no_more_sessions_may_not_open_one_later() -> None:
    pair = in_use()
    pair.client.connection.send_global_request("no-more-sessions@openssh.com", want_reply=False)
    pair.run()
    frozen = again(pair)
    assert frozen.no_more_sessions
    pair.thaw(frozen)
    pair.client.connection.open_channel("session")
    pair.run()
    assert error(pair.server_events) is not None


def open_channel(pair: Moving) -> None:
    pair.open()


def ask(pair: Moving) -> None:
    pair.server.ping()
    pair.server.take_output()


def say(pair: Moving) -> None:
    pair.server.ping()


def exchange(pair: Moving) -> None:
    pair.client.rekey()
    pair.server.receive(pair.client.take_output(), pair.now)


def send_a_part(pair: Moving) -> None:
    pair.client.ping()
    pair.server.receive(pair.client.take_output()[:5], pair.now)


def leave(pair: Moving) -> None:
    pair.server.receive_eof()


@pytest.mark.parametrize("do", [open_channel, ask, say, exchange, send_a_part, leave])
def test_it_is_frozen_at_rest_only(do: Callable[[Moving], None]) -> None:
    pair = in_use()
    do(pair)
    with pytest.raises(LocalProtocolError):
        inside(pair.server).freeze()


def test_a_ping_that_was_answered_is_no_hindrance() -> None:
    pair = in_use()
    pair.server.ping()
    pair.run()
    assert of(pair.server_events, PongReceived)
    pair.thaw(again(pair))
    pair.talk(pair.open())


def test_what_compresses_has_a_state_that_does_not_move() -> None:
    pair = in_use(Moving(algorithms(compression=["zlib@openssh.com"])))
    with pytest.raises(LocalProtocolError):
        inside(pair.server).freeze()
    assert pair.server.phase is Phase.CONNECTION
    pair.talk(pair.open())


def test_a_server_that_was_never_moved_has_forgotten_its_keys() -> None:
    pair = Moving()
    pair.run()
    pair.server.answer(pair.question.ask_id, pair.question.ANSWERS[0]())
    pair.run()
    assert pair.server.phase is Phase.CONNECTION
    with pytest.raises(LocalProtocolError):
        inside(pair.server).freeze()
