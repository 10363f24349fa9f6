"""Answers: what leaves together, and when the memory of large ones is used again."""

from __future__ import annotations

import logging

import pytest

from nacre.errors import SFTPError
from nacre.limits import KIB
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.attributes import Attributes
from nacre.sftp.protocol.server import DATA_ROOM, Call
from nacre.sftp.server.answers import BUFFERS, Answers
from nacre.wire.blocks import BLOCK, SHARED_BLOCKS, Block
from sftp.server.requests import BackToBack, opened

LARGE = 200 * KIB


@pytest.fixture
def spare(monkeypatch: pytest.MonkeyPatch) -> list[Block]:
    blocks: list[Block] = []
    monkeypatch.setattr(SHARED_BLOCKS, "_spare", blocks)
    return blocks


class Given(BackToBack):
    """A session whose answers a test gives."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = Answers(self.server)
        self.handle = self.open(opened("/f"))

    def read(self, *lengths: int) -> tuple[list[Call], bytearray]:
        """Ask for bytes and fill a buffer with them: each READ's are its number in the row."""
        calls = self.reads(self.handle, *lengths)
        buffer = self.answers.take_buffer(calls)
        assert buffer is not None
        at = 0
        for number, length in enumerate(lengths):
            at += DATA_ROOM
            buffer[at : at + length] = bytes([number]) * length
            at += length
        return calls, buffer

    def leave(self) -> list[object]:
        """Let the line take all; return the client's results."""
        self.answers.collect()
        results: list[object] = []
        while self.answers.queue:
            for _, result in self.client.receive(bytes(self.answers.queue[0])):
                results.append(b"".join(result) if isinstance(result, list) else result)
            self.answers.sent()
        return results


def test_a_row_of_large_reads_leaves_in_its_block(spare: list[Block]) -> None:
    given = Given()
    calls, block = given.read(LARGE, LARGE)
    given.answers.give(calls, block, 2 * LARGE, None)
    given.answers.collect()
    (piece,) = given.answers.queue
    assert isinstance(piece, memoryview)
    assert piece.obj is block
    del piece
    assert (given.answers.lent, spare) == (1, [])
    assert given.leave() == [bytes(LARGE), b"\1" * LARGE]
    assert given.answers.lent == 0
    assert spare[0] is block


def test_the_end_of_the_file_is_answered_behind_the_data(spare: list[Block]) -> None:
    given = Given()
    calls, block = given.read(LARGE, LARGE, LARGE)
    given.answers.give(calls, block, LARGE + 7, None)
    assert given.leave() == [bytes(LARGE), b"\1" * 7, None]
    calls, block = given.read(LARGE)
    given.answers.give(calls, block, 0, None)
    assert given.leave() == [None]
    assert given.answers.lent == 0
    assert len(spare) == 1


def test_what_is_left_of_a_large_read_is_copied_to_its_neighbours(spare: list[Block]) -> None:
    given = Given()
    calls, block = given.read(LARGE)
    given.answers.give(calls, block, 100, None)
    looking = given.ask(msg.Stat("/f"))
    given.answers.give_one(looking, Attributes(size=1), None)
    given.answers.collect()
    assert len(given.answers.queue) == 1
    assert given.answers.lent == 0
    assert spare[0] is block
    assert given.leave() == [bytes(100), Attributes(size=1)]


def test_no_more_blocks_than_the_bound_are_lent(spare: list[Block]) -> None:
    given = Given()
    rows = [given.read(LARGE) for _ in range(BUFFERS)]
    waiting = given.reads(given.handle, LARGE)
    assert given.answers.take_buffer(waiting) is None
    small = given.reads(given.handle, 10)
    assert type(given.answers.take_buffer(small)) is bytearray, "that is no block"
    given.answers.give(*rows[0], LARGE, None)
    given.leave()
    assert given.answers.take_buffer(waiting) is rows[0][1]


def test_a_row_that_failed_gives_its_block_back(spare: list[Block]) -> None:
    given = Given()
    calls, block = given.read(LARGE, LARGE)
    given.answers.give(calls, block, None, OSError(28, "No space left on device"))
    results = given.leave()
    assert [type(result) for result in results] == [SFTPError] * 2
    assert given.answers.lent == 0
    assert spare[0] is block


def test_memory_of_a_filesystem_does_not_enter_the_pool(spare: list[Block]) -> None:
    given = Given()
    (reading,) = given.reads(given.handle, LARGE)
    own = bytearray(BLOCK)
    given.answers.give_one(reading, memoryview(own)[:LARGE], None)
    assert given.leave() == [bytes(LARGE)]
    assert (spare, given.answers.lent) == ([], 0)


def test_the_answers_that_wait_are_counted_until_all_are_sent() -> None:
    given = Given()
    for _ in range(5):
        given.answers.give_one(given.ask(msg.Stat("/f")), Attributes(size=1), None)
    given.answers.give([given.ask(msg.Remove("/f")) for _ in range(2)], None, None, None)
    assert given.answers.unsent == 7
    assert given.leave() == [Attributes(size=1)] * 5 + [None] * 2
    assert given.answers.unsent == 0


def test_a_bug_of_a_filesystem_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    given = Given()
    looking = given.ask(msg.Stat("/f"))
    with caplog.at_level(logging.ERROR):
        given.answers.give([looking], None, None, KeyError("secret path"))
    (result,) = given.leave()
    assert isinstance(result, SFTPError)
    assert "secret" not in str(result)
    assert "secret path" in caplog.text
