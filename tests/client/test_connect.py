"""How connections begin, and how they fail to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import nacre
from nacre.errors import ChannelOpenFailed, RequestFailed
from nacre.limits import DEFAULT_LIMITS
from nacre.protocol.asks import (
    Answer,
    AskAuthentication,
    Challenge,
    GiveUp,
    TryPassword,
    UserRequirement,
)
from nacre.protocol.events import (
    AlgorithmsChosen,
    Authenticated,
    AuthResult,
    Event,
    KexDone,
    MessageSeen,
    VersionReceived,
)
from nacre.ssh2.transport.kex import KeyExchange
from nacre.ssh2.transport.messages import Unimplemented
from nacre.value import replace
from parties import PASSWORD, client_for, until


@asynccontextmanager
async def answering(text: bytes, *, hold: bool = True) -> AsyncIterator[int]:
    """Something that listens, says ``text`` and then nothing; its port."""
    release = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        if hold:
            await release.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        release.set()
        server.close()
        await server.wait_closed()


def to(port: int, **options: Any) -> Any:
    options = {"user": "alice", "trust": nacre.AnyHostKey(), "timeout": 10, **options}
    return nacre.connect("127.0.0.1", port, keys=[], agent=False, **options)


async def test_a_connection_knows_what_was_agreed(
    ssh: nacre.Connection, host_key: nacre.PrivateKey
) -> None:
    assert ssh.peer_version == "SSH-2.0-nacre_0.1.0"
    assert ssh.server_host_key == host_key.public
    assert ssh.algorithms is not None
    assert ssh.algorithms.host_key == "ssh-ed25519"
    assert (ssh.user, ssh.methods) == ("alice", ("password",))
    assert not ssh.closed


async def test_it_may_be_awaited_instead_of_entered(client: Callable[..., Any]) -> None:
    ssh = await client()
    assert (await ssh.run("exit 3")).exit_status == 3
    await ssh.close()
    assert ssh.closed
    assert ssh.error is None
    with pytest.raises(nacre.ConnectionLost, match="this side has closed"):
        await ssh.run("exit 3")


@pytest.mark.slow
async def test_a_refused_connection_names_the_port_and_a_remedy() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(nacre.ConnectFailed, match=rf"port {port}.*refused.*is an SSH server"):
            await to(port)


@pytest.mark.slow
async def test_a_name_without_an_address_is_named_in_the_error() -> None:
    with pytest.raises(nacre.ConnectFailed, match=r"can't find the host nowhere.invalid"):
        await nacre.connect("nowhere.invalid", user="alice", trust=nacre.AnyHostKey())


async def test_a_peer_that_is_no_ssh_server_is_shown() -> None:
    async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n", hold=False) as port:
        with pytest.raises(nacre.VersionError, match=r"HTTP/1.1 400 Bad Request"):
            await to(port)


async def test_a_silent_peer_is_left_at_the_deadline() -> None:
    async with answering(b"") as port:
        with pytest.raises(nacre.DeadlineExceeded, match=r"identification; is it an SSH server"):
            await to(port, timeout=0.1)


async def test_one_deadline_covers_the_humans_too(client: Callable[..., Any]) -> None:
    class Slow(nacre.AnyHostKey):
        async def check(self, *about: object) -> None:
            await asyncio.Event().wait()

    with pytest.raises(nacre.DeadlineExceeded, match="exchanging keys"):
        await client(trust=Slow(), timeout=0.3)


async def test_the_error_of_a_wrong_password_lists_what_was_tried(
    client: Callable[..., Any],
) -> None:
    with pytest.raises(nacre.AuthenticationFailed) as caught:
        await client(password="wrong")
    assert "password" in caught.value.tried
    assert caught.value.user == "alice"
    assert set(caught.value.can_continue) == {"password", "keyboard-interactive"}


async def test_a_server_that_disconnects_after_failures_has_refused_the_login(
    make_server: Callable[..., Any],
) -> None:
    class Stubborn(nacre.Identities):
        async def authentication(self, ask: AskAuthentication) -> Answer:
            return TryPassword("wrong")

    server = await make_server(limits=nacre.Limits(auth_attempts=3))
    with pytest.raises(nacre.AuthenticationFailed, match="the server disconnected") as caught:
        await client_for(server, credentials=Stubborn("alice", "here"))
    assert caught.value.tried[:2] == ("password", "password")
    assert isinstance(caught.value.__cause__, nacre.Disconnected)


async def test_credentials_that_fail_end_the_connection(client: Callable[..., Any]) -> None:
    class Broken(nacre.Identities):
        async def authentication(self, ask: AskAuthentication) -> Answer:
            raise KeyError("a bug")

    with pytest.raises(nacre.NacreError, match=r"AskAuthentication.*a bug") as caught:
        await client(credentials=Broken("alice", "here"))
    assert isinstance(caught.value.__cause__, KeyError)


async def test_credentials_may_give_up_with_an_error_of_their_own(
    client: Callable[..., Any],
) -> None:
    class Gone(nacre.Identities):
        async def authentication(self, ask: AskAuthentication) -> Answer:
            return GiveUp(nacre.ConfigurationError("my reason"))

    with pytest.raises(nacre.ConfigurationError, match="my reason"):
        await client(credentials=Gone("alice", "here"))


async def test_an_unknown_host_key_is_refused(server: nacre.Server, tmp_path: Any) -> None:
    with pytest.raises(nacre.HostKeyUnknown):
        await client_for(server, trust=None, known_hosts=tmp_path / "none")
    known = tmp_path / "known_hosts"
    trust = nacre.KnownHostsFile([known], global_paths=[], strict="accept-new")
    async with client_for(server, trust=trust) as ssh:
        assert (await ssh.run("exit 0")).exit_status == 0
    async with client_for(server, trust=None, known_hosts=known):
        pass


async def test_trusting_any_host_key_must_be_explicit() -> None:
    with pytest.raises(nacre.ConfigurationError, match="AnyHostKey"):
        nacre.connect("localhost", user="alice", known_hosts=None)  # type: ignore[arg-type]


async def test_keys_log_in_without_files(make_server: Callable[..., Any]) -> None:
    key = nacre.generate("ecdsa-sha2-nistp256")
    server = await make_server(policy=nacre.Users({"alice": key.public, "bob": PASSWORD}))
    async with client_for(server, keys=[key], password=None) as ssh:
        assert ssh.methods == ("publickey",)
    with pytest.raises(nacre.AuthenticationFailed, match=r"publickey ssh-ed25519 SHA256:"):
        await client_for(server, keys=[nacre.generate("ssh-ed25519")], password=None)


async def test_no_common_algorithm_names_both_lists(client: Callable[..., Any]) -> None:
    only = nacre.algorithms(kex="diffie-hellman-group1-sha1")
    with pytest.raises(nacre.NoCommonAlgorithm, match=r"diffie-hellman-group1-sha1.*curve25519"):
        await client(algorithms=only)


@pytest.mark.parametrize(
    ("server", "client", "remedy"),
    [
        ("curve25519-sha256", None, "upgrade the server"),
        ("mlkem768x25519-sha256,curve25519-sha256", "curve25519-sha256", "offer mlkem768x25519"),
        (None, None, ""),
    ],
)
async def test_a_classic_exchange_is_reported_to_programs_that_want_to_know(
    server: str | None,
    client: str | None,
    remedy: str,
    host_key: nacre.PrivateKey,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "nacre.client.kex")
    policy = nacre.Users({"alice": PASSWORD})
    listening = nacre.listen(
        host_keys=[host_key], policy=policy, algorithms=nacre.algorithms(kex=server)
    )
    async with (
        listening as there,
        to(there.port, password=PASSWORD, algorithms=nacre.algorithms(kex=client)) as ssh,
    ):
        await ssh.rekey()
    said = [r.getMessage() for r in caplog.records if r.name == "nacre.client.kex"]
    assert len(said) == bool(remedy)
    assert all("not post-quantum" in text and remedy in text for text in said)


async def test_a_trace_sees_every_phase(client: Callable[..., Any]) -> None:
    seen: list[tuple[Event, float]] = []
    async with client(trace=lambda event, now: seen.append((event, now))) as ssh:
        await ssh.run("exit 0")
    kinds = [type(event) for event, _ in seen]
    phases = [VersionReceived, AlgorithmsChosen, KexDone, AuthResult, Authenticated]
    places = [kinds.index(kind) for kind in phases]
    assert places == sorted(places)
    assert {e.direction for e, _ in seen if isinstance(e, MessageSeen)} == {"in", "out"}
    times = [now for _, now in seen]
    assert times == sorted(times)


async def test_keepalive_measures_the_round_trip(ssh: nacre.Connection) -> None:
    assert 0 < await ssh.keepalive() < 5


@pytest.mark.parametrize("number", [80, 90, 98, 192])
async def test_calls_end_where_the_server_does_not_know_the_message(
    ssh: nacre.Connection, server: nacre.Server, number: int
) -> None:
    (there,) = server.connections
    engine: Any = there.engine
    take, send = engine._inbox.next, engine._outbox.send

    def knowing_less() -> Any:
        while (payload := take()) is not None and payload[0] == number:
            send(Unimplemented((engine._inbox.sequence - 1) & 0xFFFFFFFF).encode())
        return payload

    engine._inbox.next = knowing_less
    async with asyncio.timeout(30):
        assert await ssh.keepalive() >= 0
        assert await ssh.keepalive() >= 0
        expected: dict[int, tuple[type[Exception], Callable[[], Any]]] = {
            80: (RequestFailed, lambda: ssh.forward_remote("localhost", 1)),
            90: (ChannelOpenFailed, lambda: ssh.run("x")),
            98: (RequestFailed, lambda: ssh.run("x")),
        }
        if number in expected:
            error, call = expected[number]
            with pytest.raises(error):
                await call()
    assert not ssh.closed


async def test_a_dead_peer_is_noticed(server: nacre.Server, client: Callable[..., Any]) -> None:
    async with client(keepalive=0.05, keepalive_count=2) as ssh:
        waiting = asyncio.create_task(ssh.run("hang"))
        await until(lambda: server.connections and server.connections[0].sessions)
        transport = server.connections[0].driver.transport
        assert transport is not None
        transport.pause_reading()
        with pytest.raises(nacre.PeerSilent, match="2 keepalives"):
            await waiting
        assert isinstance(ssh.error, nacre.PeerSilent)
        transport.abort()


@pytest.mark.slow
async def test_a_peer_that_answers_keepalives_stays(client: Callable[..., Any]) -> None:
    async with client(keepalive=0.1, keepalive_count=3) as ssh:
        with pytest.raises(nacre.DeadlineExceeded):
            await ssh.run("hang", timeout=0.8)
        assert not ssh.closed


# --- keys that can't be used, and what is tried before giving up ---


class Welcome(nacre.Policy):
    """Lets everybody in who passes ``first`` and then keyboard-interactive without a prompt."""

    def __init__(self, *methods: str) -> None:
        self.methods = frozenset(methods)

    def requirement(self, user: str, connection: nacre.ServerConnection) -> UserRequirement:
        return UserRequirement((self.methods,))

    def password(self, user: str, password: str, connection: nacre.ServerConnection) -> bool:
        return password == PASSWORD

    def public_key(
        self,
        user: str,
        key: nacre.PublicKey,
        algorithm: str,
        signed: bool,
        connection: nacre.ServerConnection,
    ) -> bool:
        return True

    def keyboard_interactive(
        self, user: str, submethods: str, responses: Any, connection: nacre.ServerConnection
    ) -> Any:
        return Challenge("", "", ()) if responses is None else True


@pytest.mark.parametrize("first", ["password", "publickey"])
async def test_a_second_method_without_prompts(
    make_server: Callable[..., Any], first: str, host_key: nacre.PrivateKey
) -> None:
    server = await make_server(policy=Welcome(first, "keyboard-interactive"))
    secrets: dict[str, Any] = {
        "password": {"password": PASSWORD, "keys": []},
        "publickey": {"password": None, "keys": [host_key]},
    }
    async with client_for(server, **secrets[first]) as ssh:
        assert ssh.methods == (first, "keyboard-interactive")


@pytest.mark.slow
@pytest.mark.parametrize("protocols", [(2,), (1,)])
async def test_a_wrong_passphrase_ends_the_login_with_its_error(
    make_server: Callable[..., Any], tmp_path: Any, protocols: tuple[int, ...]
) -> None:
    type = "rsa1" if protocols == (1,) else "ssh-ed25519"
    key, path = nacre.generate(type), tmp_path / "key"
    path.write_bytes(nacre.dump_private(key, "right", rounds=1))
    path.chmod(0o600)
    host_keys = [nacre.generate("rsa1"), nacre.generate("ssh-ed25519")]
    policy = nacre.Users({"alice": [key.public]})
    server = await make_server(policy=policy, host_keys=host_keys, protocols=protocols)
    for passphrase, says in (("wrong", "passphrase given is wrong"), (None, "no passphrase")):
        for password in (None, PASSWORD):
            with pytest.raises(nacre.PassphraseRequired, match=says):
                await client_for(
                    server,
                    protocols=protocols,
                    keys=[path],
                    passphrase=passphrase,
                    password=password,
                )
    async with client_for(server, protocols=protocols, keys=[path], passphrase="right") as ssh:
        assert ssh.methods == ("publickey",)


class FakeAgent:
    """Holds keys that no server here accepts."""

    def __init__(self, count: int) -> None:
        self.held = [nacre.generate("ssh-ed25519") for _ in range(count)]

    def bound(self, session: Any) -> FakeAgent:
        return self

    async def keys(self) -> list[tuple[nacre.PublicKey, str]]:
        return [(key.public, "") for key in self.held]


@pytest.mark.parametrize("tries", [3, 4, 6])
async def test_a_password_is_tried_before_an_agents_keys_use_up_the_tries(
    make_server: Callable[..., Any], tries: int
) -> None:
    class PasswordOnly(Welcome):
        def public_key(self, *arguments: Any) -> bool:
            return False

        def requirement(self, user: str, connection: nacre.ServerConnection) -> UserRequirement:
            return UserRequirement((frozenset({"password"}), frozenset({"publickey"})))

    server = await make_server(
        policy=PasswordOnly(), limits=replace(DEFAULT_LIMITS, auth_attempts=tries)
    )

    def login(password: str) -> Any:
        answers = nacre.Identities("alice", "h", agent=FakeAgent(6), files=(), password=password)  # type: ignore[arg-type]
        return client_for(server, credentials=answers)

    async with login(PASSWORD) as ssh:
        assert ssh.methods == ("password",)
    with pytest.raises(nacre.AuthenticationFailed, match=r"keys of the agent.*agent=False"):
        await login("wrong")


@pytest.mark.parametrize("known", ["rsa-sha2-256", "ssh-rsa"])
async def test_an_rsa_key_where_the_server_names_no_algorithms(
    make_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, known: str
) -> None:
    real = KeyExchange._send_newkeys

    def without_extensions(self: KeyExchange) -> None:
        if self._role.name == "SERVER":
            assert self._running is not None
            self._running.ext_info = False
        real(self)

    monkeypatch.setattr(KeyExchange, "_send_newkeys", without_extensions)
    server = await make_server(
        policy=Welcome("publickey"), algorithms=nacre.algorithms(signatures=known)
    )
    key = nacre.generate("ssh-rsa", bits=2048)
    async with client_for(server, keys=[key], profile="legacy") as ssh:
        assert ssh.methods == ("publickey",)
    if known == "ssh-rsa":
        with pytest.raises(nacre.AuthenticationFailed, match="PubkeyAcceptedAlgorithms"):
            await client_for(server, keys=[key], password=None)
    else:
        async with client_for(server, keys=[key]) as ssh:
            assert ssh.methods == ("publickey",)


async def test_nothing_is_waited_for_where_no_transport_was_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def close(self: nacre.Connection) -> None:
        raise AssertionError("there is nothing to close")

    monkeypatch.setattr(nacre.Connection, "close", close)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(nacre.ConnectFailed):
            await to(free.getsockname()[1])
    with pytest.raises(nacre.ConnectFailed, match=r"no\.such\.host\.invalid"):
        await nacre.connect("no.such.host.invalid", trust=nacre.AnyHostKey(), agent=False, keys=[])


async def test_a_socket_that_cannot_be_used_is_closed() -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with pytest.raises(nacre.ConnectFailed, match="the socket can't be used"):
        await to(22, sock=sock)
    assert sock.fileno() == -1


async def test_an_error_of_a_login_says_how_far_the_login_came(make_server) -> None:
    server = await make_server()
    with pytest.raises(nacre.AuthenticationFailed) as failed:
        await client_for(server, password="wrong")
    assert failed.value.phase == "authentication"
    with pytest.raises(nacre.HostKeyError) as unknown:
        await client_for(server, trust=None, known_hosts="/dev/null")
    assert unknown.value.phase == "kex"
    async with answering(b"hello\r\n", hold=False) as port:
        with pytest.raises(nacre.NacreError) as lost:
            await to(port)
    assert lost.value.phase == "version"
    async with answering(b"SSH-2.0-x\r\n") as port:
        with pytest.raises(nacre.DeadlineExceeded) as late:
            await to(port, timeout=0.1)
    assert late.value.phase == "kex"
    with pytest.raises(nacre.ConnectFailed) as refused:
        await to(port)
    assert refused.value.phase == "connect"
