"""What is signed with host keys that another program holds."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import pytest

from nacre.errors import UnusableKey
from nacre.keys import PublicKey, generate
from nacre.protocol.asks import Answer, Ask, AskGlobalRequest, AskHostSignature, Denied, Signature
from nacre.server import hostkeys
from nacre.server.hostkeys import HostKeys, announce, prove, sign_exchange
from nacre.server.peer import NO_TERMS, ServerConnection
from nacre.value import replace

AskT = TypeVar("AskT", bound=Ask)

KEY = generate("ssh-ed25519")


class Asking:
    """What a connection is here: it notes answers and records."""

    def __init__(self, sign: Any, protocol: str = "2.0") -> None:
        self.terms = replace(NO_TERMS, sign_host=sign)
        self.protocol = protocol
        self.answers: list[Answer] = []
        self.records: list[str] = []
        self.announced: list[bytes] = []
        self.algorithms = SimpleNamespace(host_key="ssh-ed25519")
        self.session_id = b"session"
        self.driver = SimpleNamespace(touch=lambda: SimpleNamespace(connection=self))
        self.tasks: list[asyncio.Task[None]] = []

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(work))

    def answer(self, ask_id: int, answer: Answer) -> None:
        self.answers.append(answer)

    def record(self, event: str, **fields: object) -> None:
        self.records.append(str(fields["error"]))

    def send_global_request(self, name: str, data: bytes, *, want_reply: bool) -> None:
        self.announced.append(data)


def connection(sign: Any, protocol: str = "2.0") -> tuple[Asking, ServerConnection]:
    made = Asking(sign, protocol)
    return made, cast(ServerConnection, made)


def asked(ask: AskT) -> AskT:
    ask.ask_id = 1
    return ask


def exchange() -> AskHostSignature:
    return asked(AskHostSignature(key=KEY.public, data=b"hash", algorithm="ssh-ed25519"))


async def signed(key: PublicKey, data: bytes, algorithm: str) -> bytes:
    return KEY.sign(data, algorithm)


async def refuses(key: PublicKey, data: bytes, algorithm: str) -> bytes:
    raise UnusableKey("no such key")


async def hangs(key: PublicKey, data: bytes, algorithm: str) -> bytes:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize(
    ("sign", "reason"),
    [(None, "no program holds"), (refuses, "no such key"), (hangs, "no answer within")],
    ids=["none", "refuses", "hangs"],
)
async def test_an_exchange_that_nobody_signs_is_denied(
    sign: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hostkeys, "_SIGNING", 0.01)
    asking, made = connection(sign)
    sign_exchange(made, exchange())
    await asyncio.gather(*asking.tasks)
    assert asking.answers == [Denied()]
    assert reason in asking.records[0]


async def test_an_exchange_is_signed() -> None:
    asking, made = connection(signed)
    sign_exchange(made, exchange())
    await asyncio.gather(*asking.tasks)
    assert asking.answers == [Signature(KEY.sign(b"hash", "ssh-ed25519"))]


@pytest.mark.parametrize(("protocol", "times"), [("2.0", 1), ("1.5", 0)])
def test_clients_of_ssh_2_are_told_the_keys(protocol: str, times: int) -> None:
    asking, made = connection(None, protocol)
    announce(made, HostKeys([KEY]))
    assert len(asking.announced) == times


async def test_what_is_no_key_of_the_server_is_not_proved() -> None:
    asking, made = connection(None)
    ask = asked(AskGlobalRequest(name="hostkeys-prove-00@openssh.com", data=b"\0\0\0\1x"))
    await prove(made, HostKeys([KEY]), ask)
    assert asking.answers == [Denied()]
    assert asking.records == []
