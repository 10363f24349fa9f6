"""The manifest of a backup."""

from __future__ import annotations

import pytest

from nacre.daemon.backup.archive import BackedUp, dump, load
from nacre.errors import StateError

ENTRY = BackedUp("users.db", 3, 0o600, "ab")


def test_what_is_written_is_read() -> None:
    assert load(dump([ENTRY], 7)) == {"users.db": ENTRY}


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b'{"nacre-backup": 1, "files": [{}]}', b"\xff"]
)
def test_another_form_is_refused(text: bytes) -> None:
    with pytest.raises(StateError, match="damaged"):
        load(text)


def test_a_later_version_is_refused() -> None:
    with pytest.raises(StateError, match="has version 2"):
        load(b'{"nacre-backup": 2, "files": []}')
