"""Files of hosts and their users who may log in: shosts.equiv, ~/.shosts (sshd(8), FILES)."""

from __future__ import annotations

_MOST_LINE = 1024


def permits(text: bytes, *, host: str, address: str, host_user: str, user: str) -> bool:
    """Return whether the first line about a host and its user lets them in; False if none is.

    A line is a host, by its name or its address, and perhaps a user; without one the names on both
    sides must be the same. A ``-`` in front of either refuses, and a ``+`` means nothing; alone it
    would stand for everyone, and the line is skipped. So are lines with netgroups.

    :param host: the name of the client's host, and ``host_user`` the user there.
    :param user: the user to log in as.
    """
    for raw in text.split(b"\n"):
        words = raw[:_MOST_LINE].decode("utf-8", "surrogateescape").split()
        if not words or len(words) > 2 or words[0].startswith(("#", "NO_PLUS")):
            continue
        names = [word[1:] if word[0] in "+-" else word for word in (*words, user)[:2]]
        if "" in names or any(name.startswith("@") for name in names):
            continue
        if names[0].lower() != host.lower() and names[0] != address:
            continue
        if names[1] == host_user:
            return not any(word.startswith("-") for word in words)
    return False
