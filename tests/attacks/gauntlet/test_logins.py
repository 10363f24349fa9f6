"""Public vulnerabilities, tried on nacre: logins that other servers let in, or broke by."""

from __future__ import annotations

import socket
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

import nacre
from attacks.links import of, policy, refused, say
from attacks.logins import kept_out, password, request, session_id, signed, waiting
from keys.soft_key import TYPES, SoftKey
from nacre.errors import PacketTooLarge, RemoteProtocolError
from nacre.keys import PublicKey, generate
from nacre.keys.families.eddsa import EdDSAPublicKey
from nacre.limits import KIB, MIB
from nacre.protocol.asks import AskPassword, AskPublicKey, Denied
from nacre.protocol.events import Authenticated, AuthResult
from nacre.protocol.options import ServerOptions, algorithms
from nacre.protocol.phases import Phase
from nacre.ssh2.auth.messages import PasswordChange, PublicKeyQuery, PublicKeyRequest
from nacre.ssh2.connection.messages import ChannelOpen
from nacre.testing import PASSWORD, host_key
from nacre.wire.codec import mpint, string, text, u32
from parties import client_for

Make = Callable[..., Any]


def key_request(algorithm: str, blob: bytes, *, sign: bool = True) -> bytes:
    """Return a publickey request with a signature of zeros, or without one."""
    made = string(algorithm.encode()) + string(bytes(64))
    fields = PublicKeyRequest(True, algorithm, blob, made) if sign else None
    return request(
        "alice", "publickey", (fields or PublicKeyQuery(False, algorithm, blob)).encode()
    )


