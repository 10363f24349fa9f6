"""A server's connection as policies, sessions and tunnels see it: who the client is, and the log.

:mod:`nacre.server.serving` makes these connections and serves them. Nothing here knows of policies
or settings, so that everything else in this package may import it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from nacre.aio.connection import BaseConnection
from nacre.keys.key_options import KeyOptions
from nacre.protocol.options import software
from nacre.value import value
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.config.server.config import ServerConfig
    from nacre.config.server.penalties import PenaltyRules
    from nacre.errors import DisconnectCode, NacreError
    from nacre.keys import PublicKey
    from nacre.protocol.asks import Answer
    from nacre.protocol.engine import Engine
    from nacre.sftp.server.receipts import Trail
    from nacre.tunnels.metered import TransferMeter

Log: TypeAlias = Callable[[Mapping[str, object]], None]
"""Called with each record: a mapping with ``event``, ``connection``, ``peer`` and more fields."""

HostSigner: TypeAlias = "Callable[[PublicKey, bytes, str], Awaitable[bytes]]"
"""Makes the signature of a host key over data with an algorithm; raises NacreError."""

_logger = logging.getLogger("nacre.server")


def to_logging(record: Mapping[str, object]) -> None:
    """Log a record as ``key=value`` words on the logger ``nacre.server``, its fields as extras.

    Operations on files are logged at the level DEBUG, everything else at INFO. Command lines are in
    the records where the logger takes DEBUG.
    """
    level = logging.DEBUG if record["event"] == "file" else logging.INFO
    if "command" in record and not _logger.isEnabledFor(logging.DEBUG):
        # It may hold secrets.
        record = {name: value for name, value in record.items() if name != "command"}
    text = " ".join(f"{key}={value}" for key, value in record.items())
    _logger.log(level, "%s", text, extra={"nacre": dict(record)})


_DEVICE = 16
"""Bytes of a name of a network device, with the zero at its end."""


@value(kw_only=True)
class ConnectionTerms:
    """What sshd_config(5) says about connections and :func:`nacre.listen` has no parameter for.

    :ivar version_addendum: text behind the software version in the identification line.
    :ivar per_source_startups: how many connections from one network may be logging in, or None.
    :ivar net_block_size: the bits of an IPv4 and of an IPv6 network.
    :ivar penalties: what failed connections cost their network, or None.
    :ivar exempt: addresses, patterns and networks that get no penalties.
    :ivar refuse: end the connection when it attempts to log in.
    :ivar resolve: returns the name of an address, or the address where there is none to trust;
        None for no lookups.
    :ivar sign_host: makes a signature with a host key that another program holds; gets the key, the
        data and the algorithm, and raises NacreError.
    :ivar gss_kex: the key exchange methods of GSSAPI to offer.
    :ivar strict_acceptor: whether tickets for other names than this host's are refused.
    :ivar ip_qos: the type of service (RFC 2474) of sessions at a terminal, and of others; None
        leaves it to the system.
    :ivar channel_timeouts: patterns of channel types with the seconds without data after which
        such a channel is closed; of several that match, the first counts.
    :ivar unused_timeout: seconds without a channel after which the connection is closed, or None.
    :ivar x11_display_offset: the first number of a display that is forwarded to the client.
    :ivar x11_use_localhost: whether such displays are for programs of this host alone.
    """

    version_addendum: str = ""
    per_source_startups: int | None = None
    net_block_size: tuple[int, int] = (32, 128)
    penalties: PenaltyRules | None = None
    exempt: tuple[str, ...] = ()
    refuse: bool = False
    resolve: Callable[[str], Awaitable[str]] | None = None
    sign_host: HostSigner | None = None
    gss_kex: tuple[str, ...] = ()
    strict_acceptor: bool = True
    ip_qos: tuple[int | None, int | None] = (None, None)
    channel_timeouts: tuple[tuple[str, int], ...] = ()
    unused_timeout: int | None = None
    x11_display_offset: int = 10
    x11_use_localhost: bool = True

    @classmethod
    def of(
        cls,
        config: ServerConfig,
        resolve: Callable[[str], Awaitable[str]] | None = None,
        sign_host: HostSigner | None = None,
    ) -> ConnectionTerms:
        """Return what a configuration says.

        :param resolve: how to find names, where UseDNS asks for them.
        :param sign_host: makes signatures with host keys that other programs hold.
        """
        return cls(
            version_addendum=config.version_addendum or "",
            per_source_startups=config.per_source_max_startups,
            net_block_size=config.per_source_net_block_size,
            penalties=config.per_source_penalties,
            exempt=config.per_source_penalty_exempt_list,
            refuse=config.refuse_connection,
            resolve=resolve if config.use_dns else None,
            sign_host=sign_host,
            gss_kex=config.gss_kex(),
            strict_acceptor=config.gssapi_strict_acceptor_check,
            ip_qos=config.ip_qos,
            channel_timeouts=config.channel_timeouts,
            unused_timeout=config.unused_connection_timeout,
            x11_display_offset=config.x11_display_offset,
            x11_use_localhost=config.x11_use_localhost,
        )

    @property
    def software(self) -> str:
        """The software version and the text behind it, for the identification line.

        :raises ConfigurationError: the text does not fit into the line (RFC 4253 section 4.2).
        """
        return software(self.version_addendum)


NO_TERMS = ConnectionTerms()


class Client:
    """Who is at the other end of a server's connection, and the log of it: what a login is about.

    The class has no connection: where strangers meet a process without rights, the process that
    judges their logins has none.

    :ivar id: the number of the connection on this server, from 1.
    :ivar peer: the client's address and port.
    :ivar host: the client's name if names are looked up and its address has one, else its address.
    :ivar local: the address and port that the client connected to.
    :ivar user: the user who is logged in; empty before the login.
    :ivar methods: the authentication methods that succeeded, in order.
    :ivar terms: what the configuration says about this connection. A policy may change it when it
        knows the user.
    :ivar accept_env: patterns of the environment variables that the client may set.
    :ivar protocol: the version of the protocol, ``2.0`` or ``1.5``.
    :ivar meter: counts the data of what is forwarded, and delays it; None for nothing.
    """

    id: int
    peer: tuple[str, int]
    host: str
    local: tuple[str, int]
    user: str
    methods: tuple[str, ...]
    terms: ConnectionTerms
    accept_env: Sequence[str]
    protocol: str
    meter: TransferMeter | None
    _log: Log

    @property
    def looked_up(self) -> str | None:
        """The client's name, or None if it was not looked up, or has none to trust."""
        return None if self.host == self.peer[0] else self.host

    @property
    def domain(self) -> str | None:
        """The routing domain of the connection: the device its socket is bound to, or None."""
        raise NotImplementedError

    def set_keepalive(self, interval: float | None, count: int) -> None:
        """Change the seconds of silence before a keepalive, and how many may go unanswered."""
        raise NotImplementedError

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run ``work`` in a task that is cancelled when the connection ends."""
        raise NotImplementedError

    def answer(self, ask_id: int, answer: Answer) -> None:
        """Answer a question about this client."""
        raise NotImplementedError

    def fail(self, error: NacreError, code: DisconnectCode, description: str) -> None:
        """End the connection because of ``error``.

        :param description: the text of our DISCONNECT.
        """
        raise NotImplementedError

    def refuse(self, user: str) -> None:
        """End the connection of a user who may not even try (RefuseConnection)."""
        raise NotImplementedError

    @property
    def detailed(self) -> bool:
        """Whether the log takes a record of each file operation."""
        if self._log is to_logging:
            return _logger.isEnabledFor(logging.DEBUG)
        return bool(getattr(self._log, "detailed", True))

    def filter_log(self, wrap: Callable[[Log], Log]) -> None:
        """Have further records of this connection go through what ``wrap`` makes of its log."""
        self._log = wrap(self._log)

    @property
    def trail(self) -> Trail | None:
        """Where the operations on files go to that must be kept; None where none must."""
        make = getattr(self._log, "trail", None)
        found: Trail | None = None if make is None else make(self)
        return found

    async def record_is_kept(self) -> bool:
        """Tell whether the record before this call is kept, where it must be; wait until it is."""
        trail = self.trail
        return trail is None or not await trail.settled()

    def record(self, event: str, **fields: object) -> None:
        """Log an event of this connection; a log that raises does not end the connection."""
        host, port = self.peer
        record: dict[str, object] = {
            "event": event,
            "connection": self.id,
            "peer": f"{host}:{port}",
        }
        if self.user:
            record["user"] = safe(self.user)
        record.update(fields)
        try:
            self._log(record)
        except Exception:
            _logger.exception("the log of a server failed")

    @property
    def is_exempt(self) -> bool:
        """Whether PerSourcePenaltyExemptList has the client's address."""
        exempt = self.terms.exempt
        return bool(exempt) and KeyOptions(sources=exempt).refusal(address=self.peer[0]) is None

    def record_error(self, what: str, error: Exception) -> None:
        """Log a failure of this program, with its traceback on the logger ``nacre.server``."""
        _logger.error("%s", what, exc_info=error)
        self.record("error", what=what, error=safe(repr(error)))


