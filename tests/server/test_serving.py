"""One connection of a server: who answers which question, and what is refused."""

from __future__ import annotations

import asyncio
import inspect
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest

import nacre
from contexts import FakeContext
from nacre.protocol import asks
from nacre.protocol.asks import (
    Ask,
    AskPassword,
    AskPrincipal,
    AskSecurityStep,
    Denied,
    Granted,
    PasswordExpired,
)
from nacre.protocol.tcpip import CANCEL, LISTEN, TCPIPForward
from nacre.server.peer import address_of
from nacre.server.serving import Serving
from parties import PASSWORD, client_for, until

Make = Callable[..., Any]

ASKED_OF_CLIENTS = {
    "AskHostKey",
    "AskAuthentication",
    "AskSignature",
    "AskPrompts",
    "AskNewPassword",
}


class Holding(nacre.Users):
    """Lets its user listen, and notes the questions."""

    def __init__(self) -> None:
        super().__init__({"alice": PASSWORD})
        self.asked: list[tuple[str, int]] = []

    def remote_listen(self, host: str, port: int, connection: nacre.ServerConnection) -> str | None:
        self.asked.append((host, port))
        return "127.0.0.1"


def test_every_question_that_a_server_is_asked_has_a_method() -> None:
    kinds = {
        kind
        for kind in vars(asks).values()
        if inspect.isclass(kind) and issubclass(kind, Ask) and kind is not Ask
    }
    assert {kind.__name__ for kind in kinds - set(Serving.handlers)} == ASKED_OF_CLIENTS


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (True, Granted()),
        (PasswordExpired("old"), PasswordExpired("old")),
        (False, Denied("the policy refuses")),
        (None, Denied("the policy refuses")),
        (1, Denied("the policy refuses")),
        (nacre.Challenge("", "", ()), Denied("the policy refuses")),
    ],
)
async def test_an_answer_that_the_question_does_not_take_denies(
    make_server: Make, answer: object, expected: object
) -> None:
    class Fixed(nacre.Policy):
        def password(self, *about: object) -> Any:
            return answer

    server = await make_server(policy=Fixed())
    ours, theirs = socket.socketpair()
    connection = await server.attach(ours)
    answers: dict[int, object] = {}
    connection.answer = answers.__setitem__
    ask = AskPassword(user="a", password="b", new_password=None)
    ask.ask_id = 9
    connection.handle([ask])
    assert answers == {9: expected}
    del connection.answer
    theirs.close()


async def test_a_new_password_is_a_question_of_its_own(make_server: Make) -> None:
    changed: list[tuple[str, str, str]] = []

    class Changing(nacre.Policy):
        def change_password(self, user: str, old: str, new: str, connection: object) -> bool:
            changed.append((user, old, new))
            return True

    server = await make_server(policy=Changing())
    ours, theirs = socket.socketpair()
    connection = await server.attach(ours)
    answers: dict[int, object] = {}
    connection.answer = answers.__setitem__
    ask = AskPassword(user="a", password="old", new_password="new")
    ask.ask_id = 9
    connection.handle([ask])
    assert (answers, changed) == ({9: Granted()}, [("a", "old", "new")])
    del connection.answer
    theirs.close()


async def test_a_unix_socket_has_no_address_and_is_served(
    make_server: Make, records: list[dict[str, object]]
) -> None:
    server = await make_server()
    ours, theirs = socket.socketpair()
    connection = await server.attach(ours)
    assert connection.peer == ("", 0)
    assert records[0] == {"event": "accepted", "connection": 1, "peer": ":0", "local": ":0"}
    theirs.close()
    await until(lambda: not server.connections)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (("::1", 22, 0, 0), ("::1", 22)),
        (("127.0.0.1", 22), ("127.0.0.1", 22)),
        ("/run/ssh", ("/run/ssh", 0)),
        (b"", ("", 0)),
        (None, ("", 0)),
    ],
)
def test_addresses_of_every_family(name: object, expected: tuple[str, int]) -> None:
    assert address_of(name) == expected


async def test_a_server_that_is_stopping_gives_that_reason(
    make_server: Make, records: list[dict[str, object]]
) -> None:
    server = await make_server()
    async with client_for(server) as ssh:
        async with ssh.process("cat") as process:
            closing = server.close(graceful=10)
            ours, theirs = socket.socketpair()
            theirs.setblocking(False)
            await server.attach(ours)
            received = b""
            async with asyncio.timeout(30):
                loop = asyncio.get_running_loop()
                while data := await loop.sock_recv(theirs, 4096):
                    received += data
            theirs.close()
            assert b"the server is stopping; try again later" in received
            process.stdin.write_eof()
            assert await process.wait() == 0
        async with asyncio.timeout(30):
            await closing
    assert "the server is stopping" in [record.get("reason") for record in records]


