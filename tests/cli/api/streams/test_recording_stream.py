"""A recording as a stream."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

import pytest

from cli.api.recordings.kept import link_to, write
from nacre.cli.api.call import CheckedCall, Problem, Resources
from nacre.cli.api.calls import recorded as calls
from nacre.cli.api.streams import recording_stream as module
from nacre.cli.api.streams.recording_stream import recorded


async def text_of(tmp_path: Path, file: str) -> str:
    directory = tmp_path / "recordings"
    with link_to(directory) as link:
        resources = Resources(tmp_path, link)
        try:
            call = CheckedCall(path={"day": "2030-01-02", "file": file})
            async with aclosing(recorded(resources, call)) as stream:
                return "".join([text async for text in stream])
        finally:
            resources.store.close()


async def test_it_is_what_the_file_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PART", 7)
    (tmp_path / "recordings").mkdir()
    file = write(tmp_path / "recordings", "2030-01-02/a.cast", "alice", 1.0, [0.1, "o", "äöü\r\n"])
    assert await text_of(tmp_path, "a.cast") == file.read_text()


@pytest.mark.parametrize(
    ("file", "status", "why"),
    [
        ("a.sealed", 409, "it is sealed"),
        ("b.cast", 404, "no such recording"),
        ("..", 404, "no such recording"),
        ("a.cast", 422, "nacre replay"),
    ],
)
async def test_what_can_not_be_shown_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, status: int, why: str
) -> None:
    monkeypatch.setattr(calls, "LONGEST", 10)
    (tmp_path / "recordings").mkdir()
    write(tmp_path / "recordings", "2030-01-02/a.cast", "alice", 1.0)
    with pytest.raises(Problem, match=why) as raised:
        await text_of(tmp_path, file)
    assert raised.value.status == status
