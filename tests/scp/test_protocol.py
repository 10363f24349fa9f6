"""Legacy scp, both roles, and ends that lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.errors import (
    LocalProtocolError,
    MalformedMessage,
    PacketTooLarge,
    RemoteProtocolError,
)
from nacre.limits import SFTPLimits
from nacre.scp.protocol import (
    Aborted,
    Accepted,
    DirectoryEnd,
    DirectoryStart,
    FileEnd,
    FileStart,
    ScpSink,
    ScpSource,
    Times,
    Warned,
)


class Target:
    """Takes all that a sink lets through into a dict."""

    def __init__(self, sink: ScpSink) -> None:
        self.sink = sink
        self.files: dict[tuple[str, ...], bytes] = {}
        self.events: list[object] = []
        self.refused: set[str] = set()
        self._path: tuple[str, ...] = ()

    def feed(self, data: bytes) -> None:
        self.sink.receive(data)
        while (event := self.sink.next_event()) is not None:
            if isinstance(event, memoryview):
                self.files[self._path] += bytes(event)
                continue
            self.events.append(event)
            if isinstance(event, FileStart | DirectoryStart) and event.path[-1] in self.refused:
                self.sink.refuse("not here")
                continue
            if isinstance(event, FileStart):
                self._path = event.path
                self.files[event.path] = b""
            if isinstance(event, FileStart | FileEnd | DirectoryStart):
                self.sink.accept()


def sink(requested: Sequence[str] | None = None, **options: Any) -> Target:
    return Target(ScpSink(requested=requested, **options))


def test_a_file() -> None:
    target = sink(["dir/hello"])
    target.feed(b"C0644 5 hello\nworld\0")
    assert target.files == {("hello",): b"world"}
    assert target.events == [FileStart(("hello",), 0o644, 5, None), FileEnd(None)]
    assert target.sink.data_to_send() == b"\0\0\0"
    target.sink.receive_eof()


def test_a_tree_with_times() -> None:
    target = sink(["d"], recursive=True, preserve=True)
    target.feed(
        b"T5 0 6 0\nD4755 0 d\nC0600 0 empty\n\0T7 1 8 999999\nC0600 1 f\nx\0D0700 0 e\nE\nE\n"
    )
    assert target.files == {("d", "empty"): b"", ("d", "f"): b"x"}
    assert target.events == [
        DirectoryStart(("d",), 0o4755, Times(5, 6)),
        FileStart(("d", "empty"), 0o600, 0, None),
        FileEnd(None),
        FileStart(("d", "f"), 0o600, 1, Times(7, 8)),
        FileEnd(None),
        DirectoryStart(("d", "e"), 0o700, None),
        DirectoryEnd(("d", "e")),
        DirectoryEnd(("d",)),
    ]
    target.sink.receive_eof()


def test_without_preserve_no_special_bits_and_no_times() -> None:
    target = sink()
    target.feed(b"T5 0 6 0\nC4755 0 f\n\0")
    assert target.events[0] == FileStart(("f",), 0o755, 0, None)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=40))
def test_any_split_gives_the_same(sizes: list[int]) -> None:
    stream = b"T5 0 6 0\nD0755 0 d\n\x01scp: oops\nC0600 30 f\n" + b"0123456789" * 3 + b"\0E\n"
    target = sink(["d"], recursive=True)
    at = i = 0
    while at < len(stream):
        target.feed(stream[at : at + sizes[i % len(sizes)]])
        at += sizes[i % len(sizes)]
        i += 1
    assert target.files == {("d", "f"): b"0123456789" * 3}
    assert Warned("scp: oops") in target.events
    assert target.sink.data_to_send() == b"\0" * 6
    target.sink.receive_eof()


HOSTILE_RECORDS = [
    b"C0644 5 ../x\n",
    b"C0644 5 ..\n",
    b"C0644 5 .\n",
    b"C0644 5 \n",
    b"C0644 5 /etc/passwd\n",
    b"C0644 5 a/b\n",
    b"C0644 5 wanted/\n",
    b"C0644 5 a\0b\n",
    b"C0644 5 other\n",
    b"C0644 5 Wanted\n",
    b"C0644 5 wanted2\n",
    b"C0644 5 .ssh\n",
    b"C0644 -5 wanted\n",
    b"C0644 9223372036854775808 wanted\n",
    b"C0644 99999999999999999999999 wanted\n",
    b"C0644 0x5 wanted\n",
    b"C0644 5\n",
    b"C0849 5 wanted\n",
    b"C644 5 wanted\n",
    b"C00644 5 wanted\n",
    b"C-644 5 wanted\n",
    b"C0644  5 wanted\n",
    b"c0644 5 wanted\n",
    b"D0755 0 wanted\n",
    b"E\n",
    b"Ex\n",
    b"T5 0 6 0\nT5 0 6 0\n",
    b"T5 0 6 0\nE\n",
    b"T5 0 6\n",
    b"T-5 0 6 0\n",
    b"T5 1000000 6 0 x\n",
    b"T9999999999999999999 0 6 0\n",
    b"C0644 1 wanted\nxy",
    b"\x03\n",
    b"\n",
    b"Last login: today\n",
    b"\xff\xfe\n",
    b"C0644 5 " + b"x" * 9000,
    b"x" * 9000,
]


@pytest.mark.parametrize("stream", HOSTILE_RECORDS)
def test_hostile_sources_get_nothing_in(stream: bytes) -> None:
    target = sink(["/somewhere/wanted"])
    target.sink.data_to_send()
    with pytest.raises(RemoteProtocolError):
        target.feed(stream)
    assert set(target.files) <= {("wanted",)}
    assert not target.sink.wants_input
    assert target.sink.data_to_send()[-1:] == b"\n"
    assert target.sink.next_event() is None


@pytest.mark.parametrize(
    ("requested", "yes", "no"),
    [
        (["dir/*.c"], ["a.c", ".c"], ["a.h", "c", "a.c.exe"]),
        (["a{b,c}", "x"], ["ab", "ac", "x"], ["a", "b", "xx", "a{b,c}y"]),
        (["file"], ["file"], ["File", "file "]),
        (["[!a]"], ["b"], ["a"]),
        (["a\\*"], ["a*"], ["ab"]),
        (["dir/"], ["dir"], ["x"]),
        ([""], [], ["x"]),
        (["~"], ["~"], ["x"]),
    ],
)
def test_only_what_was_asked_for(requested: list[str], yes: list[str], no: list[str]) -> None:
    for name in yes:
        target = sink(requested)
        target.feed(f"C0644 0 {name}\n\0".encode())
        assert list(target.files) == [(name,)]
    for name in no:
        target = sink(requested)
        with pytest.raises(RemoteProtocolError, match="not asked for"):
            target.feed(f"C0644 0 {name}\n\0".encode())
        assert not target.files


def test_inside_a_directory_names_are_the_sources_but_still_names() -> None:
    target = sink(["d"], recursive=True)
    target.feed(b"D0755 0 d\nC0644 0 anything\n\0")
    assert list(target.files) == [("d", "anything")]
    with pytest.raises(RemoteProtocolError, match="not one component"):
        target.feed(b"D0755 0 ..\n")


def test_directories_inside_each_other_are_bounded() -> None:
    target = Target(ScpSink(requested=None, recursive=True, limits=SFTPLimits(scp_depth=3)))
    with pytest.raises(RemoteProtocolError, match="deep"):
        target.feed(b"D0755 0 d\n" * 4)


def test_refused_files_and_directories_are_left_out() -> None:
    target = sink(None, recursive=True)
    target.refused = {"no"}
    target.feed(b"C0644 5 no\nC0644 1 yes\nx\0D0755 0 no\n")
    assert target.files == {("yes",): b"x"}
    assert target.sink.data_to_send() == b"\0\x01scp: not here\n\0\0\x01scp: not here\n"
    target.sink.receive_eof()


def test_a_source_that_could_not_read() -> None:
    target = sink()
    target.feed(b"C0644 2 f\n\0\0\x01scp: f: Input/output error\n")
    assert target.events[-1] == FileEnd("scp: f: Input/output error")


def test_a_source_that_gives_up() -> None:
    target = sink()
    target.feed(b"\x02scp: gone \x1b[2J\nC0644 2 f\n")
    assert target.events == [Aborted("scp: gone \\x1b[2J")]
    target.sink.receive_eof()


@pytest.mark.parametrize(
    "stream", [b"C", b"T5 0 6 0\n", b"C0644 5 f\n", b"C0644 5 f\nabc", b"D0755 0 d\n"]
)
def test_a_source_that_breaks_off(stream: bytes) -> None:
    target = sink(None, recursive=True)
    target.feed(stream)
    with pytest.raises(RemoteProtocolError, match="broke off"):
        target.sink.receive_eof()


def test_a_sink_that_gives_up() -> None:
    end = ScpSink(requested=None)
    end.fail("disk full")
    assert end.data_to_send() == b"\0\x02scp: disk full\n"
    with pytest.raises(LocalProtocolError):
        end.receive(b"x")


def test_too_many_names_asked_for() -> None:
    with pytest.raises(ValueError, match="too many"):
        ScpSink(requested=["{a,b}" * 30])


@given(st.binary(max_size=100), st.integers(1, 9))
def test_any_bytes_are_events_or_protocol_errors(data: bytes, portion: int) -> None:
    target = sink(["a*"], recursive=True)
    try:
        for at in range(0, len(data), portion):
            if target.sink.wants_input:
                target.feed(data[at : at + portion])
    except RemoteProtocolError:
        assert not target.sink.wants_input
    assert all(path[0].startswith("a") for path in target.files)


# The source.


def started() -> ScpSource:
    source = ScpSource()
    assert not source.ready
    assert source.receive(b"\0") == []
    assert source.ready
    return source


def sent(source: ScpSource) -> bytes:
    return b"".join(source.data_to_send())


def test_a_file_is_sent() -> None:
    source = started()
    source.send_file("/some/dir/hello", 0o100644, 5)
    assert sent(source) == b"C0644 5 hello\n"
    with pytest.raises(LocalProtocolError):
        source.send_data(b"early")
    assert source.receive(b"\0") == [Accepted()]
    data = b"wor"
    source.send_data(data)
    assert source.data_to_send()[0] is data
    assert source.remaining == 2
    with pytest.raises(LocalProtocolError, match="2 bytes"):
        source.finish_file()
    with pytest.raises(LocalProtocolError, match="announced"):
        source.send_data(b"ldx")
    source.send_data(b"ld")
    source.finish_file()
    assert sent(source) == b"ld\0"
    assert not source.ready
    assert source.receive(b"\0") == [Accepted()]
    source.receive_eof()


@pytest.mark.parametrize("size", [0, 5])
def test_the_end_of_a_file_may_be_accepted_ahead_once(size: int) -> None:
    source = started()
    source.send_file("f", 0o644, size)
    accepted_at_once = b"\0" if size else b"\0\0"
    assert source.receive(accepted_at_once) == [Accepted()]
    if size:
        source.send_data(b"world")
        assert source.receive(b"\0") == []
    with pytest.raises(RemoteProtocolError, match="without having been asked"):
        source.receive(b"\0")


def test_a_file_that_was_accepted_ahead_is_over() -> None:
    source = started()
    source.send_file("empty", 0o644, 0)
    assert source.receive(b"\0\0") == [Accepted()]
    assert source.finish_file() == Accepted()
    assert sent(source) == b"C0644 0 empty\n\0"
    assert source.ready


def test_no_file_is_accepted_before_it_was_sent() -> None:
    source = started()
    source.send_file("f", 0o644, 5)
    with pytest.raises(RemoteProtocolError, match="without having been asked"):
        source.receive(b"\0\0")


def test_a_tree_is_sent() -> None:
    source = started()
    source.send_directory("d/", 0o755, Times(5, -6))
    assert sent(source) == b"T5 0 0 0\n"
    assert source.receive(b"\0") == []
    assert sent(source) == b"D0755 0 d\n"
    assert source.receive(b"\0") == [Accepted()]
    source.send_warning("a\nb: no")
    source.send_file("e", 0o644, 0)
    assert sent(source) == b"\x01scp: a\\nb: no\nC0644 0 e\n".replace(b"\\n", b"\\x0a")
    assert source.receive(b"\0") == [Accepted()]
    source.finish_file("could not read")
    assert sent(source) == b"\x01scp: could not read\n"
    assert source.receive(b"\0") == [Accepted()]
    source.leave_directory()
    assert sent(source) == b"E\n"
    assert source.receive(b"\0") == [Accepted()]
    with pytest.raises(LocalProtocolError, match="not in a directory"):
        source.leave_directory()
    with pytest.raises(LocalProtocolError, match="does not end in a name"):
        source.send_file("..", 0o644, 0)


def test_a_line_end_in_a_name_is_escaped() -> None:
    source = started()
    source.send_file("a\nb\\c", 0o644, 0)
    assert sent(source) == b"C0644 0 a\\^Jb\\\\c\n"


def test_refusals_and_ends() -> None:
    source = started()
    source.send_file("f", 0o644, 3, Times(1, 2))
    assert source.receive(b"\x01scp: no ti") == []
    assert source.receive(b"mes\n") == [Warned("scp: no times")]
    assert source.ready
    source.send_file("f", 0o644, 3)
    assert source.receive(b"\x01scp: no\n") == [Warned("scp: no")]
    assert source.remaining == 0
    with pytest.raises(LocalProtocolError):
        source.send_data(b"abc")
    source.send_file("f", 0o644, 3)
    assert source.receive(b"\x02scp: \x07full\n\0\0") == [Aborted("scp: \\x07full")]
    assert not source.ready
    with pytest.raises(LocalProtocolError):
        source.receive(b"\0")


def test_no_scp_on_the_other_side() -> None:
    assert ScpSource().receive(b"sh: scp: not found\n") == [Aborted("sh: scp: not found")]


@pytest.mark.parametrize(
    ("data", "error"),
    [(b"\0\0", RemoteProtocolError), (b"\x01" + b"x" * 9000, PacketTooLarge)],
)
def test_sinks_that_break_the_rules(data: bytes, error: type[Exception]) -> None:
    source = ScpSource()
    with pytest.raises(error):
        source.receive(data)
    with pytest.raises(LocalProtocolError):
        source.receive(b"\0")


def test_a_sink_that_breaks_off() -> None:
    with pytest.raises(RemoteProtocolError, match="broke off"):
        ScpSource().receive_eof()


@given(st.binary(max_size=60), st.integers(1, 9))
def test_any_answers_are_events_or_protocol_errors(data: bytes, portion: int) -> None:
    source = ScpSource()
    try:
        for at in range(0, len(data), portion):
            source.receive(data[at : at + portion])
            if source.ready:
                source.send_file("f", 0o644, 0)
            elif source.remaining == 0 and source._sending is not None:
                source.finish_file()
    except (RemoteProtocolError, MalformedMessage, LocalProtocolError):
        pass


def test_both_ends_back_to_back() -> None:
    source, target = ScpSource(), sink(["d"], recursive=True, preserve=True)

    def run() -> list[object]:
        events: list[object] = []
        while True:
            answers = target.sink.data_to_send()
            events += source.receive(answers) if answers else []
            records = sent(source)
            if not records:
                return events
            target.feed(records)

    run()
    source.send_directory("d", 0o755, Times(1, 2))
    assert run() == [Accepted()]
    content = bytes(range(256)) * 1000
    source.send_file("f", 0o640, len(content), Times(3, 4))
    assert run() == [Accepted()]
    for at in range(0, len(content), 1000):
        source.send_data(content[at : at + 1000])
    source.finish_file()
    assert run() == [Accepted()]
    source.leave_directory()
    assert run() == [Accepted()]
    assert target.files == {("d", "f"): content}
    assert FileStart(("d", "f"), 0o640, len(content), Times(3, 4)) in target.events
    target.sink.receive_eof()
    source.receive_eof()
