"""A channel that closes while its request waits for the end of a key exchange."""

from __future__ import annotations

from attacks.links import inside, say
from nacre.protocol.phases import Phase
from nacre.protocol.requests import Exec
from nacre.ssh2.transport.messages import Unimplemented
from nacre.testing import Pair


def test_its_request_waits_for_no_answer() -> None:
    """Found by a state machine: UNIMPLEMENTED for the request raised StopIteration."""
    pair = Pair()
    pair.run()
    channel = pair.client.connection.open_channel("session")
    pair.run()
    pair.server.connection.close_channel(channel)
    close = bytes(pair.server.take_output())
    pair.client.rekey()
    pair.client.connection.send_request(channel, Exec(b"id"))
    pair.client.receive(close, 0.0)
    pair.run()
    client = inside(pair.client)
    assert not any(isinstance(asked, int) for asked in client._outbox.asked)
    for sequence in range(client._outbox.sequence):
        say(pair, pair.server, Unimplemented(sequence).encode())
    assert pair.client.phase is Phase.CONNECTION
