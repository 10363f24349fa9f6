"""A login over a connected socket: the arguments of ``nacre.connect`` from a configuration."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable

from nacre.aio.connection import Trace
from nacre.cli.common.log import Log
from nacre.cli.common.prompts import confirm_host, prompt
from nacre.cli.common.target import Target
from nacre.client.agent import Agent
from nacre.client.connect import connect
from nacre.client.connection import Connection
from nacre.client.identities import Identities
from nacre.client.trust import KnownHostsFile
from nacre.config.client import ClientConfig
from nacre.config.tokens import expand_path
from nacre.config.values import LogLevel
from nacre.errors import DeadlineExceeded
from nacre.keys import PublicKey
from nacre.limits import DEFAULT_LIMITS
from nacre.protocol.options import Algorithms
from nacre.wire.text import safe


async def log_in(
    sock: socket.socket, target: Target, config: ClientConfig, log: Log, trace: Trace | None
) -> Connection:
    """Log in over a connected socket.

    ConnectTimeout bounds the time until the host key arrives. From then on the user may be asked,
    which has no time limit.

    :param trace: gets each event of the connection; None logs those that ``-v`` shows.
    :raises NacreError: what :func:`nacre.connect` raises.
    """
    offered = config.algorithms()
    trust = _Trust(target, config, log)
    handshake = asyncio.timeout(config.connect_timeout)
    trust.on_key = lambda: handshake.reschedule(None)
    warnings = show_warnings(log)
    try:
        async with handshake:
            return await connect(
                target.host,
                target.port,
                user=target.user,
                trust=trust,
                credentials=_identities(target, config, offered, trust, log),
                algorithms=offered,
                protocols=config.protocol,
                ssh1_ciphers=config.cipher,
                limits=config.rekey_limit.apply(DEFAULT_LIMITS),
                timeout=None,
                keepalive=config.server_alive_interval or None,
                keepalive_count=config.server_alive_count_max,
                sock=sock,
                trace=trace or narrator(log),
            )
    except TimeoutError as error:
        if not handshake.expired():
            raise
        raise DeadlineExceeded(
            f"connect to host {safe(target.host)} port {target.port}: "
            "Connection timed out during banner exchange or key exchange"
        ) from error
    finally:
        logging.getLogger("nacre.client").removeHandler(warnings)


def show_warnings(log: Log) -> logging.Handler:
    """Log the library's warnings, until the returned handler is removed from its logger."""
    warnings = _Warnings(log)
    logging.getLogger("nacre.client").addHandler(warnings)
    return warnings


class _Warnings(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.info(f"WARNING: {record.getMessage()}")


class _Trust(KnownHostsFile):
    """The known hosts of a configuration.

    :ivar on_key: called when the host key arrives, before it is checked.
    """

    def __init__(self, target: Target, config: ClientConfig, log: Log) -> None:
        tokens = target.tokens()
        self.on_key: Callable[[], None] = lambda: None
        super().__init__(
            [expand_path(name, tokens) for name in config.user_known_hosts_files],
            global_paths=config.global_known_hosts_files,
            strict=config.strict_host_key_checking,
            hashed=config.hash_known_hosts,
            alias=config.host_key_alias,
            confirm=None if config.batch_mode else confirm_host,
            notice=log.info,
            alarm=log.error,
        )

    async def check(self, host: str, port: int, address: str, key: PublicKey) -> None:
        self.on_key()
        await super().check(host, port, address, key)


def _identities(
    target: Target, config: ClientConfig, offered: Algorithms, trust: _Trust, log: Log
) -> Identities:
    tokens = target.tokens()
    files = [expand_path(name, tokens) for name in config.identity_files]
    agent = agent_path(config.identity_agent, tokens)
    return Identities(
        target.user,
        target.name,
        files=files if files or config.no_identity_files else None,
        agent=None if agent is None else Agent(agent),
        identities_only=config.identities_only,
        prompt=None if config.batch_mode else prompt,
        methods=_methods(config),
        signatures=offered.signatures,
        submethods=config.kbd_interactive_devices,
        prompts=config.password_prompts,
        trusted=lambda: trust.mismatch is None,
        notice=log.info,
        debug=log.debug,
        banner=lambda text: log.info(text.removesuffix("\n")),
    )


def _methods(config: ClientConfig) -> list[str]:
    allowed = {
        "publickey": config.pubkey_authentication,
        "password": config.password_authentication and not config.batch_mode,
        "keyboard-interactive": config.kbd_interactive and not config.batch_mode,
    }
    return [name for name in config.preferred_authentications if allowed.get(name)]


def agent_path(name: str, tokens: dict[str, str]) -> str | None:
    """Return the path of the socket that IdentityAgent or ForwardAgent names, or None."""
    if name.lower() == "none":
        return None
    if name == "SSH_AUTH_SOCK":
        return os.environ.get(name) or None
    if name.startswith("$"):
        return os.environ.get(name[1:].strip("{}")) or None
    return expand_path(name, tokens)


def narrator(log: Log) -> Trace | None:
    """Return a trace that logs what the level asks for; None if that is nothing."""
    if log.level < LogLevel.VERBOSE:
        return None
    from nacre.cli.narrate.narrator import Narrator

    return Narrator(log.tell)
