"""Messages that a peer with the right keys gets wrong: mutated, twice, left out, out of turn."""

from __future__ import annotations

import contextlib
import random
import tracemalloc
from collections.abc import Callable, Iterator
from functools import cache
from itertools import count
from typing import Any

import pytest

from attacks.links import Crooked, inside, of
from fuzz.mutate import BUDGET, mutated, seeds
from nacre.errors import (
    AuthenticationFailed,
    ConnectionLost,
    LocalProtocolError,
    RemoteProtocolError,
)
from nacre.keys import PrivateKey, generate
from nacre.limits import MIB
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskAuthentication,
    AskGlobalRequest,
    AskKeyboardInteractive,
    AskNewPassword,
    AskOpen,
    AskPassword,
    AskPrompts,
    AskPublicKey,
    AskRequest,
    AskSignature,
    AskUser,
    Challenge,
    GiveUp,
    Granted,
    NewPassword,
    PasswordExpired,
    Prompt,
    Responses,
    Signature,
    TryKeyboardInteractive,
    TryNone,
    TryPassword,
    TryPublicKey,
    UserRequirement,
)
from nacre.protocol.engine import Engine
from nacre.protocol.events import (
    Authenticated,
    ChannelClosed,
    ChannelOpened,
    ChannelRefused,
    ConnectionEnded,
    Data,
    EofReceived,
    Event,
    GlobalRequestAnswered,
    GlobalRequestReceived,
    RequestAnswered,
    RequestReceived,
)
from nacre.protocol.options import ClientOptions, ServerOptions, algorithms
from nacre.protocol.phases import Phase, Role
from nacre.protocol.requests import Exec, ExitStatus, PtyRequest
from nacre.testing import PASSWORD, agreeable, host_key

LATE = (
    AskOpen,
    AskRequest,
    AskGlobalRequest,
    ChannelOpened,
    ChannelRefused,
    ChannelClosed,
    Data,
    EofReceived,
    RequestReceived,
    RequestAnswered,
    GlobalRequestReceived,
    GlobalRequestAnswered,
)
STEPS = 3000
VOLUME = 16 * MIB
MEMORY = 24 * MIB

pytestmark = pytest.mark.timeout(120 + 2 * BUDGET)


@cache
def user_keys() -> tuple[PrivateKey, ...]:
    return (
        generate("ssh-ed25519"),
        generate("ecdsa-sha2-nistp256"),
        generate("ssh-rsa", bits=2048),
    )


class Overrun(AssertionError):
    """A case took more steps or bytes than any honest one."""


class Fuzzed(Crooked):
    """A pair whose steps and bytes are counted, not timed."""

    def __init__(self, **options: Any) -> None:
        self.steps = 0
        self.volume = 0
        super().__init__(**options)

    def _carry(self, sender: Engine, receiver: Engine) -> None:
        self.steps += 1
        self.volume += sender.output_size
        if self.steps > STEPS or self.volume > VOLUME:
            raise Overrun(f"{self.steps} steps, {self.volume} bytes")
        super()._carry(sender, receiver)


def answers(draw: random.Random) -> Callable[[Ask], Answer | None]:
    """Answer for both sides, with every method, mostly as a real login goes."""
    tries = iter(range(8))

    def answer(ask: Ask) -> Answer | None:
        match ask:
            case AskAuthentication():
                if next(tries, None) is None:
                    return GiveUp(AuthenticationFailed("enough"))
                key = draw.choice(user_keys())
                return draw.choice(
                    [
                        TryNone(),
                        *[TryPassword(PASSWORD)] * 3,
                        TryPublicKey(key.public, key.public.signature_algorithms),
                        TryKeyboardInteractive("pam"),
                    ]
                )
            case AskUser():
                methods = ["password", "publickey", "keyboard-interactive"]
                together = draw.random() < 0.3
                sets = [frozenset(methods[:2])] if together else [frozenset({m}) for m in methods]
                return UserRequirement(tuple(sets), banner="hello\n")
            case AskSignature(key=key, algorithm=algorithm, data=data):
                private = next(k for k in user_keys() if k.public == key)
                return Signature(private.sign(data, algorithm))
            case AskPublicKey():
                return Granted()
            case AskPassword() if draw.random() < 0.2:
                return PasswordExpired("change it")
            case AskNewPassword():
                return NewPassword(PASSWORD, "new")
            case AskKeyboardInteractive(responses=None):
                return Challenge("n", "i", (Prompt("one", False), Prompt("two", True)))
            case AskKeyboardInteractive():
                return Granted()
            case AskPrompts(prompts=prompts):
                return Responses(("x",) * len(prompts))
        return agreeable(ask)

    return answer


