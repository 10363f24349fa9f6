"""``nacre.connect``: from a host's name to a connection that is logged in.

The order of reading: :func:`connect` collects the options, ``_begin`` adds what the configuration
files say, ``_start`` builds the connection, ``_log_in`` reaches the host, waits for the login and
turns a failure into the right error.
"""

from __future__ import annotations

import asyncio
import getpass
import logging
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Literal, cast

from nacre.agent.client import Agent
from nacre.aio.channel import Channel
from nacre.aio.connection import Trace
from nacre.aio.dial import DialOptions, dial
from nacre.aio.keepalive import IdleWatch, check_times
from nacre.aio.versions import client_engine
from nacre.aio.waiting import Opening
from nacre.client import configured
from nacre.client.connection import Connection, LoginAnswers
from nacre.client.identities import Identities
from nacre.client.options import (
    DEFAULT,
    NO_OPTIONS,
    ConnectOptions,
    Default,
    HopOptions,
    Path,
    algorithms_of,
    identities_of,
    known_hosts_of,
)
from nacre.client.target import Target
from nacre.client.trust.check import HostKeyCheck
from nacre.client.trust.files import KnownHostsFile
from nacre.config.client.config import UNBOUND, ClientConfig
from nacre.config.client.files import Config
from nacre.config.syntax.tokens import expand_path
from nacre.errors import ConfigurationError, ConnectFailed, DeadlineExceeded, NacreError
from nacre.keys import PrivateKey
from nacre.keys.hosts.known_hosts import DEFAULT_PORT
from nacre.limits import DEFAULT_LIMITS, Limits
from nacre.protocol.options import SSH1_CIPHERS, Algorithms, ClientOptions, Profile, software
from nacre.protocol.phases import Phase
from nacre.protocol.tcpip import check_port
from nacre.value import replace
from nacre.wire import given
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.client.configured import Looked
    from nacre.client.proxy import ProxyCommand
    from nacre.client.route import Carrier, Hop, Jump, Sock
    from nacre.config.destination import Destination


AUTO = "auto"
"""The ``control`` that goes through a master where there is one."""

_PLAIN = ClientConfig()
"""What counts without configuration files."""

_TIMEOUT = 30.0
"""Seconds for a login, if neither the caller nor ConnectTimeout says it."""

_log = logging.getLogger("nacre.client")

_GOODBYE = 1.0
"""Seconds that a peer has to close the connection after a failed login."""

_STEPS = {
    Phase.VERSION: "waiting for the server's identification; is it an SSH server?",
    Phase.KEX: "exchanging keys",
    Phase.AUTHENTICATION: "logging in",
}


