"""Calls about recordings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.api.recordings.kept import link_to, write
from nacre.cli.api.call import CheckedCall, Problem, Resources
from nacre.cli.api.calls import recorded
from nacre.cli.api.calls.recorded import list_recordings, search_recording


@pytest.fixture
def resources(tmp_path: Path) -> Iterator[Resources]:
    directory = tmp_path / "recordings"
    directory.mkdir()
    write(directory, "2030-01-02/a.cast", "alice", 1_893_500_000.0)
    write(directory, "2030-01-03/b.cast", "bob", 1_893_650_000.0)
    with link_to(directory) as link:
        found = Resources(tmp_path, link)
        yield found
        found.store.close()


def call(**query: Any) -> CheckedCall:
    return CheckedCall(query={"limit": 50, "after": "", **query})


def test_recordings_are_found_by_user_and_time(resources: Resources) -> None:
    def users(**query: Any) -> list[str]:
        found: Any = list_recordings(resources, call(**query))
        return [one["user"] for one in found["recordings"]]

    assert users() == ["bob", "alice"]
    assert users(user="alice") == ["alice"]
    assert users(since="2030-01-03") == ["bob"]
    with pytest.raises(Problem) as raised:
        users(since="soon")
    assert raised.value.status == 422


def test_a_server_that_records_nothing_says_so(tmp_path: Path) -> None:
    resources = Resources(tmp_path)
    with pytest.raises(Problem, match="--record") as raised:
        list_recordings(resources, call())
    assert raised.value.status == 409
    resources.store.close()


def search(text: str, file: str = "c.cast") -> CheckedCall:
    return CheckedCall(path={"day": "2030-01-04", "file": file}, query={"text": text})


def test_a_text_is_found_with_the_moments_of_its_lines(
    resources: Resources, tmp_path: Path
) -> None:
    lines = [
        [1.5, "o", "one \x1b[31mred\x1b[0m "],
        [0.5, "i", "red"],
        [1, "o", "line\r\n\u202ered\r\n"],
    ]
    write(tmp_path / "recordings", "2030-01-04/c.cast", "alice", 1_893_700_000.0, *lines)
    found = search_recording(resources, search("red"))
    assert found == {
        "moments": [{"at": 1.5, "text": "one red line"}, {"at": 3.0, "text": "\\u202ered"}],
        "more": False,
    }
    assert search_recording(resources, search("blue")) == {"moments": [], "more": False}


def test_a_search_is_bounded_and_ends_at_damage(
    resources: Resources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "MOST_MOMENTS", 3)
    lines = [[1, "o", "x" * 5000 + "\n"] for _ in range(4)]
    write(tmp_path / "recordings", "2030-01-04/c.cast", "alice", 1_893_700_000.0, *lines)
    found: Any = search_recording(resources, search("x"))
    assert (len(found["moments"]), found["more"]) == (3, True)
    assert len(found["moments"][0]["text"]) <= 201
    write(tmp_path / "recordings", "2030-01-04/d.cast", "alice", 1.0, lines[0], "damage", lines[0])
    found = search_recording(resources, search("x", "d.cast"))
    assert (len(found["moments"]), found["more"]) == (1, False)


def test_a_search_that_takes_long_says_that_there_may_be_more(
    resources: Resources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "_PATIENCE", 0.0)
    write(tmp_path / "recordings", "2030-01-04/c.cast", "alice", 1.0, [1, "o", "x\n"])
    assert search_recording(resources, search("x")) == {"moments": [], "more": True}


@pytest.mark.parametrize(
    ("file", "query", "status"),
    [("c.cast", {}, 422), ("none.cast", {"text": "x"}, 404), ("x.sealed", {"text": "x"}, 409)],
)
def test_what_can_not_be_searched_is_told(
    resources: Resources, file: str, query: dict[str, str], status: int
) -> None:
    path = {"day": "2030-01-04", "file": file}
    with pytest.raises(Problem) as raised:
        search_recording(resources, CheckedCall(path=path, query=query))
    assert raised.value.status == status


def test_what_is_too_long_is_not_searched(
    resources: Resources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded, "LONGEST", 10)
    write(tmp_path / "recordings", "2030-01-04/c.cast", "alice", 1.0)
    with pytest.raises(Problem, match="nacre replay") as raised:
        search_recording(resources, search("x"))
    assert raised.value.status == 422


def test_recordings_are_found_by_their_connection(resources: Resources, tmp_path: Path) -> None:
    file = write(tmp_path / "recordings", "2030-01-04/c.cast", "alice", 1_893_700_000.0)
    file.write_text(file.read_text().replace('"kind"', '"connection": 7, "gate": 1, "kind"'))
    found: Any = list_recordings(resources, call(connection="1.7"))
    assert [one["path"] for one in found["recordings"]] == ["2030-01-04/c.cast"]