class ServerConnection(BaseConnection, Client):
    """One client's connection."""

    __slots__ = (
        *("_log", "accept_env", "host", "id", "local", "meter", "methods", "peer", "terms"),
        "user",
    )

    def __init__(
        self,
        engine: Engine,
        number: int,
        log: Log,
        *,
        keepalive: float | None,
        keepalive_count: int,
        terms: ConnectionTerms = NO_TERMS,
        accept_env: Sequence[str] = (),
    ) -> None:
        super().__init__(engine, keepalive=keepalive, keepalive_count=keepalive_count)
        self.id = number
        self.peer: tuple[str, int] = ("", 0)
        self.host = self.peer[0]
        self.local: tuple[str, int] = ("", 0)
        self.user = ""
        self.methods: tuple[str, ...] = ()
        self.terms = terms
        self.accept_env = accept_env
        self.meter = None
        self._log = log

    def record_error(self, what: str, error: Exception) -> None:
        """Log a failure of this program, with its traceback on the logger ``nacre.server``."""
        Client.record_error(self, what, error)

    @property
    def domain(self) -> str | None:
        """The routing domain of the connection: the device its socket is bound to, or None."""
        transport = self.driver.transport
        sock = None if transport is None else transport.get_extra_info("socket")
        return None if sock is None else domain_of(sock)


def domain_of(sock: socket.socket) -> str | None:
    """Return the routing domain of a socket: the device that it is bound to, or None."""
    if sock.family == socket.AF_UNIX:
        return None
    try:
        device = sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, _DEVICE)
    except OSError:
        return None
    return device.rstrip(b"\0").decode(errors="replace") or None


def address_of(name: object) -> tuple[str, int]:
    """Return host and port; for a Unix socket its path, or "", and 0."""
    if isinstance(name, tuple):
        return str(name[0]), int(name[1])
    return (name if isinstance(name, str) else ""), 0