def connect(
    host: str,
    port: int | None = None,
    *,
    user: str | None = None,
    password: str | None = None,
    keys: Sequence[PrivateKey | Path] | None = None,
    passphrase: str | None = None,
    agent: bool | Agent = True,
    gssapi: bool | Literal["delegate"] | None = None,
    known_hosts: Path | Sequence[Path] | Default = DEFAULT,
    trust: HostKeyCheck | None = None,
    credentials: LoginAnswers | None = None,
    algorithms: Algorithms | None = None,
    profile: Profile | None = None,
    protocols: Sequence[int] | None = None,
    ssh1_ciphers: Sequence[str] | None = None,
    limits: Limits | None = None,
    timeout: float | Default | None = DEFAULT,
    keepalive: float | Default | None = DEFAULT,
    keepalive_count: int | None = None,
    jump: Jump | Sequence[Jump] | None = None,
    sock: Sock | None = None,
    trace: Trace | None = None,
    config: Config | Path | Default | None = DEFAULT,
    control: Path | None = None,
) -> Opening[Connection]:
    """Connect and log in: await it for the connection, or use ``async with``.

    ::

        async with nacre.connect("example.org", user="alice") as ssh:
            print((await ssh.run("uname -a")).stdout)

    The user's and the system's ssh_config count, as they do for ``nacre ssh``; what is given here
    counts before them. ``host`` may be a name that only they know.

    :param port: the port; by default that of the files, or 22.
    :param user: the user name; by default that of the files, or the name of this account.
    :param password: for the methods ``password`` and ``keyboard-interactive``.
    :param keys: private keys, or the names of their files, in order; no other keys of the agent
        are used then. A certificate comes with its key: as a
        :class:`~nacre.keys.certificate.CertifiedKey`, in the file ``NAME-cert.pub`` beside the key
        file ``NAME``, or as the name of that file. By default those of IdentityFile and
        CertificateFile, or the usual files, and all keys of the agent. Some of the agent's
        keys are tried only after a password that was given: each key counts as a failure.
    :param passphrase: for encrypted key files.
    :param agent: the agent to use, or whether to use the one that ``SSH_AUTH_SOCK`` or
        IdentityAgent names.
    :param gssapi: log in by the user's Kerberos ticket first, which needs ``nacre[gssapi]``;
        ``delegate`` gives the server tickets to act for the user. By default
        GSSAPIAuthentication and GSSAPIDelegateCredentials count, unless ``keys`` are given.
    :param known_hosts: files with keys of known hosts, and no others are accepted. By default those
        of UserKnownHostsFile and GlobalKnownHostsFile; StrictHostKeyChecking and
        UpdateHostKeys count then where a file has them, but no one is ever asked.
    :param trust: decides on host keys in place of ``known_hosts``.
    :param credentials: answers for the login in place of ``password``, ``keys``, ``passphrase`` and
        ``agent``.
    :param algorithms: what to offer; see :func:`nacre.algorithms`.
    :param profile: ``legacy`` offers old algorithms too; ignored with ``algorithms``.
    :param protocols: versions of the protocol: ``(2, 1)`` uses SSH-1 with servers that have nothing
        else, ``(1,)`` only SSH-1. SSH-1 is weak, and each use is logged as a warning.
    :param ssh1_ciphers: ciphers for SSH-1, best first: of ``3des``, ``blowfish`` and ``des``.
    :param timeout: seconds from the lookup of the name to the end of authentication, at jump hosts
        as well: one limit for all of it. None for no limit. By default ConnectTimeout, or 30.
    :param keepalive: seconds of silence after which the server is probed; None for no probes. By
        default ServerAliveInterval, or None.
    :param keepalive_count: how many probes may stay unanswered; by default ServerAliveCountMax,
        which is 3.
    :param jump: the jump host to connect through, or a list of them in the order in which to visit
        them. Each is ``[user@]host[:port]``, an ``ssh://`` URI, or a connection that is open, which
        may come first and stays open. Jump hosts that are named get ``known_hosts`` or ``trust``,
        ``keys``, ``passphrase``, ``agent``, ``gssapi``, ``keepalive`` and the options of the
        protocol from here. They get neither ``user`` (which is the name of this account unless the
        text has one) nor ``password`` nor ``credentials``: where a jump host needs a password,
        connect to it first. Their connections close with this one.
    :param sock: what to use in place of a connection of its own: a connected stream socket, a
        :class:`Tunnel`, or a pair ``(reader, writer)``: streams of asyncio or of nacre, or files or
        descriptors of pipes. The connection owns it from now on. The key is still checked for
        ``host``.
    :param trace: called with every event of the protocol, and the loop's time.
    :param config: the configuration files: a :class:`Config`, the name of a file to read in place
        of the usual ones, or None for none.
    :param control: ``auto`` goes through the connection of a master, if one listens at ControlPath
        (``nacre ssh -M``, ``ssh -M``); a path, through that of the master there, and there must be
        one. The master's connection counts then: what is given for the login and for the way has
        no effect, it has neither keys nor keepalives, and closing it ends what was opened alone.
    :raises ConfigurationError: a value is not possible, here or in a file; for a file the message
        has a line for each error, with its place.
    :raises ConnectFailed: no connection could be made.
    :raises HostKeyError: the server's key is not trusted.
    :raises AuthenticationFailed: no method succeeded.
    :raises UnusableKey: a file in ``keys`` is missing, damaged, open to others, or no private key;
        or its passphrase is missing or wrong.
    :raises DeadlineExceeded: ``timeout`` passed.
    :raises VersionError: the peer has none of ``protocols``.
    :raises NoCommonAlgorithm: both share none; ``profile="legacy"`` may help with an old server.
    :raises ConnectionLost: or a protocol error: what ended the connection during the login.

    An error of a jump host has its name in ``hop``.
    """
    texts = {"host": host, "user": user, "password": password, "passphrase": passphrase}
    for name, one in texts.items():
        given.text(one, name)
    given.several(keys, "keys")
    if port is not None:
        check_port("port", port)
    check_times(
        3 if keepalive_count is None else keepalive_count,
        timeout=None if isinstance(timeout, Default) else timeout,
        keepalive=None if isinstance(keepalive, Default) else keepalive,
    )
    _check_files(known_hosts)
    options: ConnectOptions = {
        "keys": keys,
        "passphrase": passphrase,
        "agent": agent,
        "known_hosts": known_hosts,
        "trust": trust,
        "algorithms": algorithms,
        "profile": profile,
        "protocols": protocols,
        "ssh1_ciphers": ssh1_ciphers,
        "limits": limits,
        "keepalive": keepalive,
        "keepalive_count": keepalive_count,
        "gssapi": gssapi,
    }
    way = _Way(sock, jump, _files(config), options, timeout)
    options = {**options, "password": password, "credentials": credentials, "trace": trace}
    options["control"] = control
    return Opening(lambda: _begin(host, port, user, options, way))


