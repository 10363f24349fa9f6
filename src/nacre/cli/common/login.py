"""A login over what carries the connection: ``nacre.connect`` with what a configuration says."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

from nacre.aio.connection import Trace
from nacre.cli.common.failures import alarm
from nacre.cli.common.log import Log
from nacre.cli.common.prompts import confirm, confirm_host, confirm_rotation, prompt
from nacre.client import configured, connect
from nacre.client.connection import Connection
from nacre.client.identities import Identities
from nacre.client.secrets import KEYBOARD_INTERACTIVE, PASSWORD
from nacre.client.target import Target
from nacre.client.trust.files import KnownHostsFile
from nacre.config.client.config import ClientConfig
from nacre.config.values import LogLevel
from nacre.errors import DeadlineExceeded, HostKeyError
from nacre.keys import PublicKey
from nacre.keys.fingerprint import family, randomart
from nacre.protocol.asks import (
    Answer,
    AskAuthentication,
    AskNewPassword,
    AskPrompts,
    AskSignature,
)
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.client.route import Carrier, Sock
    from nacre.keys.hosts.rotation import HostKeyRotation

_KEX_LOG = "nacre.client.kex"

SECRETS = (PASSWORD, KEYBOARD_INTERACTIVE)
"""The methods that ask the user."""

LOGIN = 120
"""Seconds until a login without ConnectTimeout is given up: sshd's LoginGraceTime."""


class LoginCapture(Protocol):
    """Sees the bytes of a connection.

    :ivar key_log: whether the trace of the connection gets the secrets of its key exchanges.
    """

    key_log: bool

    async def carry(self, carrier: Carrier) -> Carrier:
        """Return what carries the connection in place of ``carrier``."""


async def log_in(
    carrier: Carrier,
    target: Target,
    config: ClientConfig,
    log: Log,
    trace: Trace | None,
    patience: Patience | None = None,
    capture: LoginCapture | None = None,
) -> Connection:
    """Log in over a connected socket, or what carries the connection in its place.

    The server's silence is bounded until the user is logged in, see :class:`Patience`; then it is
    bounded by keepalives. The time in which the user is asked does not count.

    :param trace: gets each event of the connection; None logs those that ``-v`` shows.
    :param capture: sees what the carrier carries, or None.
    :param patience: what is left of it where jump hosts had a part; None for that of ``config``.
    :raises NacreError: what :func:`nacre.connect` raises.
    """
    patience = patience or Patience(config)
    trust = _Trust(target, config, log, patience)
    warnings = show_warnings(log)
    weak = logging.getLogger(_KEX_LOG)
    weak.setLevel(logging.INFO if config.warn_weak_crypto else logging.WARNING)
    try:
        async with patience.start():
            connection = await connect.log_in(
                target,
                config,
                trust=trust,
                credentials=_identities(target, config, trust, log, patience, carrier),
                sock=cast("Sock", carrier if capture is None else await capture.carry(carrier)),
                trace=trace or narrator(log, config.fingerprint_hash),
                key_log=capture is not None and capture.key_log,
            )
            if trust.asks_updates:
                # The announcement comes before this answer. The question must not come when the
                # session reads from the terminal.
                await connection.keepalive()
        if trust.asks_updates:
            await connection.wait_host_keys()
        return connection
    except TimeoutError as error:
        if not patience.expired:
            raise
        via = None if isinstance(carrier, socket.socket) else carrier.via
        through = "" if via is None else f" through {via.name}"
        raise DeadlineExceeded(
            f"connect to host {safe(target.host)} port {target.port}{through}: "
            f"{patience.verdict(trust.seen)}"
        ) from error
    finally:
        logging.getLogger("nacre.client").removeHandler(warnings)


def granted(connection: Connection, config: ClientConfig) -> ClientConfig:
    """Return the configuration, without what a host does not get whose key is not trusted."""
    trust = connection.trust
    if not isinstance(trust, KnownHostsFile) or trust.mismatch is None:
        return config
    from nacre.client.trust.withheld import withheld

    return withheld(config)[0]


def show_warnings(log: Log) -> logging.Handler:
    """Log the library's warnings, until the returned handler is removed from its logger."""
    warnings = _Warnings(log)
    logging.getLogger("nacre.client").addHandler(warnings)
    return warnings