@pytest.mark.parametrize("size", [8 * KIB + 1, 90_000])
def test_passwords_beyond_any_use(size: int) -> None:
    """CVE-2016-6515: a long password had OpenSSH's server hash for minutes."""
    pair = waiting(policy("password"))
    say(pair, pair.client, password("alice", PASSWORD * (size // len(PASSWORD) + 1)))
    refused(pair, pair.server, PacketTooLarge, "a password has more than 8192 bytes")
    assert not of(pair.server_events, AskPassword)


async def test_a_change_of_a_blank_password(make_server: Make) -> None:
    """CVE-2012-5975: Tectia's server let in who changed the password of root from a blank one."""
    pair = waiting(policy("password"))
    say(pair, pair.client, request("root", "password", PasswordChange(True, "", "").encode()))
    (asked,) = of(pair.server_events, AskPassword)
    assert (asked.password, asked.new_password) == ("", "")
    server = await make_server(policy=nacre.Users({"root": "secret"}))
    ours, theirs = socket.socketpair()
    connection = await server.attach(ours)
    answers: dict[int, object] = {}
    connection.answer = answers.__setitem__
    connection.handle([asked])
    assert [type(answer) for answer in answers.values()] == [Denied]
    del connection.answer
    theirs.close()


@pytest.mark.parametrize("count", [0, 1, (1 << 32) - 1])
def test_mechanisms_of_gssapi(count: int) -> None:
    """CVE-2020-29652 and CVE-2025-58181: Go's server broke, or kept memory for each mechanism."""
    pair = waiting(policy("publickey"))
    tracemalloc.start()
    try:
        say(pair, pair.client, request("alice", "gssapi-with-mic", u32(count)))
        say(pair, pair.client, request("alice", "gssapi-with-mic", u32(count) + bytes(30 * KIB)))
        assert tracemalloc.get_traced_memory()[1] < 4 * MIB
    finally:
        tracemalloc.stop()
    kept_out(pair)
    if pair.server.phase is Phase.AUTHENTICATION:
        say(pair, pair.client, b"\x3d" + string(b"token"))
        refused(pair, pair.server, RemoteProtocolError, "message 61")


@pytest.mark.parametrize("size", [0, 1, 31, 33, 1000])
@pytest.mark.parametrize("algorithm", ["ssh-ed25519", "sk-ssh-ed25519@openssh.com"])
def test_ed25519_keys_of_any_size(algorithm: str, size: int) -> None:
    """CVE-2020-9283: Go's server stopped at a key that has not 32 bytes."""
    pair = waiting(policy("publickey"))
    blob = text(algorithm) + string(bytes(size)) + string(b"ssh:")
    for sign in (False, True):
        say(pair, pair.client, key_request(algorithm, blob, sign=sign))
    kept_out(pair)
    assert not of(pair.server_events, AskPublicKey)
    assert pair.server.phase is Phase.AUTHENTICATION


HUGE = (1 << 200_000) + 1


@pytest.mark.parametrize(
    ("type", "numbers"),
    [
        ("ssh-rsa", (3, HUGE)),
        ("ssh-rsa", (HUGE, (1 << 2047) + 1)),
        ("ssh-dss", (HUGE, (1 << 159) + 1, 2, 3)),
        ("ssh-dss", ((1 << 1023) + 1, HUGE, 2, 3)),
        ("ssh-dss", ((1 << 1023) + 1, (1 << 159) + 1, HUGE, HUGE)),
    ],
)
def test_keys_that_take_minutes_to_verify(
    type: str, numbers: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """CVE-2026-39829: Go's server verified signatures by keys of any size."""
    legacy = algorithms(profile="legacy")
    pair = waiting(
        policy("publickey"), server=ServerOptions(host_keys=(host_key(),), algorithms=legacy)
    )
    verified: list[object] = []
    monkeypatch.setattr(PublicKey, "verify", lambda *about: verified.append(about))
    blob = text(type) + b"".join(map(mpint, numbers))
    for name in ("rsa-sha2-512", "ssh-rsa") if type == "ssh-rsa" else ("ssh-dss",):
        say(pair, pair.client, key_request(name, blob))
    kept_out(pair)
    assert not of(pair.server_events, AskPublicKey)
    assert not verified
    assert all("key" in event.detail for event in of(pair.server_events, AuthResult))


def test_memory_that_runs_out_while_a_signature_is_verified(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """CVE-2023-2283: libssh's server took any error before the verification for a yes."""
    key = generate("ssh-ed25519")
    pair = waiting(policy("publickey", known=key.public))

    def exhausted(*_: object) -> bool:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(EdDSAPublicKey, "_verify", exhausted)
        with pytest.raises(MemoryError):
            say(pair, pair.client, signed(session_id(pair), key))
    kept_out(pair)
    assert not of(pair.server_events, AskPublicKey)
    say(pair, pair.client, ChannelOpen("session", 0, 1 << 20, 1 << 15, b"").encode())
    refused(pair, pair.server, RemoteProtocolError, "not legal")


def test_a_key_that_was_only_asked_about() -> None:
    """CVE-2024-45337 and CVE-2026-46595: what counts is the key that has signed."""
    mine, hers = generate("ssh-ed25519"), generate("ssh-ed25519")
    asked: list[tuple[PublicKey, bool]] = []
    granted = policy("publickey", known=mine.public)

    def answers(ask: Any) -> Any:
        if isinstance(ask, AskPublicKey):
            asked.append((ask.key, ask.signed))
        return granted(ask)

    pair = waiting(answers)
    query = PublicKeyQuery(False, "ssh-ed25519", hers.public.blob).encode()
    say(pair, pair.client, request("alice", "publickey", query), signed(session_id(pair), mine))
    assert of(pair.server_events, Authenticated) == [Authenticated("alice", ("publickey",))]
    assert [key for key, proven in asked if proven] == [mine.public]
    ca = generate("ssh-ed25519")
    users = nacre.Users({"alice": nacre.CertificateAuthority(ca.public)})
    free, bound = (
        nacre.Certificate.issue(key, ca, kind="user", principals=("alice",), extensions=extensions)
        for key, extensions in ((hers.public, {"permit-pty": b""}), (mine.public, {}))
    )
    connection: Any = _Connection()
    for certificate, proven in ((free, False), (bound, True), (free, False)):
        assert users.public_key("alice", certificate, "ssh-ed25519", proven, connection)
    assert users.certificate(connection) is bound


class _Connection:
    """What :class:`nacre.Users` looks at of a connection."""

    peer = ("192.0.2.1", 40000)
    looked_up = None


@pytest.mark.parametrize("curve", ["nistp384", "nistp521"])
def test_curves_that_were_not_named(curve: str) -> None:
    """CVE-2026-35387: of OpenSSH's ECDSA algorithms, one that was named allowed all."""
    key = generate(f"ecdsa-sha2-{curve}")
    options = ServerOptions(
        host_keys=(host_key(),), algorithms=algorithms(signatures="ecdsa-sha2-nistp256")
    )
    pair = waiting(policy("publickey", known=key.public), server=options)
    name = f"ecdsa-sha2-{curve}"
    say(pair, pair.client, key_request(name, key.public.blob, sign=False))
    say(pair, pair.client, signed(session_id(pair), key, algorithm=name))
    kept_out(pair)
    assert not of(pair.server_events, AskPublicKey)


class _Untouched:
    """A security key that signs, with its flags, whether somebody touches it or not."""

    def __init__(self, type: str, flags: int) -> None:
        self._soft = SoftKey(type)
        self._flags = flags
        self.public = self._soft.public

    def sign(self, data: bytes, algorithm: str) -> bytes:
        return self._soft.sign(data, flags=self._flags)


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize(("flags", "enough"), [(0, False), (4, False), (1, True)])
def test_a_security_key_that_nobody_touched(type: str, flags: int, enough: bool) -> None:
    """CVE-2026-39831: Go's server did not look at what such a signature says of its user."""
    key: Any = _Untouched(type, flags)
    pair = waiting(policy("publickey", known=key.public))
    say(pair, pair.client, signed(session_id(pair), key, algorithm=type))
    assert of(pair.server_events, AskPublicKey)
    assert bool(of(pair.server_events, Authenticated)) is enough
    if not enough:
        kept_out(pair)
        assert "was not touched" in of(pair.server_events, AuthResult)[-1].detail


FORMATS = "%n%n%s%999999999d{0}{0.__class__}{user}$(id)"


async def test_formats_in_the_names_of_users(
    make_server: Make, records: list[dict[str, object]], caplog: pytest.LogCaptureFixture
) -> None:
    """CVE-2016-7406: Dropbear printed names as formats."""
    caplog.set_level("INFO")
    for log in ({}, {"log": None}):
        server = await make_server(**log)
        with pytest.raises(nacre.AuthenticationFailed):
            await client_for(server, user=FORMATS)
    assert FORMATS in {record.get("user", record.get("name")) for record in records}
    assert FORMATS in caplog.text
