from __future__ import annotations

import pytest

from nacre.compat.ansible.frames import HEAD, LARGEST, BrokerFrame, frame, head


def test_a_frame_begins_with_its_kind_and_length() -> None:
    data = frame(BrokerFrame.OUTPUT, b"text")
    assert head(data[: HEAD.size]) == (BrokerFrame.OUTPUT, 4)
    assert data[HEAD.size :] == b"text"


@pytest.mark.parametrize("data", [HEAD.pack(5, LARGEST + 1), HEAD.pack(99, 1)])
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"bytes|BrokerFrame"):
        head(data)
