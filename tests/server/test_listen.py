"""The server's side: who gets in, what is logged, how it ends."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nacre
from nacre.errors import ConfigurationError
from nacre.keys import dump_private
from nacre.server.session import Session
from nacre.wire.numbers import OpenFailure
from parties import PASSWORD, client_for, handle, until

Make = Callable[..., Any]


async def test_each_phase_is_logged(
    ssh: nacre.Connection, server: nacre.Server, records: list[dict[str, object]]
) -> None:
    await ssh.run("exit 5")
    await ssh.close()
    await until(lambda: not server.connections)
    events = [record["event"] for record in records]
    expected = ["accepted", "version", "kex", "auth", "auth", "authenticated"]
    assert events == [*expected, "session", "exit", "closed"]
    by_event = {record["event"]: record for record in records}
    assert {record["connection"] for record in records} == {1}
    assert by_event["version"]["client"] == "SSH-2.0-nacre_0.1.0"
    assert by_event["kex"]["cipher_in"]
    assert by_event["auth"]["outcome"] == "success"
    assert by_event["authenticated"]["user"] == "alice"
    assert by_event["session"]["command"] == "exit 5"
    assert by_event["exit"]["status"] == 5
    assert by_event["closed"]["reason"]
    assert PASSWORD not in str(records)


async def test_records_go_to_logging_when_nobody_takes_them(
    make_server: Make, caplog: pytest.LogCaptureFixture
) -> None:
    server = await make_server(log=None)
    with caplog.at_level(logging.INFO, "nacre.server"):
        async with client_for(server) as ssh:
            await ssh.run("exit 5")
    assert "event=session connection=1" in caplog.text
    assert "user=alice" in caplog.text


async def test_a_log_that_fails_stops_nobody(
    make_server: Make, caplog: pytest.LogCaptureFixture
) -> None:
    def log(record: object) -> None:
        raise OSError("disk full")

    server = await make_server(log=log)
    async with client_for(server) as ssh:
        assert (await ssh.run("exit 5")).exit_status == 5
    assert "disk full" in caplog.text


async def test_what_a_peer_says_is_safe_in_the_log(
    ssh: nacre.Connection, records: list[dict[str, object]]
) -> None:
    await ssh.run("exit 5 \x1b[2J\n")
    assert [r["command"] for r in records if r["event"] == "session"] == ["exit 5 \\x1b[2J\\x0a"]


async def test_the_system_looks_after_vanished_clients(
    ssh: nacre.Connection, server: nacre.Server
) -> None:
    (connection,) = server.connections
    assert connection.driver.transport is not None
    accepted = connection.driver.transport.get_extra_info("socket")
    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    tcp = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
    idle, interval, count = (accepted.getsockopt(socket.IPPROTO_TCP, option) for option in tcp)
    assert idle + interval * count == 900, "seconds until a client that vanished is given up"
    # And those whom TCP does not see.
    assert connection._keepalive._interval == server._settings.keepalive == 300


async def test_connections_say_who_they_are(
    ssh: nacre.Connection, server: nacre.Server, client: Make
) -> None:
    async with client():
        first, second = server.connections
        assert (first.id, second.id) == (1, 2)
        assert first.user == "alice"
        assert first.peer[0] == "127.0.0.1"
        assert first.local == ("127.0.0.1", server.port)
        assert not first.closed
    await until(lambda: len(server.connections) == 1)


@pytest.mark.parametrize(
    "broken", ["requirement", "password", "keyboard_interactive", "authenticated"]
)
async def test_a_policy_that_raises_lets_nobody_in(
    make_server: Make, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(nacre.Users):
        pass

    def fail(*about: object) -> None:
        raise ZeroDivisionError("a bug")

    setattr(Broken, broken, fail)
    if broken == "keyboard_interactive":
        only = nacre.UserRequirement((frozenset({"keyboard-interactive"}),))
        Broken.requirement = lambda *about: only  # type: ignore[method-assign]
    server = await make_server(policy=Broken({"alice": PASSWORD}))
    with pytest.raises((nacre.AuthenticationFailed, nacre.ConnectionLost)):
        async with client_for(server) as ssh:
            await ssh.run("exit 0")
    assert "a bug" in caplog.text


@pytest.mark.parametrize("answer", [None, 1, "yes", object()])
async def test_only_true_lets_in(make_server: Make, answer: object) -> None:
    class Odd(nacre.Policy):
        async def password(self, *about: object) -> Any:
            return answer

    server = await make_server(policy=Odd())
    with pytest.raises(nacre.AuthenticationFailed):
        await client_for(server)


async def test_the_base_policy_lets_nobody_in(make_server: Make) -> None:
    server = await make_server(policy=nacre.Policy())
    key = nacre.generate("ssh-ed25519")
    with pytest.raises(nacre.AuthenticationFailed) as caught:
        await client_for(server, keys=[key])
    assert set(caught.value.can_continue) == {"publickey", "password", "keyboard-interactive"}


async def test_unknown_users_look_like_known_ones(make_server: Make) -> None:
    server = await make_server()
    lists = []
    for user in ("alice", "nobody"):
        with pytest.raises(nacre.AuthenticationFailed) as caught:
            await client_for(server, user=user, password="wrong")
        lists.append((caught.value.tried, caught.value.can_continue))
    assert lists[0] == lists[1]


async def test_keyboard_interactive_asks_for_the_password(make_server: Make) -> None:
    class Only(nacre.Users):
        def requirement(self, *about: object) -> nacre.UserRequirement:
            return nacre.UserRequirement((frozenset({"keyboard-interactive"}),))

    server = await make_server(policy=Only({"alice": PASSWORD}))
    async with client_for(server) as ssh:
        assert ssh.methods == ("keyboard-interactive",)
    with pytest.raises(nacre.AuthenticationFailed):
        await client_for(server, password="wrong")


async def test_an_expired_password_is_changed(make_server: Make) -> None:
    changed = []

    class Expired(nacre.Policy):
        def password(self, *about: object) -> nacre.PasswordExpired:
            return nacre.PasswordExpired("too old")

        async def change_password(self, user: str, old: str, new: str, connection: object) -> bool:
            changed.append((user, old, new))
            return True

    class Client(nacre.Identities):
        async def new_password(self, ask: Any) -> Any:
            from nacre.protocol.asks import NewPassword

            return NewPassword(PASSWORD, "newer")

    server = await make_server(policy=Expired())
    async with client_for(server, credentials=Client("alice", "here", password=PASSWORD)):
        assert changed == [("alice", PASSWORD, "newer")]


async def test_a_banner_is_shown(make_server: Make) -> None:
    banners: list[str] = []
    server = await make_server(banner="Beware\n")
    identities = nacre.Identities("alice", "here", password=PASSWORD, banner=banners.append)
    async with client_for(server, credentials=identities):
        assert banners == ["Beware\n"]


async def test_the_policy_is_welcoming_before_it_is_asked(make_server: Make) -> None:
    order = []

    class Slow(nacre.Users):
        async def authenticated(self, *about: object) -> None:
            await asyncio.sleep(0.05)
            order.append("authenticated")

        def session_request(self, session: Session, request: object) -> bool:
            order.append("asked")
            return True

    server = await make_server(policy=Slow({"alice": PASSWORD}))
    async with client_for(server) as ssh:
        await ssh.run("exit 0")
    assert order == ["authenticated", "asked"]


async def test_who_does_not_log_in_in_time_is_sent_away(
    make_server: Make, records: list[dict[str, object]]
) -> None:
    server = await make_server(login_grace=0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    said = await asyncio.wait_for(reader.read(), 30)
    assert b"not logged in within 0.1 seconds" in said
    writer.close()
    await until(lambda: not server.connections)
    assert records[-1]["reason"] == "not logged in within 0.1 seconds"
    async with client_for(server) as ssh:
        await asyncio.sleep(0.2)
        assert (await ssh.run("exit 0")).exit_status == 0


async def test_only_so_many_may_wait_to_log_in(make_server: Make) -> None:
    server = await make_server(max_startups="2")
    waiting = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
    for reader, _ in waiting:
        assert (await reader.readline()).startswith(b"SSH-2.0-")
    with pytest.raises(nacre.NacreError, match="too many connections wait"):
        await client_for(server)
    waiting[0][1].close()
    await until(lambda: len(server.connections) == 1)
    async with client_for(server), client_for(server):
        pass
    waiting[1][1].close()


async def test_a_closed_session_ends_its_streams_and_then_its_handler(
    make_server: Make,
) -> None:
    seen: list[object] = []

    async def handler(session: Session) -> None:
        await session.stdout.write(b"ready")
        try:
            seen.append(await session.stdin.read())
            await session.stdout.write(b"x")
        except nacre.StreamClosed:
            seen.append("closed")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            await asyncio.sleep(0.01)  # Cleaning up is not interrupted a second time.
            seen.append("cleaned")
            raise

    server = await make_server(handler=handler)
    async with client_for(server) as ssh:
        async with ssh.process("x") as process:
            await process.stdout.readexactly(5)
        await until(lambda: "cleaned" in seen)
        assert seen == [b"", "closed", "cancelled", "cleaned"]
        assert not server.connections[0].sessions


async def test_a_lost_connection_is_raised_and_then_cancels(make_server: Make) -> None:
    seen: list[object] = []

    async def handler(session: Session) -> None:
        await session.stdout.write(b"ready")
        try:
            await session.stdin.read()
        except nacre.ConnectionLost:
            seen.append("lost")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            seen.append("cleaned")

    server = await make_server(handler=handler)
    ssh = await client_for(server)
    process = await ssh.process("x")
    await process.stdout.readexactly(5)
    ssh.abort()
    await server.close()
    assert seen == ["lost", "cleaned"]


@pytest.mark.slow
async def test_closing_ends_everything(make_server: Make) -> None:
    server = await make_server()
    ssh = await client_for(server)
    run = asyncio.create_task(ssh.run("hang"))
    await until(lambda: server.connections and server.connections[0].sessions)
    async with asyncio.timeout(30):
        await server.close()
    with pytest.raises(nacre.ConnectionLost):
        await run
    with pytest.raises(nacre.ConnectFailed):
        await client_for(server)
    await ssh.close()


@pytest.mark.slow
async def test_a_graceful_close_lets_sessions_end(make_server: Make) -> None:
    server = await make_server()
    busy, idle = await client_for(server), await client_for(server)
    process = await busy.process("cat")
    await process.stdin.write(b"x")
    await process.stdout.readexactly(1)
    closing = server.close(graceful=3600)
    await idle.wait_closed()
    with pytest.raises(nacre.ChannelOpenFailed, match="stopping"):
        await busy.run("exit 0")
    with pytest.raises(nacre.ConnectFailed):
        await client_for(server)
    await process.stdin.write(b"more")
    process.stdin.write_eof()
    assert await process.stdout.read() == b"more"
    assert await process.wait() == 0
    async with asyncio.timeout(30):
        await closing
        await busy.wait_closed()


async def test_a_graceful_close_ends_at_its_deadline(make_server: Make) -> None:
    server = await make_server()
    async with client_for(server) as ssh:
        run = asyncio.create_task(ssh.run("hang"))
        await until(lambda: server.connections and server.connections[0].sessions)
        async with asyncio.timeout(30):
            await server.close(graceful=0.1)
        with pytest.raises(nacre.ConnectionLost):
            await run


async def test_reload_counts_for_new_connections(
    make_server: Make, host_key: nacre.PrivateKey
) -> None:
    server = await make_server()
    async with client_for(server) as old:
        other = nacre.generate("ecdsa-sha2-nistp256")
        server.reload(host_keys=[other], policy=nacre.Users({"bob": "x"}))
        async with client_for(server, user="bob", password="x") as new:
            assert new.server_host_key == other.public
        await old.rekey()
        assert old.server_host_key == host_key.public
        with pytest.raises(nacre.ConfigurationError):
            server.reload(max_startups="nonsense", policy=nacre.Policy())
        with pytest.raises(nacre.ConfigurationError, match="host key"):
            server.reload(host_keys=[])
        async with client_for(server, user="bob", password="x"):
            pass


async def test_a_listening_socket_may_be_given(make_server: Make) -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    server = await make_server(sock=sock)
    assert server.port == sock.getsockname()[1]
    async with client_for(server) as ssh:
        assert (await ssh.run("exit 2")).exit_status == 2


async def test_mistakes_are_told_at_once(host_key: nacre.PrivateKey) -> None:
    with pytest.raises(nacre.ConfigurationError, match="host key"):
        nacre.listen(host_keys=[], policy=nacre.Policy(), handler=handle)
    with pytest.raises(nacre.ConfigurationError, match="no host key"):
        nacre.listen(
            host_keys=[host_key],
            policy=nacre.Policy(),
            handler=handle,
            algorithms=nacre.algorithms(host_key="rsa-sha2-512"),
        )


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("direct-tcpip", OpenFailure.ADMINISTRATIVELY_PROHIBITED),
        ("x", OpenFailure.UNKNOWN_CHANNEL_TYPE),
    ],
)
async def test_other_channels_are_refused(
    ssh: nacre.Connection, server: nacre.Server, kind: str, code: OpenFailure
) -> None:
    engine: Any = ssh.engine
    mux = engine.connection
    answered = asyncio.get_running_loop().create_future()

    class Channel:
        def accept_refused(self, event: Any) -> None:
            answered.set_result(event)

    number = mux.open_channel(kind, b"\0\0\0\1a\0\0\0\1\0\0\0\1a\0\0\0\1")
    ssh._channels[number] = Channel()  # type: ignore[assignment]
    ssh.driver.touch()
    event = await asyncio.wait_for(answered, 30)
    assert event.code == code
    assert (await ssh.run("exit 0")).exit_status == 0


@pytest.mark.slow
async def test_two_hundred_connections_at_once(make_server: Make) -> None:
    server = await make_server()

    async def work(number: int) -> int | None:
        async with client_for(server, timeout=60) as ssh:
            return (await ssh.run(f"exit {number}")).exit_status

    results = await asyncio.gather(*(work(number) for number in range(200)))
    assert results == list(range(200))


@pytest.mark.parametrize("status", ["text", 1.5, object()])
async def test_a_handler_that_returns_nonsense_has_failed(
    make_server: Make, status: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(session: Session) -> Any:
        return status

    server = await make_server(handler=handler)
    async with client_for(server) as ssh:
        assert (await ssh.run("x")).exit_status == 255
    assert "handler failed" in caplog.text


async def test_a_file_of_sshd_config(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(dump_private(nacre.generate("ssh-ed25519")))
    (tmp_path / "banner").write_text("welcome\n")
    path = tmp_path / "sshd_config"
    path.write_text(
        f"HostKey {tmp_path}/key\nBanner {tmp_path}/banner\nCiphers aes256-ctr\n"
        "VersionAddendum of the house\nMaxAuthTries 2\n"
    )
    records: list[Any] = []
    policy = nacre.Users({"alice": PASSWORD})
    with socket.create_server(("127.0.0.1", 0)) as sock:
        async with (
            nacre.listen(policy=policy, config=path, sock=sock, log=records.append) as server,
            client_for(server) as ssh,
        ):
            assert ssh.peer_version.endswith("of the house")
    (kex,) = [record for record in records if record["event"] == "kex"]
    assert kex["cipher_in"] == "aes256-ctr"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("AllowUsers a\n", "line 1: AllowUsers: the program's policy decides this"),
        ("HostKey /nowhere\n", "HostKey: can't read /nowhere"),
        ("Port 1\nPort 2\n", "the file names several ports"),
    ],
)
def test_a_file_that_a_program_can_not_serve(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(dump_private(nacre.generate("ssh-ed25519")))
    ours = "" if "HostKey" in text else f"HostKey {tmp_path}/key\n"
    (tmp_path / "c").write_text(text + ours)
    with pytest.raises(ConfigurationError, match=message):
        nacre.listen(policy=nacre.Users({}), config=tmp_path / "c")
