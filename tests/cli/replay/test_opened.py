"""A recording in a file, as often as it is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.replay.recorded import ABOUT, write_recording
from nacre.cli.replay.opened import OpenedRecording, facts_of
from nacre.crypto.sealing import SealKey
from nacre.daemon.recording.cast import OUTPUT
from nacre.errors import StateError

KEY = SealKey.generate()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    (tmp_path / "key").write_bytes(KEY.dump())
    return tmp_path / "key"


@pytest.mark.parametrize("sealed", [False, True])
def test_it_is_read_again_and_again(sealed: bool, tmp_path: Path, key: Path) -> None:
    recipient = KEY.public if sealed else None
    path = write_recording(tmp_path / "a", [(1.0, b"\xff"), (2.0, b"x")], recipient=recipient)
    opened = OpenedRecording(path, key)
    for _ in range(2):
        output = [event.data for event in opened.events() if event.code == OUTPUT]
        assert output == [b"\xff", b"x"]
    assert opened.header["term"] == {"cols": 90, "rows": 20}
    assert opened.own == ABOUT
    assert not opened.is_of_connection
    assert facts_of(path)["user"] == "alice"


def test_one_of_another_program_needs_no_end(tmp_path: Path) -> None:
    path = tmp_path / "a.cast"
    path.write_text('{"version":3,"term":{"cols":80,"rows":24}}\n[1,"o","x"]\n')
    opened = OpenedRecording(path, None)
    assert [event.data for event in opened.events()] == [b"x"]
    with pytest.raises(StateError, match="when it began"):
        facts_of(path)


def test_one_of_nacre_has_an_end(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "a", [(1.0, b"x")], ends=False)
    opened = OpenedRecording(path, None)
    with pytest.raises(StateError, match="no end"):
        list(opened.events())


def test_what_is_no_recording_is_told(tmp_path: Path) -> None:
    for content in (b"", b"text\n"):
        (tmp_path / "a").write_bytes(content)
        for read in (facts_of, lambda path: OpenedRecording(path, None)):
            with pytest.raises(StateError):
                read(tmp_path / "a")
    with pytest.raises(StateError, match="No such file"):
        OpenedRecording(tmp_path / "missing", None)
    with pytest.raises(StateError, match="No such file"):
        facts_of(tmp_path / "missing")
