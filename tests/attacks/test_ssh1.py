"""Attacks on SSH-1: what it can't prevent by design is at least noticed where it can be."""

from __future__ import annotations

import random
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from nacre.crypto import legacy
from nacre.errors import (
    DisconnectCode,
    KexFailed,
    MalformedMessage,
    NacreError,
    PacketCorrupt,
    PacketTooLarge,
    RemoteProtocolError,
)
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskAuthentication,
    AskHostKey,
    AskOpen,
    AskRequest,
    AskSignature,
    AskUser,
    Granted,
    TryKeyboardInteractive,
    TryPublicKey,
)
from nacre.protocol.events import ConnectionEnded, Data, Event, KexDone
from nacre.protocol.phases import Phase
from nacre.protocol.requests import Exec, ExitStatus
from nacre.ssh1 import messages, routes
from nacre.ssh1.messages import SSH1Msg
from nacre.ssh1.routes import Stage
from nacre.testing import Pair
from nacre.wire.codec import mpint1, string, u8, u32
from ssh1.pair1 import Taking, giving, logged_in, pair, rsa1, user_key


def inside(engine: object) -> Any:
    return engine


def end(events: list[Event]) -> NacreError:
    last = events[-1]
    assert isinstance(last, ConnectionEnded)
    assert last.error is not None
    return last.error


def send(engine: object, payload: bytes) -> None:
    """Make an engine send any message."""
    inside(engine)._outbox.send_payload(payload)


def running(**how: Any) -> Pair:
    made = logged_in(**how)
    channel = made.client.connection.open_channel("session")
    made.client.connection.send_request(channel, Exec(b"cat"))
    made.run()
    return made


# --- packets ---


@pytest.mark.parametrize("cipher", ["3des", "blowfish", "des"])
def test_altered_ciphertext_is_noticed(cipher: str) -> None:
    """A flipped bit anywhere behind the length ends the connection, and nothing is delivered."""
    made = running(cipher=cipher)
    made.client.connection.send_data(0, b"transfer 10 to alice")
    wire = bytes(made.client.take_output())
    for at in range(4, len(wire), 5):
        other = running(cipher=cipher)
        other.client.connection.send_data(0, b"transfer 10 to alice")
        altered = bytearray(other.client.take_output())
        altered[at] ^= 0x10
        other.server.receive(altered, 0.0)
        events = other.server.take_events()
        assert isinstance(end(events), PacketCorrupt)
        assert not [event for event in events if isinstance(event, Data)]


def test_replayed_and_swapped_packets_are_noticed() -> None:
    for order in ((0, 0), (1, 0)):
        made = running()
        packets = []
        for text in (b"one", b"two"):
            made.client.connection.send_data(0, text)
            packets.append(bytes(made.client.take_output()))
        for index in order:
            made.server.receive(packets[index], 0.0)
        assert isinstance(end(made.server.take_events()), PacketCorrupt)


def _compensating() -> bytes:
    """Return ciphertext whose repeated blocks cancel in the CRC; see tests/crypto."""
    rows: dict[int, tuple[int, int]] = {}
    fill = random.Random(2)
    for place in range(40):
        pattern = bytearray(8 * 40)
        pattern[8 * place] = 1
        crc, combination = legacy.crc32(pattern), 1 << place
        while crc and crc.bit_length() in rows:
            row = rows[crc.bit_length()]
            crc, combination = crc ^ row[0], combination ^ row[1]
        if not crc:
            chosen = [combination >> one & 1 for one in range(40)]
            return b"".join(b"inserted" if one else fill.randbytes(8) for one in chosen)
        rows[crc.bit_length()] = (crc, combination)
    raise AssertionError("unreachable: 32 bits have at most 32 independent places")


def test_insertion_by_crc_compensation_is_refused() -> None:
    """CORE-SDI, 1998: ciphertext put together so that the CRC does not see it."""
    made = running()
    text = _compensating()
    made.server.receive(u32(len(text) - 4) + text, 0.0)
    error = end(made.server.take_events())
    assert isinstance(error, PacketCorrupt)
    assert "attack" in str(error)


@pytest.mark.parametrize("length", [262145, 0x7FFFFFFF, 0xFFFFFFFF])
@pytest.mark.parametrize("encrypted", [False, True])
def test_lengths_above_the_bound(length: int, encrypted: bool) -> None:
    made = running() if encrypted else pair()
    if not encrypted:
        made.server.receive(b"SSH-1.5-x\r\n", 0.0)
    made.server.receive(u32(length), 0.0)
    assert isinstance(end(made.server.take_events()), PacketTooLarge)