def crooked_says(draw: random.Random) -> Callable[[bytes], Iterator[bytes]]:
    """Return what one end says: all of it right, but for a few messages."""
    at = {draw.randrange(1, 40) for _ in range(draw.choice((1, 1, 2, 5)))}
    spoken: list[bytes] = []
    turn = count()

    def says(payload: bytes) -> Iterator[bytes]:
        spoken.append(payload)
        if next(turn) not in at:
            yield payload
            return
        match draw.randrange(8):
            case 0:
                pass
            case 1:
                yield payload
                yield payload
            case 2:
                yield draw.choice(spoken)
                yield payload
            case 3:
                yield mutated(draw.choice(spoken), draw) or b"\0"
                yield payload
            case 4:
                yield bytes((draw.randrange(256),)) + draw.randbytes(draw.choice((0, 4, 9, 50)))
                yield payload
            case 5:
                yield bytes((draw.randrange(256),)) + payload[1:]
            case _:
                # Behind the number, so that the message reaches its own handler.
                yield payload[:1] + mutated(payload[1:], draw)

    return says


Action = Callable[[Engine, random.Random], object]

ACTIONS: list[Action] = [
    lambda e, draw: e.connection.open_channel("session" if e.role is Role.CLIENT else "x11"),
    lambda e, draw: e.connection.send_data(0, draw.randbytes(draw.choice((1, 100, 70_000)))),
    lambda e, draw: e.connection.send_data(0, b"oops", 1),
    lambda e, draw: e.connection.send_request(0, Exec(b"id")),
    lambda e, draw: e.connection.send_request(0, PtyRequest("xterm", 80, 24, 0, 0, b"\0")),
    lambda e, draw: e.connection.send_request(0, ExitStatus(1)),
    lambda e, draw: e.connection.send_global_request("x@example.com", b"data"),
    lambda e, draw: e.connection.send_eof(0),
    lambda e, draw: e.connection.close_channel(draw.randrange(2)),
    lambda e, draw: e.connection.adjust_window(0, draw.choice((0, 1, 40_000))),
    lambda e, draw: e.rekey(),
    lambda e, draw: e.ping(b"?"),
]


def act(pair: Fuzzed, draw: random.Random) -> None:
    """Do what owners do, in any order. What is not legal now is theirs to know."""
    with contextlib.suppress(LocalProtocolError):
        pair.client.connection.open_channel("session")
    pair.run()
    for _ in range(draw.randrange(3, 14)):
        with contextlib.suppress(LocalProtocolError):
            draw.choice(ACTIONS)(draw.choice((pair.client, pair.server)), draw)
        if draw.random() < 0.7:
            pair.run()
    pair.run()


def check(log: list[Event]) -> None:
    """Whatever came in: it ends in an error of the protocol, and no step was skipped."""
    ended = of(log, ConnectionEnded)
    assert len(ended) <= 1
    if ended:
        assert log[-1] is ended[0]
        assert isinstance(
            ended[0].error, RemoteProtocolError | ConnectionLost | AuthenticationFailed | None
        ), ended[0]
    for event in log:
        if isinstance(event, Authenticated):
            break
        assert not isinstance(event, LATE), event


KEX = ["curve25519-sha256", "mlkem768x25519-sha256", "ecdh-sha2-nistp256"]
SLOW_KEX = ["diffie-hellman-group-exchange-sha256", "diffie-hellman-group14-sha256"]


def case(seed: int, role: Role) -> Fuzzed:
    """Run one connection whose end ``role`` goes wrong somewhere."""
    draw = random.Random(seed)
    both = algorithms(
        kex=draw.choice(SLOW_KEX if draw.random() < 0.05 else KEX),
        ciphers=draw.choice(["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com"]),
        compression=draw.choice(["none", "none", "zlib@openssh.com"]),
    )
    says = {f"{role.value}_says": crooked_says(draw)}
    pair = Fuzzed(
        client=ClientOptions(user="alice", algorithms=both),
        server=ServerOptions(host_keys=(host_key(),), algorithms=both),
        answers_client=answers(draw),
        answers_server=answers(draw),
        seed=seed,
        **says,
    )
    pair.run()
    act(pair, draw)
    return pair


@pytest.mark.slow
@pytest.mark.parametrize("role", list(Role))
def test_a_peer_that_goes_wrong_somewhere(role: Role) -> None:
    """Any exception but the protocol's own, any step that is skipped, any case without end."""
    phases: set[Phase] = set()
    for number, seed in enumerate(seeds()):
        watched = number % 50 == 0
        if watched:
            tracemalloc.start()
        try:
            pair = case(seed, role)
            if watched:
                assert tracemalloc.get_traced_memory()[1] < MEMORY
            victim = pair.server if role is Role.CLIENT else pair.client
            check(pair.server_events if role is Role.CLIENT else pair.client_events)
        except BaseException as error:
            error.add_note(f"NACRE_FUZZ_SEED={seed}, with a crooked {role.value}")
            raise
        finally:
            if watched:
                tracemalloc.stop()
        held = inside(victim)._inbox._held
        assert victim.phase is not Phase.CLOSED or not held
        phases.add(victim.phase)
    assert phases >= {Phase.CLOSED, Phase.CONNECTION}


def test_without_mutations_most_get_in() -> None:
    """The cases above are near to what works: without their mistakes these work."""
    inside_at_last = 0
    for seed in range(20):
        draw = random.Random(seed)
        pair = Fuzzed(answers_client=answers(draw), answers_server=answers(draw))
        pair.run()
        act(pair, draw)
        check(pair.client_events)
        check(pair.server_events)
        inside_at_last += pair.client.phase is pair.server.phase is Phase.CONNECTION
    assert inside_at_last > 10
