"""Getting in without the right, or learning what one should not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from attacks.links import Crooked, error, key_holder, of, policy, refused, say
from attacks.logins import kept_out, password, request, session_id, signed, waiting
from contexts import FakeContext, stepping
from nacre.errors import Disconnected, NacreError, RemoteProtocolError
from nacre.keys import PrivateKey, generate
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskKeyboardInteractive,
    AskPassword,
    AskPrincipal,
    AskPublicKey,
    AskUser,
    Challenge,
    Denied,
    Prompt,
)
from nacre.protocol.events import Authenticated, AuthResult, MessageSeen
from nacre.protocol.gssapi import KERBEROS
from nacre.protocol.options import ServerOptions, algorithms
from nacre.protocol.phases import Phase
from nacre.ssh2.auth.messages import (
    InfoResponse,
    InteractiveRequest,
    MechanismsRequest,
    PublicKeyQuery,
    PublicKeyRequest,
    SecurityMIC,
    SecurityToken,
    UserauthRequest,
)
from nacre.testing import PASSWORD, Pair, agreeable, host_key
from nacre.wire.codec import WireReader, mpint, string, text


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return generate("ssh-ed25519")


@pytest.fixture(scope="module")
def rsa() -> PrivateKey:
    return generate("ssh-rsa", bits=2048)


def test_the_signature_these_tests_forge_is_right_otherwise(key: PrivateKey) -> None:
    pair = waiting(policy("publickey", known=key.public))
    say(pair, pair.client, signed(session_id(pair), key))
    assert of(pair.server_events, Authenticated) == [Authenticated("alice", ("publickey",))]


# --- signatures ---


def test_a_signature_of_another_session(key: PrivateKey) -> None:
    """RFC 4252 section 7: the session id is signed, so a rogue server can't pass a login on."""
    first = waiting(policy("publickey", known=key.public), seed=1)
    second = waiting(policy("publickey", known=key.public), seed=2)
    assert session_id(first) != session_id(second)
    stolen = signed(session_id(first), key)
    say(second, second.client, stolen)
    kept_out(second)
    assert not of(second.server_events, AskPublicKey)
    say(first, first.client, stolen)
    assert of(first.server_events, Authenticated)


@pytest.mark.parametrize(
    "lie",
    [
        {"signed_user": "bob"},
        {"signed_user": ""},
        {"service": "ssh-userauth"},
        {"method": "hostbased"},
        {"method": "password"},
        {"signed_algorithm": "ssh-rsa"},
    ],
)
def test_a_signature_for_something_else(key: PrivateKey, lie: dict[str, str]) -> None:
    """User, service, method and algorithm are signed as well: none can be swapped."""
    pair = waiting(policy("publickey", known=key.public))
    say(pair, pair.client, signed(session_id(pair), key, **lie))
    kept_out(pair)
    assert not of(pair.server_events, AskPublicKey)


def test_a_signature_by_another_key(key: PrivateKey) -> None:
    pair = waiting(policy("publickey", known=key.public))
    mine = generate("ssh-ed25519")
    message = signed(session_id(pair), mine).replace(mine.public.blob, key.public.blob)
    say(pair, pair.client, message)
    kept_out(pair)
    say(pair, pair.client, signed(session_id(pair), mine))
    kept_out(pair)


def test_a_key_that_belongs_to_another_user(key: PrivateKey) -> None:
    """A right signature with a key that is listed for somebody else."""
    pair = waiting(policy("publickey", known=key.public, users="alice"))
    say(pair, pair.client, signed(session_id(pair), key, user="root"))
    kept_out(pair)


def test_a_query_is_no_proof(key: PrivateKey) -> None:
    """CVE-2001-1463's kind: PK_OK says that a signature would count, and lets nobody in."""
    pair = waiting(policy("publickey", known=key.public))
    query = PublicKeyQuery(False, "ssh-ed25519", key.public.blob).encode()
    say(pair, pair.client, *[request("alice", "publickey", query)] * 3)
    kept_out(pair)
    with_signature = PublicKeyRequest(True, "ssh-ed25519", key.public.blob, b"").encode()
    say(pair, pair.client, request("alice", "publickey", with_signature))
    kept_out(pair)