@pytest.mark.parametrize("length", range(5))
def test_lengths_below_a_message(length: int) -> None:
    made = running()
    made.server.receive(u32(length) + bytes(16), 0.0)
    assert isinstance(end(made.server.take_events()), PacketCorrupt)


@pytest.mark.slow
def test_a_decompression_bomb() -> None:
    made = running(compress=True)
    stream = zlib.compressobj(9)
    data = u8(SSH1Msg.CMSG_STDIN_DATA) + u32(64 << 20) + bytes(64 << 20)
    inside(made.client)._outbox._compressor = None
    send(made.client, stream.compress(data)[:60000] + stream.flush(zlib.Z_PARTIAL_FLUSH)[:1000])
    made.run()
    error = end(made.server_events)
    assert isinstance(error, RemoteProtocolError)
    assert error.code is DisconnectCode.COMPRESSION_ERROR


def test_many_small_messages_out_of_little_data() -> None:
    """A thousand replies for one byte would be an amplifier."""
    made = running(compress=True)
    inside(made.server)._outbox.buffer.clear()
    for _ in range(2000):
        send(made.client, u8(SSH1Msg.IGNORE) + string(bytes(8192)))
    made.server.receive(made.client.take_output(), 0.0)
    assert "too large after decompression" in str(end(made.server.take_events()))


# --- key exchange ---


def _at_session_key() -> tuple[Pair, bytes, dict[str, Any]]:
    """Return a pair whose server waits for the session key, and what the client would send."""
    made = pair()
    made.server.receive(bytes(made.client.take_output()), 0.0)
    made.client.receive(bytes(made.server.take_output()), 0.0)
    for event in made.client.take_events():
        if isinstance(event, AskHostKey):
            made.client.answer(event.ask_id, Granted())
    wire = bytes(made.client.take_output())
    padding = 8 - int.from_bytes(wire[:4], "big") % 8
    message = messages.SessionKey.decode(wire[4 + padding : -4])
    fields = {name: getattr(message, name) for name in ("cipher", "cookie", "key", "flags")}
    return made, wire, fields


def _deliver_session_key(made: Pair, **fields: Any) -> list[Event]:
    client = pair().client
    send(client, messages.SessionKey(**fields).encode())
    wire = bytes(client.take_output())
    made.server.receive(wire[wire.index(b"\n") + 1 :], 0.0)
    return made.server.take_events()


def test_a_wrong_cookie() -> None:
    made, _, fields = _at_session_key()
    fields["cookie"] = bytes(8)
    assert isinstance(end(_deliver_session_key(made, **fields)), KexFailed)


@pytest.mark.parametrize("number", [0, 1, 4, 5, 7, 255])
def test_a_cipher_that_was_not_offered(number: int) -> None:
    """``none`` (0) and RC4 (4, 5) among them."""
    made, _, fields = _at_session_key()
    fields["cipher"] = number
    assert isinstance(end(_deliver_session_key(made, **fields)), KexFailed)


@pytest.mark.parametrize("key", [0, 1, 1 << 1000, (1 << 60000) + 1], ids=int.bit_length)
def test_wrong_padding_looks_like_right_padding(key: int) -> None:
    """No oracle (Bleichenbacher, 1998): the answer is the same, and the next packet fails."""
    right, wire, _ = _at_session_key()
    right.server.receive(wire, 0.0)
    expected = len(right.server.take_output())
    made, _, fields = _at_session_key()
    fields["key"] = key
    events = _deliver_session_key(made, **fields)
    assert any(isinstance(event, KexDone) for event in events)
    assert len(made.server.take_output()) == expected
    made.server.receive(u32(5 + 4) + bytes(16), 0.0)
    assert isinstance(end(made.server.take_events()), PacketCorrupt)


def test_a_session_key_is_of_no_use_for_another_session() -> None:
    """A server in the middle passes it on: the session id, with the other cookie, is in it."""
    _, _, fields = _at_session_key()
    made = pair(seed=1)
    made.server.receive(b"SSH-1.5-x\r\n", 0.0)
    made.server.take_output()
    fields["cookie"] = inside(made.server)._exchange._cookie
    _deliver_session_key(made, **fields)
    assert made.server.phase is Phase.AUTHENTICATION
    made.server.receive(u32(5 + 4) + bytes(16), 0.0)
    assert isinstance(end(made.server.take_events()), PacketCorrupt)


