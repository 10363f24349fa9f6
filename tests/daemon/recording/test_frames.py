"""Frames between a session and the recorder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.daemon.recording.frames import (
    LONGEST,
    FrameKind,
    FrameReader,
    frame,
    packed_json,
    unpacked_json,
)
from nacre.errors import MalformedMessage

FRAMES = st.lists(st.tuples(st.sampled_from(FrameKind), st.binary(max_size=40)))


@given(FRAMES, st.integers(1, 30))
def test_frames_arrive_whole_however_they_are_cut(
    frames: list[tuple[FrameKind, bytes]], size: int
) -> None:
    data = b"".join(frame(kind, payload) for kind, payload in frames)
    reader = FrameReader(FrameKind)
    found = []
    for start in range(0, len(data), size):
        found += reader.feed(data[start : start + size])
    assert found == frames


@pytest.mark.parametrize(
    "data", [(LONGEST + 1).to_bytes(4) + b"\x02", bytes(4) + b"\x00", bytes(4) + b"\xff"]
)
def test_a_frame_that_is_too_long_or_of_no_kind_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        FrameReader(FrameKind).feed(data)


def test_json_is_read_as_what_it_must_be() -> None:
    assert unpacked_json(packed_json({"a": "\udcff"}), dict) == {"a": "\udcff"}
    for wrong in (b"[]", b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(MalformedMessage):
            unpacked_json(wrong, dict)
