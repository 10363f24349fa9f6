"""What a host does not get whose key is not trusted, where StrictHostKeyChecking=no goes on.

It may be anybody: it gets no secret and no way back, as with ssh(1).
"""

from __future__ import annotations

from typing import Any

from nacre.config.client.config import ClientConfig
from nacre.value import replace

_WITHHELD: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Password authentication", {"password_authentication": False}),
    ("Keyboard-interactive authentication", {"kbd_interactive": False}),
    ("Agent forwarding", {"forward_agent": None}),
    ("X11 forwarding", {"forward_x11": False}),
    ("Port forwarding", {"local_forwards": (), "remote_forwards": (), "dynamic_forwards": ()}),
    ("Tunnel forwarding", {"tunnel": "false"}),
)
"""For each feature the fields that switch it on, and what they are without it."""


def withheld(config: ClientConfig) -> tuple[ClientConfig, list[str]]:
    """Return the configuration without what is withheld, and the names of what that was."""
    features = []
    for feature, without in _WITHHELD:
        if any(getattr(config, field) != off for field, off in without.items()):
            features.append(feature)
            config = replace(config, **without)
    return config, features