def _keys(**changed: Any) -> messages.PublicKey:
    host, server = rsa1(1024).public.verifier, rsa1(768).public.verifier
    fields: dict[str, Any] = {
        "cookie": bytes(8),
        "server_bits": 768,
        "server_exponent": server.e,
        "server_modulus": server.n,
        "host_bits": 1024,
        "host_exponent": host.e,
        "host_modulus": host.n,
        "flags": 0,
        "ciphers": 8,
        "methods": 8,
    }
    return messages.PublicKey(**(fields | changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"host_modulus": (1 << 65534) + 1},
        {"server_modulus": (1 << 65534) + 1},
        {"host_exponent": (1 << 65534) + 1},
        {"server_exponent": (1 << 64) + 1},
        {"host_modulus": (1 << 500) + 1},
        {"server_modulus": 0},
        {"host_modulus": 1 << 1023},
        {"server_exponent": 1},
        {"host_exponent": 2},
        {"server_modulus": rsa1(1024, 1).public.verifier.n},
    ],
    ids=lambda changed: f"{[(k, v.bit_length()) for k, v in changed.items()]}",
)
def test_keys_that_cost_too_much_or_protect_nothing(changed: dict[str, int]) -> None:
    made = pair()
    server = pair().server
    inside(server)._outbox.buffer.clear()
    send(server, _keys(**changed).encode())
    start = time.process_time()
    made.client.receive(b"SSH-1.5-x\r\n" + server.take_output(), 0.0)
    events = made.client.take_events()
    assert isinstance(end(events), KexFailed)
    assert not [event for event in events if isinstance(event, AskHostKey)]
    assert time.process_time() - start < 1


def test_a_server_that_can_not_decrypt_is_not_believed() -> None:
    """It shows the host key of another: only who holds it gets the session key."""
    made = pair()
    inside(made.server)._exchange._host = rsa1(1024, 5)
    inside(made.server)._exchange.send_keys = lambda: send(made.server, _keys().encode())
    made.run()
    assert not [event for event in made.client_events if isinstance(event, KexDone)]
    assert made.client.phase is Phase.CLOSED


# --- authentication ---


def test_a_huge_modulus_of_a_user() -> None:
    made = logged_in(client=lambda ask: None if isinstance(ask, AskAuthentication) else giving(ask))
    start = time.process_time()
    send(made.client, u8(SSH1Msg.CMSG_AUTH_RSA) + mpint1((1 << 65534) + 1))
    made.run()
    assert made.server.phase is Phase.AUTHENTICATION
    assert time.process_time() - start < 1


def test_a_challenge_above_the_modulus() -> None:
    """The private key is used for nothing but numbers of its size."""

    def key(ask: Ask) -> Answer | None:
        if isinstance(ask, AskAuthentication):
            return TryPublicKey(user_key().public, ("rsa1",))
        return giving(ask)

    made = pair(client=key, server=lambda ask: None if isinstance(ask, AskUser) else Taking()(ask))
    made.run()
    send(made.server, messages.Failure().encode())
    made.run()
    send(made.server, messages.AuthRSAChallenge(1 << 5000).encode())
    made.run()
    assert isinstance(end(made.client_events), RemoteProtocolError)
    assert not [event for event in made.client_events if isinstance(event, AskSignature)]


@pytest.mark.parametrize(
    "payload",
    [
        u8(SSH1Msg.CMSG_AUTH_RSA_RESPONSE) + bytes(16),
        u8(SSH1Msg.CMSG_AUTH_TIS_RESPONSE) + string(b"forty-two"),
    ],
)
def test_answers_to_challenges_that_nobody_made(payload: bytes) -> None:
    made = logged_in(client=lambda ask: None if isinstance(ask, AskAuthentication) else giving(ask))
    send(made.client, payload)
    made.run()
    assert isinstance(end(made.server_events), RemoteProtocolError)


def test_challenges_that_are_left_alone_count() -> None:
    made = logged_in(client=lambda ask: None if isinstance(ask, AskAuthentication) else giving(ask))
    for _ in range(20):
        send(made.client, messages.AuthTIS().encode())
    made.run()
    error = end(made.server_events)
    assert isinstance(error, RemoteProtocolError)
    assert error.code is DisconnectCode.NO_MORE_AUTH_METHODS_AVAILABLE
    asked = [type(event).__name__ for event in made.server_events]
    assert asked.count("AskKeyboardInteractive") <= 7


# --- messages at the wrong time ---


def _stop_at(kind: type[Ask]) -> Callable[[Ask], Answer | None]:
    return lambda ask: None if isinstance(ask, kind) else giving(ask)


