"""What ``nacre help KEYWORD`` says about the keywords of ssh_config and sshd_config."""

from __future__ import annotations

from nacre.config import client, server

_FILES = {"ssh_config": client.KEYWORDS, "sshd_config": server.KEYWORDS}


def describe(keyword: str) -> str | None:
    """Return what to print for a keyword, in any case; None if there is no such keyword."""
    found = [
        f"{name} is a keyword of {file}."
        for file, keywords in _FILES.items()
        for name in keywords
        if name.lower() == keyword.lower()
    ]
    return "\n".join(found) or None


def listed() -> str:
    """Return all keywords, those of the client and those of the server."""
    return "\n\n".join(
        "\n".join([f"{file}:", *(f"  {name}" for name in sorted(names, key=str.lower))])
        for file, names in _FILES.items()
    )


def similar(keyword: str) -> str | None:
    """Return a keyword whose name is similar to a misspelt one."""
    from difflib import get_close_matches

    by_lower = {name.lower(): name for names in _FILES.values() for name in names}
    near = get_close_matches(keyword.lower(), by_lower, 1)
    return by_lower[near[0]] if near else None
