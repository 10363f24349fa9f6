"""What of a file is shown in a page: some text, and images of a few formats."""

from __future__ import annotations

from nacre.limits import KIB

LONGEST_TEXT = 256 * KIB
"""Bytes of a text that are shown."""

HEAD = 32
"""Bytes by which an image is recognised."""

_IMAGES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
"""How files of these formats begin. SVG is not among them: it may have scripts."""

_RIFF, _WEBP = b"RIFF", b"WEBP"

SANDBOX = "default-src 'none'; sandbox; frame-ancestors 'none'"
"""The Content-Security-Policy of what users have stored: it runs nothing, and has no origin."""


def image_type(head: bytes) -> str | None:
    """Return the media type of an image by its first bytes; None for no image."""
    if head[:4] == _RIFF and head[8:12] == _WEBP:
        return "image/webp"
    return next((kind for magic, kind in _IMAGES if head.startswith(magic)), None)


def text_of(data: bytes, *, whole: bool) -> str | None:
    """Return bytes as text; None if they are none.

    :param whole: whether this is the whole file: otherwise the last character may be cut off.
    """
    if b"\0" in data:
        return None
    for cut in range(1 if whole else 4):
        try:
            return data[: len(data) - cut].decode()
        except UnicodeDecodeError:
            continue
    return None