def _tis(ask: Ask) -> Answer | None:
    if isinstance(ask, AskAuthentication):
        return TryKeyboardInteractive()
    return None if type(ask).__name__ == "AskPrompts" else giving(ask)


def _key(ask: Ask) -> Answer | None:
    if isinstance(ask, AskAuthentication):
        return TryPublicKey(user_key().public, ("rsa1",))
    return None if isinstance(ask, AskSignature) else giving(ask)


def _at_user() -> Pair:
    made, wire, _ = _at_session_key()
    made.server.receive(wire, 0.0)
    made.server.take_output()
    return made


def _over() -> Pair:
    made = running()
    made.server.connection.send_request(0, ExitStatus(0))
    made.server.connection.close_channel(0)
    made.server.take_output()
    return made


SERVER: dict[Stage, Callable[[], Pair]] = {
    Stage.SESSION_KEY: lambda: _at_session_key()[0],
    Stage.USER: _at_user,
    Stage.SERVER_AUTH: lambda: logged_in(client=_stop_at(AskAuthentication)),
    Stage.SERVER_RSA: lambda: logged_in(client=_key),
    Stage.SERVER_TIS: lambda: logged_in(client=_tis),
    Stage.SERVER_PREPARING: logged_in,
    Stage.SERVER_SESSION: running,
    Stage.SERVER_OVER: _over,
}


@pytest.mark.slow
@pytest.mark.parametrize("stage", SERVER, ids=lambda stage: stage.name)
def test_every_message_in_every_stage_of_a_server(stage: Stage) -> None:
    """What is not in the table ends the connection, or is answered FAILURE where that is said."""
    refusable = routes.REFUSED.get(stage)
    for number in (*range(60), 128, 255):
        if number in routes.LEGAL[stage] | routes.ALWAYS:
            continue
        made = SERVER[stage]()
        server = inside(made.server)
        assert server._stage is stage
        if refusable is not None and (number not in routes.KNOWN or number in refusable):
            server._take(u8(number))
            assert server.phase is not Phase.CLOSED
            assert server.output_size
            continue
        with pytest.raises(RemoteProtocolError, match="not legal"):
            server._take(u8(number))


def test_a_session_before_authentication() -> None:
    made = logged_in(client=_stop_at(AskAuthentication))
    send(made.client, messages.ExecCmd(b"id").encode())
    made.run()
    assert isinstance(end(made.server_events), RemoteProtocolError)
    assert not [event for event in made.server_events if isinstance(event, (AskOpen, AskRequest))]


def test_input_before_the_command() -> None:
    made = logged_in()
    send(made.client, messages.StdinData(b"early").encode())
    made.run()
    assert isinstance(end(made.server_events), RemoteProtocolError)


def test_an_exit_status_is_not_confirmed_before_it_was_sent() -> None:
    made = running()
    send(made.client, messages.ExitConfirmation().encode())
    made.run()
    assert isinstance(end(made.server_events), RemoteProtocolError)


@pytest.mark.parametrize(
    "payload",
    [
        messages.ChannelData(7, b"x").encode(),
        messages.ChannelClose(7).encode(),
        messages.ChannelCloseConfirmation(7).encode(),
        messages.ChannelOpenConfirmation(7, 1).encode(),
        messages.ChannelOpenFailure(0).encode(),
        messages.ChannelData(0, b"x").encode(),
    ],
)
def test_channels_that_do_not_exist(payload: bytes) -> None:
    for sender in ("client", "server"):
        made = running()
        send(getattr(made, sender), payload)
        made.run()
        events = made.server_events if sender == "client" else made.client_events
        assert isinstance(end(events), RemoteProtocolError)


@pytest.mark.parametrize("message", [messages.StdinData, messages.ChannelData])
def test_data_whose_length_is_wrong(message: type) -> None:
    for length in (0, 2, 4, 0xFFFFFFFF):
        made = running()
        head = u8(message.NUMBER) + (b"" if message is messages.StdinData else u32(0))  # type: ignore[attr-defined]
        send(made.client, head + u32(length) + b"abc")
        made.run()
        assert isinstance(end(made.server_events), (MalformedMessage, RemoteProtocolError))


def test_many_channels_are_bounded() -> None:
    def later(ask: Ask) -> Answer | None:
        return None if isinstance(ask, AskOpen) and ask.data else taking(ask)

    taking = Taking()
    made = running(server=later)
    for number in range(1500):
        send(made.client, messages.PortOpen(number, "h", 1, string(b"")).encode())
    made.server.receive(made.client.take_output(), 0.0)
    asks = [event for event in made.server.take_events() if isinstance(event, AskOpen)]
    assert len(asks) == 1024
