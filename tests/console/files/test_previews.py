"""What of a file is shown."""

from __future__ import annotations

import pytest

from nacre.console.files.previews import SANDBOX, image_type, text_of


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n....", "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"<svg xmlns=", None),
        (b"<html>", None),
        (b"", None),
    ],
)
def test_an_image_is_known_by_its_bytes(head: bytes, kind: str | None) -> None:
    assert image_type(head) == kind


def test_text_is_utf8_and_may_be_cut_off_in_a_character() -> None:
    data = "aü€😀".encode()
    assert text_of(data, whole=True) == "aü€😀"
    assert text_of(data[:-1], whole=False) == "aü€"
    assert text_of(data[:-3], whole=False) == "aü€"
    assert text_of(data[:-1], whole=True) is None
    assert text_of(b"a\0b", whole=True) is None
    assert text_of(b"\xff" * 10, whole=False) is None
    assert text_of(b"", whole=True) == ""


def test_what_users_store_runs_nothing() -> None:
    assert "sandbox" in SANDBOX
    assert "allow" not in SANDBOX