class _Warnings(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__(logging.INFO)  # the loggers choose; WarnWeakCrypto sets the level of one
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        hidden_by = "; -o WarnWeakCrypto=no-pq-kex hides this" if record.name == _KEX_LOG else ""
        self._log.info(f"WARNING: {record.getMessage()}{hidden_by}")


class Patience:
    """How long servers may keep the user waiting, up to the login: jump hosts and the last host.

    ConnectTimeout bounds the time in all, or 120 seconds: as long as sshd gives a login. With
    ServerAliveInterval, each answer of the server has to come within the time that keepalives would
    give it. The clock stands while this side answers a question: the user may be asked then.
    """

    # _left   seconds that are left in all; _since: when the clock was started the last time.
    # _bound  the deadline, from start() on.

    def __init__(self, config: ClientConfig) -> None:
        self._total = float(config.connect_timeout or LOGIN)
        self._step = float(config.server_alive_interval * config.server_alive_count_max) or None
        self._left = self._total
        self._since = 0.0
        self._bound: asyncio.Timeout | None = None

    def start(self) -> asyncio.Timeout:
        """Return the deadline, as a context for a login, or for another step that leads to one."""
        now = asyncio.get_running_loop().time()
        if self._bound is not None:
            self._left -= now - self._since  # in the step before
        self._bound = asyncio.timeout_at(now + self._next())
        self._since = now
        return self._bound

    def _next(self) -> float:
        """Return the seconds for the next answer of a server."""
        return min(self._left, self._step or self._left)

    @property
    def expired(self) -> bool:
        """Whether the deadline passed."""
        return self._bound is not None and self._bound.expired()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock while this side answers a question."""
        if self._bound is None:
            yield
            return
        loop, bound = asyncio.get_running_loop(), self._bound
        self._left -= loop.time() - self._since
        bound.reschedule(None)
        try:
            yield
        finally:
            self._since = loop.time()
            # It can't be set once the login has ended.
            with suppress(RuntimeError):
                bound.reschedule(self._since + self._next())

    def verdict(self, host_key_seen: bool) -> str:
        """Return what the server did not do in time."""
        if not host_key_seen:
            return "Connection timed out during banner exchange or key exchange"
        silent = self._step is not None and self._step < self._left
        waited = self._step if silent else self._total
        word = "ServerAliveInterval" if silent else "ConnectTimeout"
        return (
            f"Connection timed out during the login: the server took more than {waited:g} seconds; "
            f"try again, or allow it more with -o {word}=SECONDS"
        )


class _Trust(KnownHostsFile):
    """The known hosts of a configuration.

    :ivar seen: whether the host key has arrived.
    """

    def __init__(self, target: Target, config: ClientConfig, log: Log, patience: Patience) -> None:
        self.seen = False
        self._show_picture = log.info if config.visual_host_key else None
        confirm = partial(confirm_host, hash_name=config.fingerprint_hash.lower())
        self._patience = patience
        self._log = log
        self._config = config
        super().__init__(
            **configured.known_hosts(target, config),
            confirm=None if config.batch_mode else confirm,
            confirm_update=None if config.batch_mode else self._confirm_update,
            notice=log.info,
            alarm=log.error,
        )

    async def check(self, host: str, port: int, address: str, key: PublicKey) -> None:
        self.seen = True
        if self._show_picture is not None:
            picture = randomart(key.blob, f"{family(key.type)} {key.bits}", self._hash)
            self._show_picture(f"Host key fingerprint is {self._shown(key)}\n{picture}")
        with self._patience.paused():
            await super().check(host, port, address, key)

    async def _confirm_update(self, changes: HostKeyRotation) -> bool:
        return await confirm_rotation(changes, hash_name=self._hash)

    def overlooked(self, error: HostKeyError) -> None:
        from nacre.client.trust.withheld import withheld

        self._log.error(alarm(error))
        _, features = withheld(self._config)
        for feature in features:
            self._log.error(f"{feature} is disabled to avoid man-in-the-middle attacks.")
        if features and self._config.exit_on_forward_failure:
            raise HostKeyError(
                "Error: forwarding disabled due to host key check failure; -o "
                "ExitOnForwardFailure=no goes on without it"
            )


class _Answers(Identities):
    """The identities of a configuration; the clock stands while they answer."""

    patience: Patience

    async def authentication(self, ask: AskAuthentication) -> Answer:
        with self.patience.paused():
            return await super().authentication(ask)

    async def signature(self, ask: AskSignature) -> Answer:
        with self.patience.paused():
            return await super().signature(ask)

    async def prompts(self, ask: AskPrompts) -> Answer:
        with self.patience.paused():
            return await super().prompts(ask)

    async def new_password(self, ask: AskNewPassword) -> Answer:
        with self.patience.paused():
            return await super().new_password(ask)


def _identities(
    target: Target,
    config: ClientConfig,
    trust: _Trust,
    log: Log,
    patience: Patience,
    carrier: Carrier,
) -> Identities:
    asking = None if config.batch_mode else confirm
    how = configured.identities(target, config, asking, log.debug)
    if config.batch_mode:
        how["methods"] = [name for name in how["methods"] if name not in SECRETS]
    answers = _Answers(
        target.user,
        target.name,
        **how,
        prompt=None if config.batch_mode else prompt,
        signatures=config.algorithms().signatures,
        trusted=lambda: trust.mismatch is None,
        notice=log.info,
        debug=log.debug,
        banner=log.banner,
    )
    answers.patience = patience
    answers.rsa_bits = config.required_rsa_size
    if config.hostbased_authentication:
        from nacre.client.hostbased import HostVouching

        connected = carrier if isinstance(carrier, socket.socket) else None
        answers.vouching = HostVouching(lambda: connected, config.host_signatures(), log.info)
    return answers


def narrator(log: Log, fingerprint_hash: str = "SHA256") -> Trace | None:
    """Return a trace that logs what the level asks for; None if that is nothing."""
    if log.level < LogLevel.VERBOSE:
        return None
    from nacre.cli.narrate.narrator import Narrator

    return Narrator(log.tell, fingerprint_hash.lower())
