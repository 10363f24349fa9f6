"""Messages whose layout is right and whose values are anything, at every stage of both roles."""

from __future__ import annotations

from typing import Any, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attacks.links import Crooked, of
from fuzz.mutate import BUDGET
from nacre.errors import AuthenticationFailed, ConnectionLost, RemoteProtocolError
from nacre.protocol.asks import AskOpen, AskRequest
from nacre.protocol.events import Authenticated, ChannelOpened, ConnectionEnded, Event
from nacre.protocol.options import algorithms
from nacre.protocol.phases import Phase, Role
from nacre.protocol.requests import KNOWN_REQUESTS
from nacre.ssh2.auth import messages as auth
from nacre.ssh2.connection.messages import MESSAGES
from nacre.ssh2.transport import messages as transport
from nacre.wire.message import Message, Record

pytestmark = pytest.mark.timeout(120 + 20 * BUDGET)

NAMES = st.sampled_from(
    [*KNOWN_REQUESTS, *algorithms().kex, "session", "x11", "direct-tcpip", "ssh-userauth",
     "ssh-connection", "none", "password", "publickey", "keyboard-interactive", "alice",
     "tcpip-forward", "keepalive@openssh.com", "hostkeys-00@openssh.com", "ssh-ed25519"]
)  # fmt: skip
U32 = st.sampled_from([0, 1, 2, 31, 32, 255, 1 << 15, (1 << 31) - 1, 1 << 31, (1 << 32) - 1])
TEXT = NAMES | st.text(max_size=40) | st.binary(max_size=10).map(
    lambda data: data.decode("utf-8", "surrogateescape")
)  # fmt: skip
NAME = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters=","),
               min_size=1, max_size=20)  # fmt: skip


def records(kind: type[Record]) -> st.SearchStrategy[Record]:
    hints = get_type_hints(kind, include_extras=True)
    return st.builds(kind, **{n: BY_KIND[hints[n].__metadata__[0]] for n in kind.FIELDS})


BY_KIND: dict[str, st.SearchStrategy[Any]] = {
    "u8": st.integers(0, 255),
    "u32": U32,
    "u64": st.integers(0, (1 << 64) - 1),
    "boolean": st.booleans(),
    "string": st.binary(max_size=80),
    "text": TEXT,
    "mpint": st.integers(-(1 << 300), 1 << 300) | st.integers(1 << 2047, 1 << 2048),
    "name_list": st.lists(NAMES | NAME, max_size=12).map(tuple),
    "cookie": st.binary(min_size=16, max_size=16),
}
BY_KIND["rest"] = st.binary(max_size=60) | st.deferred(
    lambda: st.sampled_from([*KNOWN_REQUESTS.values(), *FIELDS]).flatmap(records).map(
        lambda made: made.encode()
    )
)  # fmt: skip

FIELDS: list[type[Record]] = [
    auth.PublicKeyQuery,
    auth.PublicKeyRequest,
    auth.PasswordRequest,
    auth.PasswordChange,
    auth.InteractiveRequest,
]
KINDS: list[type[Message]] = [
    kind
    for module in (transport, auth)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Message) and hasattr(kind, "NUMBER")
    and kind is not transport.ExtInfo
] + list(MESSAGES.values())  # fmt: skip

PAYLOADS = st.sampled_from(KINDS).flatmap(records).map(lambda made: made.encode())
TURNS = st.dictionaries(st.integers(1, 30), st.lists(PAYLOADS, max_size=3), min_size=1, max_size=3)


def check(log: list[Event]) -> None:
    for end in of(log, ConnectionEnded):
        assert isinstance(end.error, RemoteProtocolError | ConnectionLost | AuthenticationFailed), (
            end.error
        )
    for event in log:
        if isinstance(event, Authenticated):
            return
        assert not isinstance(event, AskOpen | AskRequest | ChannelOpened)


@pytest.mark.parametrize("role", list(Role))
@settings(
    max_examples=int(100 * BUDGET),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(turns=TURNS, instead=st.booleans())
def test_any_message_at_any_turn(role: Role, turns: dict[int, list[bytes]], instead: bool) -> None:
    """Put in before a message of a peer's, or in its place."""
    turn = 0

    def says(payload: bytes) -> list[bytes]:
        nonlocal turn
        turn += 1
        made = turns.get(turn, [])
        return made if made and instead else [*made, payload]

    pair = Crooked(
        algorithms=algorithms(kex="curve25519-sha256"),
        **{f"{role.value}_says": says},
    )
    pair.run()
    if pair.client.phase is Phase.CONNECTION:
        pair.client.connection.open_channel("session")
        pair.run()
    for engine in (pair.client, pair.server):
        if engine.phase is Phase.CONNECTION:
            engine.rekey()
            pair.run()
    check(pair.server_events if role is Role.CLIENT else pair.client_events)


def test_the_messages_made_are_all_there_are() -> None:
    assert {kind.NUMBER for kind in KINDS} >= {*range(1, 7), 20, 21, 30, 31, 50, 60, 61, *MESSAGES}