async def _begin(
    host: str, port: int | None, user: str | None, options: ConnectOptions, way: _Way
) -> Connection:
    target, config = await way.look_up(host, port, user)
    control = options.get("control")
    if control is not None and (connection := await _share(control, target, config, options)):
        return connection
    return await _start(target, config, options, way)


async def _share(
    control: Path, target: Target, config: ClientConfig, options: ConnectOptions
) -> Connection | None:
    """Return a connection through a master; None if there is none, and there need not be one."""
    from nacre.client.sharing.client import connect_shared

    path = os.fspath(control)
    automatic = path == AUTO
    if automatic:
        if config.control_path is None:
            return None
        path = expand_path(config.control_path, target.tokens())
    limits = options["limits"] or DEFAULT_LIMITS
    try:
        async with asyncio.timeout(_TIMEOUT):
            return await connect_shared(path, target, limits, trace=options.get("trace"))
    except (ConnectFailed, TimeoutError) as error:
        if automatic:
            _log.debug("no shared connection: %s", error)
            return None
        if isinstance(error, TimeoutError):
            raise DeadlineExceeded(f"the master at {safe(path)} does not answer") from error
        raise


async def log_in(
    target: Target,
    config: ClientConfig,
    *,
    trust: HostKeyCheck,
    credentials: LoginAnswers,
    sock: Sock,
    trace: Trace | None,
    key_log: bool = False,
) -> Connection:
    """Log in to a host that was looked up, without a limit of time: for programs that ask users.

    The parameters are those of :func:`connect`.

    :param key_log: whether ``trace`` gets the secrets of key exchanges too.
    """
    given = {"trust": trust, "credentials": credentials, "trace": trace}
    options = cast("ConnectOptions", {**NO_OPTIONS, **given})
    way = _Way(sock, None, None, NO_OPTIONS, None)
    return await _start(target, config, options, way, key_log)


async def _start(
    target: Target, config: ClientConfig, options: ConnectOptions, way: _Way, key_log: bool = False
) -> Connection:
    """Log in. What the caller gives counts before the configuration."""
    config = configured.with_gssapi(options["gssapi"], config)
    gssapi = configured.initiator(target, config)
    offered = options["algorithms"] or algorithms_of(options["profile"], config)
    trust = options["trust"] or known_hosts_of(options["known_hosts"], target, config)
    keepalive, count, limits = options["keepalive"], options["keepalive_count"], options["limits"]
    trace = options.get("trace")
    if limits is None:
        limits = config.rekey_limit.apply(DEFAULT_LIMITS)
        if config.required_rsa_size > limits.host_rsa_bits:
            limits = replace(limits, host_rsa_bits=config.required_rsa_size)
    ciphers = options["ssh1_ciphers"] or config.cipher or SSH1_CIPHERS
    place = (target.host, target.port)
    if options["algorithms"] is None and (config.host_key_algorithms or "+")[0] not in "+-":
        order = offered.host_key  # the user's, whatever is on record
        if isinstance(trust, KnownHostsFile):
            trust.asks_for(*place, order)
    elif isinstance(trust, KnownHostsFile) and trust.waits:
        order = await asyncio.to_thread(trust.algorithms, *place, offered.host_key)
    else:
        order = trust.algorithms(*place, offered.host_key)
    engine = client_engine(
        ClientOptions(
            algorithms=replace(offered, host_key=order),
            limits=limits,
            trace=trace is not None,
            key_log=key_log,
            user=target.user,
            ssh1_ciphers=tuple(ciphers),
            software=software(config.version_addendum),
            host_bound=config.pubkey_authentication != UNBOUND,
            gss_kex=() if gssapi is None else await gssapi.offered(),
        ),
        options["protocols"] or config.protocol,
    )
    login = options.get("credentials") or identities_of(
        target, config, options, offered.signatures, trust, lambda: way.reached
    )
    if isinstance(login, Identities):
        login.gssapi = gssapi
    connection = Connection(
        engine,
        host=target.host,
        port=target.port,
        user=target.user,
        trust=trust,
        login=login,
        gssapi=gssapi,
        keepalive=(config.server_alive_interval or None)
        if isinstance(keepalive, Default)
        else keepalive,
        keepalive_count=config.server_alive_count_max if count is None else count,
        trace=trace,
    )
    await _log_in(connection, way)
    if config.channel_timeouts:
        IdleWatch(connection, config.channel_timeouts, None, _tell_idle)
    return connection