async def test_the_last_session_closes_a_connection_of_a_server_that_is_stopping(
    make_server: Make,
) -> None:
    server = await make_server()
    async with client_for(server) as ssh:
        async with ssh.process("cat") as first, ssh.process("cat") as second:
            await until(lambda: len(server.connections[0].sessions) == 2)
            closing = server.close(graceful=10)
            first.stdin.write_eof()
            assert await first.wait() == 0
            await until(lambda: len(server.connections[0].sessions) == 1)
            assert not ssh.closed
            second.stdin.write_eof()
            assert await second.wait() == 0
        async with asyncio.timeout(30):
            await closing
            await ssh.wait_closed()


async def test_the_server_offers_no_ports_to_a_request_without_a_reply(make_server: Make) -> None:
    """Its client could not learn which port it has; a cancel has an effect all the same."""
    policy = Holding()
    server = await make_server(policy=policy)
    async with client_for(server) as ssh:
        unused = await ssh.request(LISTEN, TCPIPForward("", 0).encode())
        assert unused is not None
        port = int.from_bytes(unused, "big")
        for name, data in ((LISTEN, ("b", 0)), (CANCEL, ("", port))):
            mux = ssh.driver.touch().connection
            mux.send_global_request(name, TCPIPForward(*data).encode(), want_reply=False)
        assert await ssh.request(CANCEL, TCPIPForward("", port).encode()) is None
        assert policy.asked == [("", 0)]


async def test_a_failed_requirement_denies_every_method_that_follows(
    make_server: Make, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(nacre.Users):
        def requirement(self, *about: object) -> Any:
            return "publickey"

    server = await make_server(policy=Broken({"alice": PASSWORD}))
    with pytest.raises(nacre.AuthenticationFailed) as caught:
        await client_for(server)
    assert set(caught.value.can_continue) == {"publickey", "password", "keyboard-interactive"}


async def test_a_users_banner_and_variables_replace_the_servers(make_server: Make) -> None:
    class Own(nacre.Users):
        def __init__(self) -> None:
            super().__init__({"alice": PASSWORD, "bob": PASSWORD})

        def requirement(self, user: str, connection: object) -> nacre.UserRequirement:
            found = super().requirement(user, connection)  # type: ignore[arg-type]
            return nacre.UserRequirement(found.requirement, None if user == "alice" else "")

        def authenticated(
            self, user: str, methods: tuple[str, ...], connection: nacre.ServerConnection
        ) -> None:
            if user == "bob":
                connection.accept_env = ("B",)

    async def handler(session: nacre.Session) -> None:
        await session.stdout.write(",".join(session.environment).encode())

    server = await make_server(policy=Own(), handler=handler, banner="hello\n", accept_env=["A"])
    for user, banner, variables in (("alice", ["hello\n"], "A"), ("bob", [], "B")):
        shown: list[str] = []
        identities = nacre.Identities(user, "here", password=PASSWORD, banner=shown.append)
        async with client_for(server, user=user, credentials=identities) as ssh:
            done = await ssh.run("x", env={"A": "1", "B": "2"})
            assert (shown, done.stdout) == (banner, variables)


class Kerberos(nacre.Policy):
    """Lets one principal in."""

    def requirement(self, user: str, connection: nacre.ServerConnection) -> nacre.UserRequirement:
        return nacre.UserRequirement((frozenset({"gssapi-with-mic"}),))

    def gssapi(self, user: str, context: Any, connection: nacre.ServerConnection) -> bool:
        return bool(context.principal == f"{user}@EXAMPLE.ORG")


@pytest.mark.parametrize(
    ("policy", "user", "expected"),
    [
        (Kerberos(), "alice", Granted()),
        (Kerberos(), "bob", Denied("the policy refuses")),
        (nacre.Policy(), "alice", Denied("the policy refuses")),
    ],
)
async def test_the_policy_judges_the_principal(
    make_server: Make, policy: nacre.Policy, user: str, expected: object
) -> None:
    server = await make_server(policy=policy)
    ours, theirs = socket.socketpair()
    connection = await server.attach(ours)
    answers: dict[int, object] = {}
    connection.answer = answers.__setitem__
    ask = AskPrincipal(user=user, context=FakeContext())
    ask.ask_id = 9
    connection.handle([ask])
    assert answers == {9: expected}
    del connection.answer
    theirs.close()


async def test_a_step_runs_elsewhere_and_its_failure_is_an_answer(
    make_server: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gssapi", None)
    server = await make_server(policy=Kerberos())
    ours, theirs = socket.socketpair()
    connection = await server.attach(ours)
    answers: dict[int, object] = {}
    connection.answer = answers.__setitem__
    ask = AskSecurityStep(context=None, token=b"garbage")
    ask.ask_id = 9
    connection.handle([ask])
    await until(lambda: bool(answers))
    assert isinstance(answers[9], Denied)
    del connection.answer
    theirs.close()
