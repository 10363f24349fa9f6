"""Percent tokens in values, such as ``%h`` (ssh_config(5), TOKENS), and ``~``."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from nacre.errors import ConfigurationError
from nacre.wire.text import safe


def expand(text: str, tokens: Mapping[str, str]) -> str:
    """Return ``text`` with each ``%x`` replaced by ``tokens["x"]``, and ``%%`` by ``%``.

    :raises ConfigurationError: ``tokens`` lacks one of them.
    """

    def value(found: re.Match[str]) -> str:
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

    return re.sub(r"%(.?)", value, text, flags=re.DOTALL)


def expand_path(text: str, tokens: Mapping[str, str]) -> str:
    """Return ``text`` with tokens replaced, and a leading ``~`` by the home directory."""
    return os.path.expanduser(expand(text, tokens))
