"""What the processes of the API say to each other."""

from __future__ import annotations

import pytest

from nacre.cli.api.pipe import (
    LONGEST_ASKED,
    LONGEST_BODY,
    AnswerEnd,
    AnswerPart,
    APIAnswer,
    APICall,
    CallDropped,
    line_of,
    paired,
    value_of,
)
from nacre.daemon.control.values import ControlError

CALL = APICall(
    number=1,
    action="users.list",
    token="t",
    peer="::1:5",
    path=(),
    query=("limit", "1"),
    body=None,
)


@pytest.mark.parametrize(
    "value",
    [
        CALL,
        CallDropped(number=2),
        APIAnswer(number=1, status=200, kind="", headers=("A", "b"), body="ä\n\ud800"),
        AnswerPart(number=1, text="event: log\n\n"),
        AnswerEnd(number=1),
    ],
)
def test_a_value_is_read_as_it_was_written(value: object) -> None:
    line = line_of(value)
    assert line.index(b"\n") == len(line) - 1
    assert value_of(line) == value


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b'{"apicall": 1}', b'{"tell": {}}'])
def test_what_is_no_value_is_refused(line: bytes) -> None:
    with pytest.raises(ControlError):
        value_of(line)


def test_the_longest_body_fits_into_a_line() -> None:
    members = {name: getattr(CALL, name) for name in CALL.__slots__}
    assert len(line_of(APICall(**{**members, "body": "\x01" * LONGEST_BODY}))) < LONGEST_ASKED


def test_names_and_values_come_in_pairs() -> None:
    assert paired(("a", "1", "b", "2")) == [("a", "1"), ("b", "2")]
    with pytest.raises(ControlError):
        paired(("a",))
