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

_VARIABLE = re.compile(r"\$\{([^}]*)(\}?)")
_MARKS = re.compile(r"%(.?)|\$\{([^}]*)(\}?)", re.DOTALL)


def expand(text: str, tokens: Mapping[str, str], environment: Mapping[str, str] = {}) -> str:
    """Return ``text`` with each ``%x`` replaced by ``tokens["x"]``, and ``%%`` by ``%``.

    :param environment: the variables for ``${NAME}``; empty where these are ordinary text.
    :raises ConfigurationError: there is no such token or variable.
    """

    def value(found: re.Match[str]) -> str:
        if found[1] is None:
            return (
                _variable(text, found[2], bool(found[3]), environment) if environment else found[0]
            )
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


def _variable(text: str, name: str, closed: bool, environment: Mapping[str, str]) -> str:
    if not closed or not name:
        raise ConfigurationError(f"{safe(text, 100)}: ${{ needs a name and }}")
    try:
        return environment[name]
    except KeyError:
        raise ConfigurationError(
            f"{safe(text, 100)}: the variable {safe(name, 100)} is not set"
        ) from None


def expand_variables(text: str) -> str:
    """Return ``text`` with each ``${NAME}`` replaced by a variable of the environment.

    :raises ConfigurationError: there is no such variable.
    """
    if "${" not in text:
        return text
    return _VARIABLE.sub(lambda found: _variable(text, found[1], bool(found[2]), os.environ), text)


def expand_path(text: str, tokens: Mapping[str, str]) -> str:
    """Return ``text`` with tokens and variables replaced, and ``~`` by the home directory.

    As with OpenSSH, one slash follows the directory, also that of ``~`` alone.
    """
    path = expand(text, tokens, os.environ)
    if not path.startswith("~"):
        return path
    user, _, rest = path.partition("/")
    home = os.path.expanduser(user)
    if home == user:
        raise ConfigurationError(f"{safe(text, 100)}: there is no such user")
    return f"{home.rstrip('/')}/{rest.lstrip('/')}"


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
