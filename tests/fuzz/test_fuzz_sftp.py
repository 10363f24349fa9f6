"""Packets of SFTP, of each version, that are changed on their way, to a server and to a client."""

from __future__ import annotations

import contextlib
import random

import pytest

from fuzz.exchanges import VERSIONS, ask, sftp_answers, sftp_client, sftp_requests
from fuzz.mutate import BUDGET, mutated, portions, seeds
from nacre.errors import LocalProtocolError, RemoteProtocolError
from nacre.limits import KIB, MIB
from nacre.sftp.filesystems.memory import MemoryFilesystem
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.server import Call, SFTPServerProtocol
from nacre.sftp.server.agreed import Agreed
from nacre.sftp.server.calls import answer, outcome_of
from nacre.sftp.server.opened import OpenedDirectory, OpenedFile

pytestmark = pytest.mark.timeout(120 + 8 * BUDGET)


class Served:
    """A server over files in memory, whose answers are counted."""

    def __init__(self) -> None:
        self.files = MemoryFilesystem(size=MIB)
        self.agreed = Agreed(self.files)
        self.server = SFTPServerProtocol(agreed=self.agreed.on)
        self.answered = 0

    async def take(self, data: bytes) -> None:
        self.server.receive(data)
        while (call := self.server.next_call()) is not None:
            await self.carry_out(call)
        self.answered += sum(map(len, self.server.data_to_send()))

    async def carry_out(self, call: Call) -> None:
        value, problem = await outcome_of(self.files, call, self.agreed.operations)
        assert problem is None or problem.__cause__ is None, problem.__cause__
        if isinstance(value, (OpenedFile, OpenedDirectory)) and isinstance(call.request, msg.Read):
            raise AssertionError("a READ opens nothing")
        answer(self.server, call, value, problem)


@pytest.mark.parametrize("number", VERSIONS)
async def test_requests(number: int) -> None:
    whole = sftp_requests(number)
    for seed in seeds():
        draw = random.Random(seed)
        served = Served()
        with contextlib.suppress(RemoteProtocolError, LocalProtocolError):
            for portion in portions(mutated(whole, draw), draw):
                await served.take(portion)
        assert served.answered < 512 * KIB


@pytest.mark.parametrize("number", VERSIONS)
def test_answers(number: int) -> None:
    whole = sftp_answers(number)
    for seed in seeds():
        draw = random.Random(seed)
        client = sftp_client(number)
        client.data_to_send()
        asked = False
        with contextlib.suppress(RemoteProtocolError, LocalProtocolError):
            for portion in portions(mutated(whole, draw), draw):
                if client.ready and not asked:
                    asked = True
                    ask(client)
                    client.data_to_send()
                client.receive(portion)