def _tell_idle(channel: Channel) -> None:
    _log.info("channel %d (%s) is closed: it had no traffic", channel.number, channel.kind)


class _Way:
    """How to reach the host, in a limited time.

    :ivar shared: the options of the connection that jump hosts which are named get too.
    :ivar timeout: the seconds for all of it, or None; DEFAULT until the configuration is known.
    :ivar dialing: how to connect to the host, if the configuration says it.
    :ivar reached: the socket of the connection to the host, once there is one.
    """

    reached: socket.socket | None = None

    def __init__(
        self,
        sock: Sock | None,
        jump: Jump | Sequence[Jump] | None,
        files: Config | None,
        shared: HopOptions,
        timeout: float | Default | None,
    ) -> None:
        self.timeout = timeout
        self.shared = shared
        self.dialing: DialOptions | None = None
        self._sock = sock
        self._files = files
        self._until: float | None = None
        self._named: list[Destination | Connection] = []
        self._hops: list[Hop | Connection] = []
        self._command: ProxyCommand | None = None
        if jump is not None:
            from nacre.client.route import jump_hosts

            if sock is not None:
                raise ConfigurationError("sock and jump exclude each other: give one of them")
            self._named = jump_hosts(jump)

    async def look_up(self, host: str, port: int | None, user: str | None) -> Looked:
        """Return what the configuration says for the host, and find the way to it."""
        if self._files is None and not self._named:
            port = DEFAULT_PORT if port is None else port
            return Target(host, host, port, user or getpass.getuser()), _PLAIN
        from nacre.config.destination import Destination

        # Commands may run, and names be looked up.
        target, config, hops = await asyncio.to_thread(
            self._read, Destination(host, user or None, port)
        )
        if self._files is not None:
            self.follow(target, config)
        if hops or self._named:
            self._pass(hops)
        return target, config

    def _read(self, destination: Destination) -> tuple[Target, ClientConfig, list[Looked]]:
        files = self._files or Config(())
        target, config = configured.look_up(files, destination)
        if self._sock is not None:
            return target, config, []
        if not self._named:
            return target, config, configured.jumps(target, config, files)
        named = [one for one in self._named if not isinstance(one, Connection)]
        hops = [configured.look_up(files, one) for one in named]
        if len(named) == len(self._named):
            # No open connection comes before them.
            hops[:0] = configured.jumps(*hops[0], files)
        return target, config, hops

    def _pass(self, looked: list[Looked]) -> None:
        """Take jump hosts as the way."""
        from nacre.client.route import Hop
        from nacre.keys.hosts.known_hosts import host_name

        self._command = None
        self._hops = [one for one in self._named[:1] if isinstance(one, Connection)]
        for place, config in looked:
            name = safe(host_name(place.name, place.port))
            log_in = partial(self._log_in_to_hop, place, config)
            self._hops.append(Hop(name, place.host, place.port, log_in))

    def follow(self, target: Target, config: ClientConfig) -> None:
        """Take what a host's configuration says of the way to it, without its jump hosts."""
        if isinstance(self.timeout, Default) and config.connect_timeout is not None:
            self.timeout = float(config.connect_timeout)
        if config.settings:
            self.dialing = replace(configured.dialing(config), timeout=None)
        if self._sock is None and not self._named and config.proxy_command is not None:
            self._command, _ = configured.proxy(target, config.proxy_command)

    def start(self) -> asyncio.Timeout:
        """Start the clock, and return the deadline."""
        if isinstance(self.timeout, Default):
            self.timeout = _TIMEOUT
        if self.timeout is not None:
            self._until = asyncio.get_running_loop().time() + self.timeout
        return self._deadline()

    def _deadline(self) -> asyncio.Timeout:
        return asyncio.timeout_at(self._until)

    async def carrier(self, host: str, port: int) -> Carrier | None:
        """Return what carries the connection; None if it needs a socket to the host itself."""
        if self._hops:
            from nacre.client.route import through

            return await through(self._hops, host, port, self._deadline)
        if self._command is not None:
            return await self._command.start()
        if self._sock is None or isinstance(self._sock, socket.socket):
            return self._sock
        from nacre.client.route import carried

        return await carried(self._sock)

    async def _log_in_to_hop(
        self, place: Target, config: ClientConfig, carrier: Carrier | None
    ) -> Connection:
        left = None
        if self._until is not None:
            left = max(0.0, self._until - asyncio.get_running_loop().time())
        way = _Way(cast("Sock | None", carrier), None, None, self.shared, left)
        way.follow(place, config)
        return await _start(place, config, cast("ConnectOptions", self.shared), way)