@pytest.mark.parametrize(
    ("algorithm", "used"),
    [
        ("rsa-sha2-512", "ssh-rsa"),
        ("rsa-sha2-512", "rsa-sha2-256"),
        ("ssh-rsa", "ssh-rsa"),
        ("ssh-rsa", "rsa-sha2-512"),
        ("ssh-ed25519", "rsa-sha2-512"),
        ("ssh-dss", "rsa-sha2-512"),
        ("none", "rsa-sha2-512"),
        ("", "rsa-sha2-512"),
        ("rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-512"),
        ("RSA-SHA2-512", "rsa-sha2-512"),
    ],
)
@pytest.mark.parametrize("relabel", [False, True])
def test_algorithms_of_keys_are_not_confused(
    rsa: PrivateKey, algorithm: str, used: str, relabel: bool
) -> None:
    """RFC 8332 section 3.2: SHA-1 comes in neither openly nor under the name of SHA-2."""
    pair = waiting(policy("publickey", known=rsa.public))
    message = signed(session_id(pair), rsa, algorithm=algorithm, used=used)
    if relabel:
        fields = UserauthRequest.decode(message).fields
        taken = PublicKeyRequest.decode(fields)
        reader = WireReader(taken.signature)
        reader.string()
        made = text(algorithm) + string(reader.string())
        message = request(
            "alice",
            "publickey",
            PublicKeyRequest(True, algorithm, taken.blob, made).encode(),
        )
    say(pair, pair.client, message)
    kept_out(pair)
    assert not of(pair.server_events, AskPublicKey)


def test_algorithms_that_the_options_do_not_name(key: PrivateKey) -> None:
    """PubkeyAcceptedAlgorithms: a right signature by a listed key is refused all the same."""
    only = algorithms(signatures="ecdsa-sha2-nistp256")
    pair = waiting(
        policy("publickey", known=key.public),
        server=ServerOptions(host_keys=(host_key(),), algorithms=only),
    )
    query = PublicKeyQuery(False, "ssh-ed25519", key.public.blob).encode()
    say(pair, pair.client, request("alice", "publickey", query), signed(session_id(pair), key))
    kept_out(pair)
    assert not of(pair.server_events, AskPublicKey)


@pytest.mark.parametrize("size", [0, 1, 63, 65, 100_000])
def test_signatures_of_any_size(key: PrivateKey, size: int) -> None:
    pair = waiting(policy("publickey", known=key.public))
    made = string(b"ssh-ed25519") + string(bytes(size))
    fields = PublicKeyRequest(True, "ssh-ed25519", key.public.blob, made).encode()
    say(pair, pair.client, request("alice", "publickey", fields))
    kept_out(pair)
    assert pair.server.phase is Phase.AUTHENTICATION


@pytest.mark.parametrize(
    "r", [0, 1, -1, 1 << 256, 1 << 700_000], ids=["0", "1", "-1", "large", "huge"]
)
@pytest.mark.parametrize("s", [0, 1])
def test_ecdsa_signatures_of_any_numbers(r: int, s: int) -> None:
    """CVE-2022-21449: zeros must verify nothing; and numbers without end must break nothing."""
    ecdsa = generate("ecdsa-sha2-nistp256")
    pair = waiting(policy("publickey", known=ecdsa.public))
    made = string(b"ecdsa-sha2-nistp256") + string(mpint(r) + mpint(s))
    fields = PublicKeyRequest(True, "ecdsa-sha2-nistp256", ecdsa.public.blob, made).encode()
    say(pair, pair.client, request("alice", "publickey", fields))
    kept_out(pair)
    assert pair.server.phase is Phase.AUTHENTICATION


# --- partial success ---


def test_partial_success_does_not_outlive_the_user(key: PrivateKey) -> None:
    """RFC 4252 section 5: what alice has shown counts for alice, also after somebody else came."""
    answers = policy("password+publickey", known=key.public, users="bob")
    pair = waiting(answers)
    say(pair, pair.client, password("alice", PASSWORD))
    assert of(pair.server_events, AuthResult)[-1].outcome == "partial"
    say(pair, pair.client, signed(session_id(pair), key, user="bob"))
    kept_out(pair)
    say(pair, pair.client, password("alice", "wrong"))
    kept_out(pair)
    say(pair, pair.client, password("bob", PASSWORD))
    assert of(pair.server_events, AuthResult)[-1].outcome == "partial"
    say(pair, pair.client, signed(session_id(pair), key, user="bob"))
    assert of(pair.server_events, Authenticated) == [
        Authenticated("bob", ("password", "publickey"))
    ]


def test_going_and_coming_back_starts_anew(key: PrivateKey) -> None:
    pair = waiting(policy("password+publickey", known=key.public))
    say(pair, pair.client, password("alice", PASSWORD), request("bob", "none"))
    say(pair, pair.client, signed(session_id(pair), key, user="alice"))
    kept_out(pair)
    assert len(of(pair.server_events, AskUser)) == 3


@pytest.mark.parametrize("names", [("alice", "alice\0"), ("alice", "Alice"), ("a", "a ")])
def test_names_that_look_alike_are_others(key: PrivateKey, names: tuple[str, str]) -> None:
    pair = waiting(policy("password+publickey", known=key.public))
    say(pair, pair.client, password(names[0], PASSWORD))
    say(pair, pair.client, signed(session_id(pair), key, user=names[1]))
    kept_out(pair)


