"""Lanes: which call may run, and which waits for which."""

from __future__ import annotations

import pytest

from nacre.sftp.protocol import extensions as ext
from nacre.sftp.protocol import messages as msg
from nacre.sftp.protocol.server import Call
from nacre.sftp.server.lanes import Lane, Lanes
from sftp.server.requests import call, opened, read, write


def started(lanes: Lanes) -> tuple[Lane, list[Call]]:
    """Start the next row."""
    lane = lanes.take_ready()
    assert lane is not None
    row = lane.next_row()
    lanes.start(lane, row)
    return lane, row


def test_the_calls_of_a_file_run_one_row_after_the_other() -> None:
    lanes, file = Lanes(4), opened("/f")
    calls = [write(file, 0), write(file, 10), call(msg.FStat(b""), file), read(file, 0)]
    for one in calls:
        lanes.put(one)
    rows = []
    for _ in range(3):
        lane, row = started(lanes)
        rows.append(row)
        assert lanes.take_ready() is None, "the next row waits for this one"
        assert lanes.running == 1
        lanes.finish(lane, row)
    assert rows == [calls[:2], calls[2:3], calls[3:]]
    assert lanes.take_ready() is None
    assert lanes.running == 0


def test_different_files_run_side_by_side_up_to_the_bound() -> None:
    lanes = Lanes(2)
    calls = [read(opened(f"/{n}")) for n in range(3)]
    for one in calls:
        lanes.put(one)
    first, second = started(lanes), started(lanes)
    assert [first[1], second[1]] == [calls[:1], calls[1:2]]
    assert lanes.take_ready() is None
    lanes.finish(*first)
    assert started(lanes)[1] == calls[2:]


@pytest.mark.parametrize("path", ["f", "/d/f", "../d/f"])
@pytest.mark.parametrize("name", ["f", "/d/f"])
def test_relative_paths_start_at_the_home(name: str, path: str) -> None:
    lanes, file = Lanes(4, "/d"), opened(name)
    for one in (write(file), call(msg.Stat(path)), call(msg.Stat("/f"))):
        lanes.put(one)
    assert len(started(lanes)[1]) == 1
    lane, row = started(lanes)
    assert lane is lanes.paths
    assert [one.request for one in row] == [msg.Stat("/f")]


@pytest.mark.parametrize("path", ["/d/f", "d/f", "/d/./f", "d/x/../f"])
def test_a_request_for_the_path_of_a_busy_file_does_not_overtake_it(path: str) -> None:
    lanes, file = Lanes(4), opened("/d/f")
    writing, looking, other = write(file), call(msg.Stat(path)), call(msg.Stat("/d/other"))
    for one in (writing, looking, other):
        lanes.put(one)
    lane, row = started(lanes)
    assert row == [writing]
    assert started(lanes) == (lanes.paths, [other])
    assert lanes.take_ready() is None
    lanes.finish(lane, row)
    assert started(lanes)[1] == [looking]


def test_a_file_without_calls_keeps_no_path_waiting() -> None:
    lanes, file = Lanes(4), opened("/f")
    lanes.put(write(file))
    lanes.finish(*started(lanes))
    looking = call(msg.Stat("/f"))
    lanes.put(looking)
    assert started(lanes) == (lanes.paths, [looking])


def test_requests_for_paths_run_together() -> None:
    lanes = Lanes(4)
    calls = [call(msg.Stat(str(n))) for n in range(20)]
    for one in calls:
        lanes.put(one)
    assert started(lanes)[1] == calls[:16]


@pytest.mark.parametrize("kind", ["rename", "copy"])
def test_a_call_that_concerns_several_lanes_runs_alone(kind: str) -> None:
    lanes, file, target = Lanes(4), opened("/f"), opened("/g")
    writing = write(file)
    lanes.put(writing)
    alone = (
        call(msg.Rename("/f", "/new"))
        if kind == "rename"
        else call(ext.CopyData(b"", 0, 0, b"", 0), file, target)
    )
    lanes.put(alone)
    assert lanes.alone is alone
    assert lanes.start_alone() is None, "a call is ready"
    lane, row = started(lanes)
    assert lanes.start_alone() is None, "a call is running"
    lanes.finish(lane, row)
    assert lanes.start_alone() == [alone]
    assert lanes.start_alone() is None, "it runs"
    lanes.finish(lanes.paths, [alone])
    assert lanes.alone is None
    assert lanes.running == 0


def test_nothing_that_waits_runs_after_the_end() -> None:
    lanes, file = Lanes(4), opened("/f")
    for one in (write(file), read(file), call(msg.Stat("/other"))):
        lanes.put(one)
    lane, row = started(lanes)
    lanes.clear()
    lanes.finish(lane, row)
    assert lanes.take_ready() is None
