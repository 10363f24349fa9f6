"""How many colours a client's terminal has, by the variables that terminals set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from functools import lru_cache

from rich.color import Color, ColorSystem


class ColourDepth(Enum):
    """The colours of a terminal."""

    NONE = 0
    SIXTEEN = 4
    PALETTE = 8
    TRUE = 24


_TRUE_TERMS = ("alacritty", "contour", "foot", "ghostty", "kitty", "wezterm")
"""Parts of the TERM of terminals that all have 24-bit colours."""


def depth_of(term: str, environment: Mapping[str, str]) -> ColourDepth:
    """Return the colours that an app may use.

    OpenSSH's client sends TERM always, and COLORTERM and NO_COLOR only with ``SendEnv``; the server
    accepts them only with ``accept_env``.

    :param term: the client's TERM.
    :param environment: the variables that the client has set.
    """
    if is_plain(term) or environment.get("NO_COLOR") or term.startswith("vt"):
        return ColourDepth.NONE
    if environment.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return ColourDepth.TRUE
    if term.endswith("-direct") or any(name in term for name in _TRUE_TERMS):
        return ColourDepth.TRUE
    return ColourDepth.PALETTE if "256" in term else ColourDepth.SIXTEEN


def is_plain(term: str) -> bool:
    """Tell whether a terminal moves no cursor, so that no app can draw on it."""
    return term in ("", "dumb", "unknown")


_SGR = re.compile(r"\x1b\[([\d;]+)m")


def fitted(text: str, depth: ColourDepth) -> str:
    """Return a text whose colours (SGR, ECMA-48 section 8.3.117) a terminal has."""
    if depth is ColourDepth.TRUE:
        return text
    return _SGR.sub(lambda found: _fitted(found[1], depth), text)


@lru_cache(maxsize=4096)
def _fitted(codes: str, depth: ColourDepth) -> str:
    left = [int(code or 0) for code in codes.split(";")]
    kept: list[str] = []
    while left:
        code = left.pop(0)
        if code in (38, 48):
            kept += _nearest(code, left, depth)
        elif depth is not ColourDepth.NONE or not _is_colour(code):
            kept.append(str(code))
    return f"\x1b[{';'.join(kept)}m" if kept else ""


def _nearest(code: int, left: list[int], depth: ColourDepth) -> list[str]:
    """Take the rest of an extended colour from ``left``; return codes for the nearest colour."""
    size = 4 if left[:1] == [2] else 2
    given, left[:] = left[:size], left[size:]
    if len(given) < size or given[0] not in (2, 5):
        return []
    colour = Color.from_rgb(*given[1:]) if size == 4 else Color.from_ansi(given[1])
    if depth is ColourDepth.NONE:
        return []
    system = ColorSystem.STANDARD if depth is ColourDepth.SIXTEEN else ColorSystem.EIGHT_BIT
    return list(colour.downgrade(system).get_ansi_codes(foreground=code == 38))


def _is_colour(code: int) -> bool:
    return 30 <= code < 50 or 90 <= code < 108
