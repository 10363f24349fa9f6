"""Percent tokens in values, such as ``%h`` (ssh_config(5), TOKENS), ``${NAME}`` and ``~``."""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import socket
from collections.abc import Mapping

from nacre.errors import ConfigurationError
from nacre.wire.text import safe

_MARKS = re.compile(r"%(.?)|\$\{([^}]*)(\}?)", re.DOTALL)


def expand(text: str, tokens: Mapping[str, str], environment: Mapping[str, str] = {}) -> str:
    """Return ``text`` with each ``%x`` replaced by ``tokens["x"]``, and ``%%`` by ``%``.

    :param environment: the variables for ``${NAME}``; empty where these are ordinary text.
    :raises ConfigurationError: there is no such token or variable.
    """

    def value(found: re.Match[str]) -> str:
        if found[1] is None:
            return _variable(text, found, environment) if environment else found[0]
        name = found[1]
        if name == "%":
            return "%"
        try:
            return tokens[name]
        except KeyError:
            allowed = " ".join(f"%{token}" for token in ("%", *sorted(tokens)))
            raise ConfigurationError(
                f"{safe(text, 100)}: %{safe(name)} is not possible here; allowed: {allowed}"
            ) from None

    return _MARKS.sub(value, text)


def _variable(text: str, found: re.Match[str], environment: Mapping[str, str]) -> str:
    if not found[3] or not found[2]:
        raise ConfigurationError(f"{safe(text, 100)}: ${{ needs a name and }}")
    try:
        return environment[found[2]]
    except KeyError:
        raise ConfigurationError(
            f"{safe(text, 100)}: the variable {safe(found[2], 100)} is not set"
        ) from None


def expand_path(text: str, tokens: Mapping[str, str]) -> str:
    """Return ``text`` with tokens and variables replaced, and ``~`` by the home directory."""
    return os.path.expanduser(expand(text, tokens, os.environ))


def host_tokens(
    *, host: str, original: str, port: str, user: str, alias: str | None, jump: str | None
) -> dict[str, str]:
    """Return the values of the tokens that name a connection (ssh_config(5), TOKENS).

    :param host: the name to connect to; ``original``: as the user gave it.
    :param alias: HostKeyAlias, if it is set.
    :param jump: ProxyJump, if it is set.
    """
    name = socket.gethostname()
    jump = "" if jump in (None, "none") else jump
    joined = f"{name}{host}{port}{user}{jump}".encode("utf-8", "surrogateescape")
    digest = hashlib.sha1(joined, usedforsecurity=False)
    return {
        "C": digest.hexdigest(),
        "d": os.path.expanduser("~"),
        "h": host,
        "i": str(os.getuid()),
        "j": jump or "",
        "k": alias or original,
        "L": name.partition(".")[0],
        "l": name,
        "n": original,
        "p": port,
        "r": user,
        "u": getpass.getuser(),
    }
