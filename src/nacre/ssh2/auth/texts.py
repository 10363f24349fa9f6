"""Texts of the server that a client shows to its user."""

from __future__ import annotations

from nacre.wire.text import safe


def shown(text: str, limit: int) -> str:
    """Return a text of several lines, made safe for a terminal, of at most ``limit`` characters.

    Backslashes are kept: many banners draw with them.
    """
    return safe(text.replace("\r\n", "\n"), limit, keep="\n\t\\")