async def _log_in(connection: Connection, way: _Way) -> None:
    carrier: Carrier | None = None
    deadline = way.start()
    try:
        carrier = await way.carrier(connection.host, connection.port)
        async with deadline:
            if carrier is None:
                how = way.dialing or DialOptions()
                carrier = await dial(connection.host, connection.port, how)
            way.reached = carrier if isinstance(carrier, socket.socket) else None
            await _attach(connection, carrier)
            await connection.wait_authenticated()
    except NacreError as error:
        error.phase = error.phase or _reached(connection)
        try:
            await _say_goodbye(connection)
        finally:
            _drop(connection, carrier)
        raise
    except BaseException as error:
        late = _too_late(connection, way.timeout) if isinstance(way.timeout, float | int) else ""
        phase = _reached(connection)
        _drop(connection, carrier)
        if isinstance(error, TimeoutError) and deadline.expired():
            exceeded = DeadlineExceeded(late)
            exceeded.phase = phase
            raise exceeded from error
        raise


async def _say_goodbye(connection: Connection) -> None:
    """Let the last bytes, such as a DISCONNECT with its reason, leave before the connection is cut.

    The transport must be closed before the caller, whose loop may end with the error, gets it.
    """
    if connection.driver.transport is not None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await connection.close()


def _drop(connection: Connection, carrier: Carrier | None) -> None:
    connection.abort()
    if carrier is None or connection.driver.transport is not None:
        return
    if isinstance(carrier, socket.socket):
        carrier.close()
    else:
        carrier.abort()


async def _attach(connection: Connection, carrier: Carrier) -> None:
    if not isinstance(carrier, socket.socket):
        from nacre.aio.carrier import StreamTransport

        connection.via = cast("Connection | None", carrier.via)
        await StreamTransport(connection.driver, carrier).start()
        return
    loop = asyncio.get_running_loop()
    try:
        await loop.create_connection(lambda: connection.driver, sock=carrier)
    except (OSError, ValueError) as error:  # ValueError: it is no stream socket
        raise ConnectFailed(f"the socket can't be used: {error}") from error


def _reached(connection: Connection) -> str:
    """Return how far the login has come: see :class:`~nacre.errors.NacreError`."""
    if connection.ended:
        if not connection.peer_version:
            return "version"
        return "kex" if connection.server_host_key is None else "authentication"
    if connection.driver.transport is None:
        return "connect"
    return connection.engine.phase.name.lower()


def _too_late(connection: Connection, timeout: float) -> str:
    where = f"{safe(connection.host)} port {connection.port}"
    if connection.driver.transport is None:
        return (
            f"no connection to {where} within {timeout:.3g} seconds; "
            "check the address, and the network and firewalls on the way"
        )
    through = "" if connection.via is None else f", through {connection.via.name}"
    step = _STEPS.get(connection.engine.phase, "logging in")
    return f"{where}{through} took more than {timeout:.3g} seconds, while {step}"


def _check_files(known_hosts: object) -> None:
    if known_hosts is None:
        raise ConfigurationError(
            "known_hosts=None names no file; to trust any server, and anyone on the network path, "
            "pass trust=nacre.AnyHostKey()"
        )


def _files(config: Config | Path | Default | None) -> Config | None:
    if config is None:
        return None
    if isinstance(config, Config):
        return config
    return Config.load(None if isinstance(config, Default) else config)