def test_one_method_does_not_count_twice() -> None:
    """Where password and publickey are both demanded, two right passwords are one."""
    pair = waiting(policy("password+publickey"))
    say(pair, pair.client, *[password("alice", PASSWORD)] * 3)
    kept_out(pair)
    assert len(of(pair.server_events, AskPassword)) == 1


def test_methods_that_are_not_listed_are_not_tried() -> None:
    """A policy that wants keys never hears of passwords: a right one would be an oracle."""
    pair = waiting(policy("publickey"))
    interactive = InteractiveRequest("", "").encode()
    say(
        pair,
        pair.client,
        password("alice", PASSWORD),
        request("alice", "keyboard-interactive", interactive),
        request("alice", "hostbased", b""),
        request("alice", "gssapi-with-mic", b""),
    )
    kept_out(pair)
    assert not of(pair.server_events, AskPassword)
    assert not of(pair.server_events, AskKeyboardInteractive)


# --- keyboard-interactive ---


def interactive(rounds: list[Answer]) -> Callable[[Ask], Answer | None]:
    base = policy("keyboard-interactive")

    def answers(ask: Ask) -> Answer | None:
        return rounds.pop(0) if isinstance(ask, AskKeyboardInteractive) else base(ask)

    return answers


TWO = Challenge("", "", (Prompt("one", False), Prompt("two", False)))


@pytest.mark.parametrize(("count", "given"), [(0, 0), (1, 1), (3, 3), (2, 1), (2, 3), (1 << 31, 2)])
def test_responses_are_as_many_as_prompts(count: int, given: int) -> None:
    """CVE-2002-0640: more responses than prompts ran over OpenSSH's memory."""
    pair = waiting(interactive([TWO]))
    start = request("alice", "keyboard-interactive", InteractiveRequest("", "").encode())
    say(pair, pair.client, start, InfoResponse(count, text("x") * given).encode())
    kept_out(pair)
    assert isinstance(error(pair.server_events), RemoteProtocolError)


def test_responses_to_prompts_that_were_abandoned() -> None:
    """RFC 4256 section 3.1: a new request ends the old one, and its responses with it."""
    pair = waiting(interactive([TWO]))
    start = request("alice", "keyboard-interactive", InteractiveRequest("", "").encode())
    say(pair, pair.client, start, request("alice", "none"))
    say(pair, pair.client, InfoResponse(2, text("x") * 2).encode())
    kept_out(pair)
    refused(pair, pair.server, RemoteProtocolError, "message 61")


def test_guessing_by_keyboard_interactive_is_bounded() -> None:
    """CVE-2015-5600: many prompts in one request got around the count of failures."""
    pair = waiting(interactive([Denied()] * 1000))
    devices = InteractiveRequest("", ",".join(["pam"] * 1000)).encode()
    say(pair, pair.client, *[request("alice", "keyboard-interactive", devices)] * 50)
    assert len(of(pair.server_events, AskKeyboardInteractive)) == 6
    refused(pair, pair.server, RemoteProtocolError, "too many authentication failures")


# --- who is there ---


def observed(user: str, key: PrivateKey, known: set[str]) -> list[bytes]:
    """Return all that the server says to one who tries everything, all of it wrong."""
    requirement = policy("publickey", "password", "keyboard-interactive")

    def answers(ask: Ask) -> Answer | None:
        match ask:
            case AskUser():
                return requirement(ask)
            case AskPassword(user=user) | AskPublicKey(user=user):
                return Denied("wrong" if user in known else "no such user")
            case AskKeyboardInteractive(user=user, responses=None):
                return Challenge("", "", (Prompt("Password: ", False),))
            case AskKeyboardInteractive(user=user):
                return Denied("wrong" if user in known else "no such user")
        return agreeable(ask)

    pair = waiting(
        answers, server=ServerOptions(host_keys=(host_key(),), trace=True), seed=len(user)
    )
    query = PublicKeyQuery(False, "ssh-ed25519", key.public.blob).encode()
    steps = [
        request(user, "none"),
        request(user, "publickey", query),
        signed(session_id(pair), key, user=user),
        password(user, "guess"),
        request(user, "keyboard-interactive", InteractiveRequest("", "").encode()),
        InfoResponse(1, text("guess")).encode(),
        request(user, "hostbased"),
        password(user, ""),
    ]
    for step in steps:
        if pair.server.phase is not Phase.CLOSED:
            say(pair, pair.client, step)
    seen = of(pair.server_events, MessageSeen)
    return [event.payload for event in seen if (event.direction == "out" and event.payload[0] > 50)
            or event.payload[0] == 1]  # fmt: skip


