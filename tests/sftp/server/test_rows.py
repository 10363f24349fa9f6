"""Which calls go together, and which are quick."""

from __future__ import annotations

import pytest

from nacre.limits import KIB
from nacre.sftp.filesystems.base import File
from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.server import DATA_ROOM, Call
from nacre.sftp.server.rows import are_quick, fills_buffer, in_a_row, together
from nacre.wire.blocks import BLOCK
from sftp.server.requests import call, opened, read, write

FILE, OTHER, PLAIN = opened("/f"), opened("/g"), opened("/h", File())


@pytest.mark.parametrize(
    ("calls", "count"),
    [
        ([read(FILE, 0, 10), read(FILE, 10, 5), read(FILE, 15, 5)], 3),
        ([write(FILE, 0, 10), write(FILE, 10, 5)], 2),
        ([read(FILE, 0, 10), read(FILE, 11, 5)], 1),
        ([read(FILE, 0, 10), write(FILE, 10, 5)], 1),
        ([read(FILE, 0, 10), read(OTHER, 10, 5)], 1),
        ([read(FILE, 0, 10), read(FILE, 10, 0), read(FILE, 10, 5)], 1),
        ([read(FILE, 0, 0), read(FILE, 0, 10)], 1),
        ([read(PLAIN, 0, 10), read(PLAIN, 10, 5)], 1),
        ([write(PLAIN, 0, 10), write(PLAIN, 10, 5)], 2),
        ([call(msg.Stat("/f")), call(msg.Stat("/f"))], 1),
    ],
)
def test_what_follows_one_another_in_a_file_is_a_row(calls: list[Call], count: int) -> None:
    assert in_a_row(calls) == count


def test_a_row_and_its_headers_fit_into_a_block() -> None:
    size = 100 * KIB
    calls = [read(FILE, n * size, size) for n in range(20)]
    count = in_a_row(calls)
    assert count * (size + DATA_ROOM) <= BLOCK < (count + 1) * (size + DATA_ROOM)
    assert in_a_row([read(FILE, 0, 2 * BLOCK)]) == 1, "one is always carried out"


def test_other_calls_go_together_up_to_the_next_read_or_write() -> None:
    calls = [call(msg.Stat("/f")), call(msg.FStat(b""), FILE), read(FILE)]
    assert together(calls) == 2
    assert together(calls[2:]) == 1
    assert together([call(msg.Stat("/f"))] * 100) == 16
    assert together([call(msg.ReadDir(b""), FILE)] * 2) == 1
    # What may take long is alone: the session may end meanwhile.
    slow = call(ext.CheckFileName("/f", "md5", 0, 0, 0))
    assert together([slow, slow]) == 1
    assert together([call(msg.Stat("/f")), slow]) == 1


def test_quick_calls_are_few_and_small() -> None:
    assert are_quick([call(msg.Stat("/f"))] * 16)
    assert not are_quick([call(msg.Stat("/f"))] * 17)
    assert are_quick([read(FILE, 0, 256 * KIB)])
    assert not are_quick([read(FILE, 0, 256 * KIB), read(FILE, 256 * KIB, 1)])
    assert are_quick([write(FILE, 0, 64 * KIB)])
    assert not are_quick([write(FILE, 0, 64 * KIB + 1)])
    for request in (msg.ReadDir(b""), ext.FSync(b""), ext.CopyData(b"", 0, 1, b"", 0)):
        assert not are_quick([call(request, FILE)])


def test_reads_of_files_that_read_into_buffers_need_one() -> None:
    assert fills_buffer(read(FILE))
    assert not fills_buffer(read(PLAIN))
    assert not fills_buffer(write(FILE))
