"""An sshd_config file for a server in a program: :func:`nacre.listen` with ``config``."""

from __future__ import annotations

import os
from collections.abc import Sequence

from nacre.config.server.config import ServerConfig
from nacre.config.server.files import load
from nacre.errors import ConfigurationError

LOOPBACK = "127.0.0.1"
"""The address of :func:`nacre.listen` if none is given."""

_POLICYS = frozenset(
    {
        *("AllowAgentForwarding", "AllowGroups", "AllowTcpForwarding", "AllowUsers"),
        *("AuthenticationMethods", "ChrootDirectory", "DenyGroups", "DenyUsers"),
        *("DisableForwarding", "ForceCommand", "KbdInteractiveAuthentication"),
        *("PasswordAuthentication", "PermitListen", "PermitOpen", "PermitRootLogin", "PermitTTY"),
        *("GSSAPIAuthentication", "PubkeyAuthentication"),
    }
)
"""Keywords that a program's policy and handler decide in place of the file."""

_ALLOWED = ("yes", "any", "prohibit-password", "without-password")


def for_program(path: str | os.PathLike[str]) -> ServerConfig:
    """Return what a file says for a server whose program decides about users and sessions.

    :raises ConfigurationError: the file can't be read or is wrong, or it restricts users or
        sessions, which would have no effect: a line for each error names the file and the line.
    """
    rules = load(path)
    rules.check()
    errors = [
        f"{setting.origin}: {word.name}: the program's policy decides this, not the file: leave it "
        "out, or let nacre-sshd serve"
        for word, setting in rules.values()
        if word.name in _POLICYS and word.kind.show(setting.value) not in _ALLOWED
    ]
    if rules.criteria:
        errors.append(
            f"{os.fspath(path)}: Match: the program's policy decides about users, not the file: "
            "leave Match blocks out, or let nacre-sshd serve"
        )
    if errors:
        raise ConfigurationError("\n".join(errors))
    return rules.base


def place(
    config: ServerConfig, host: str | Sequence[str], port: int
) -> tuple[str | Sequence[str], int]:
    """Return where to listen: ``host`` and ``port``, or what the file says where they are defaults.

    :raises ConfigurationError: the file names several ports.
    """
    listening = config.listen_addresses
    ports = {number for _, one, _ in listening for number in ([one] if one else config.ports)}
    ports = ports or set(config.ports)
    if not port:
        if len(ports) > 1:
            raise ConfigurationError(
                "the file names several ports: call nacre.listen for each, with port=NUMBER"
            )
        (port,) = ports
    if host == LOOPBACK:
        host = [name for name, _, _ in listening] or ""
    return host, port