def test_users_are_not_enumerated(key: PrivateKey) -> None:
    """CVE-2018-15473: known and unknown users get the same answers in the same order."""
    known = observed("alice", key, {"alice"})
    assert len(known) >= 8
    assert known == observed("nobody-at-all", key, {"alice"})
    # Not even a name that nobody can have stands out, nor does the reason leave this side.
    assert known == observed("\udcff\0\x1b[2J", key, {"alice"})
    assert not any(b"no such user" in payload for payload in known)


@pytest.mark.parametrize("cut", range(5))
def test_broken_requests_tell_nothing(key: PrivateKey, cut: int) -> None:
    """CVE-2018-15473 itself: a packet that breaks off was answered for known users only."""
    blob = key.public.blob
    broken = PublicKeyRequest(True, "ssh-ed25519", blob, b"x").encode()[: -1 - cut]

    def end(user: str, there: bool) -> tuple[str, int]:
        base = policy("publickey", known=key.public if there else None)
        pair = waiting(base)
        say(pair, pair.client, request(user, "publickey", broken))
        found = error(pair.server_events)
        return str(found), len(of(pair.server_events, AskPublicKey))

    assert end("alice", True) == end("nobody", False)
    assert end("alice", True)[1] == 0


def test_the_client_learns_no_more_than_it_should() -> None:
    pair = Pair(answers_server=lambda ask: Denied("the account is locked since May")
                if isinstance(ask, AskPassword) else agreeable(ask))  # fmt: skip
    pair.run()
    details = {event.detail for event in of(pair.server_events, AuthResult)}
    assert any("locked" in detail for detail in details)
    assert not any("locked" in repr(event) for event in pair.client_events)
    assert isinstance(error(pair.client_events), Disconnected)


def test_a_client_signs_once_and_only_what_it_wanted_to(key: PrivateKey) -> None:
    """A server that asks again and again gets no second signature out of one offer."""
    made: list[bytes] = []

    def sign(data: bytes) -> bytes:
        made.append(data)
        return key.sign(data, "ssh-ed25519")

    def says(payload: bytes) -> list[bytes]:
        return [payload, payload] if payload[0] == 60 else [payload]

    pair = Crooked(
        answers_client=key_holder(key, "ssh-ed25519", sign),
        answers_server=policy("publickey", known=key.public),
        server_says=says,
    )
    pair.run()
    assert len(made) == 1
    assert session_id(pair) in made[0]
    assert isinstance(error(pair.client_events), NacreError)


# --- GSSAPI ---

OFFER = MechanismsRequest(1, string(KERBEROS)).encode()


def by_gssapi(*tokens: bytes) -> Pair:
    """Return a pair whose client has said these messages of ``gssapi-with-mic``."""
    base = policy("gssapi-with-mic")
    pair = waiting(lambda ask: stepping(ask, initiates=False) or base(ask))
    say(pair, pair.client, request("alice", "gssapi-with-mic", OFFER), *tokens)
    return pair


@pytest.mark.parametrize("token", [b"", b"garbage", bytes(64 * 1024)])
def test_a_garbage_token_is_a_failure_like_others(token: bytes) -> None:
    pair = by_gssapi(SecurityToken(token).encode())
    kept_out(pair)
    assert [result.outcome for result in of(pair.server_events, AuthResult)] == ["failure"]
    assert not of(pair.server_events, AskPrincipal)


@pytest.mark.parametrize(
    "messages",
    [
        [SecurityToken(bytes(64 * 1024 + 1)).encode()],
        [SecurityMIC(b"before the context").encode()],
        [SecurityToken(b"initiator 1").encode(), SecurityToken(b"initiator 1").encode()],
        [SecurityToken(b"initiator 1").encode(), b"\x3f"],  # complete, without a MIC
    ],
)
def test_what_is_out_of_turn_or_bounds_ends_the_connection(messages: list[bytes]) -> None:
    pair = by_gssapi(*messages)
    kept_out(pair)
    assert isinstance(error(pair.server_events), RemoteProtocolError)
    assert not of(pair.server_events, AskPrincipal)


def test_a_mic_of_another_session_logs_nobody_in() -> None:
    """Who relays a context to another server has no MIC over the session with that one."""
    relayed = FakeContext()
    relayed.complete = True
    mic = relayed.mic(string(bytes(32)) + request("alice", "gssapi-with-mic"))
    pair = by_gssapi(SecurityToken(b"initiator 1").encode(), SecurityMIC(mic).encode())
    kept_out(pair)
    assert not of(pair.server_events, AskPrincipal)
