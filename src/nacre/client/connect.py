"""``nacre.connect``: from a host's name to a connection that is logged in.

The order of reading: :func:`connect` collects the options, ``_start`` builds the connection,
``_log_in`` reaches the host, waits for the login and turns a failure into the right error.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias, TypedDict, cast

from nacre.aio.connection import Trace
from nacre.aio.dial import dial
from nacre.aio.keepalive import check_times
from nacre.aio.versions import PROTOCOLS, client_engine
from nacre.aio.waiting import Opening
from nacre.client.agent import Agent
from nacre.client.connection import Connection, HostKeyCheck, LoginAnswers
from nacre.client.identities import Identities
from nacre.client.trust import KnownHostsFile
from nacre.errors import ConfigurationError, ConnectFailed, DeadlineExceeded, NacreError
from nacre.keys import PrivateKey
from nacre.limits import DEFAULT_LIMITS, Limits
from nacre.protocol.options import SSH1_CIPHERS, Algorithms, ClientOptions, Profile
from nacre.protocol.options import algorithms as default_algorithms
from nacre.protocol.phases import Phase
from nacre.protocol.tcpip import check_port
from nacre.value import replace
from nacre.wire import given
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.client.route import Carrier, Hop, Jump, Sock
    from nacre.config.destination import Destination


class Default:
    """The type of ``DEFAULT``."""


DEFAULT: Final = Default()
"""Stands for the user's ``known_hosts`` files and the system's."""

Path: TypeAlias = str | os.PathLike[str]

_GOODBYE = 1.0
"""Seconds that a peer has to close the connection after a failed login."""

_STEPS = {
    Phase.VERSION: "waiting for the server's identification; is it an SSH server?",
    Phase.KEX: "exchanging keys",
    Phase.AUTHENTICATION: "logging in",
}


class HopOptions(TypedDict, total=False):
    """Options of :func:`connect` that jump hosts get too."""

    keys: Sequence[PrivateKey | Path] | None
    passphrase: str | None
    agent: bool
    known_hosts: Path | Sequence[Path] | Default
    trust: HostKeyCheck | None
    algorithms: Algorithms | None
    profile: Profile
    protocols: Sequence[int]
    ssh1_ciphers: Sequence[str] | None
    limits: Limits
    keepalive: float | None
    keepalive_count: int


class ConnectOptions(HopOptions, total=False):
    """Options of :func:`connect` that :func:`nacre.blocking.connect` passes on as they are."""

    user: str | None
    password: str | None
    credentials: LoginAnswers | None
    timeout: float | None
    trace: Trace | None


def connect(
    host: str,
    port: int = 22,
    *,
    user: str | None = None,
    password: str | None = None,
    keys: Sequence[PrivateKey | Path] | None = None,
    passphrase: str | None = None,
    agent: bool = True,
    known_hosts: Path | Sequence[Path] | Default = DEFAULT,
    trust: HostKeyCheck | None = None,
    credentials: LoginAnswers | None = None,
    algorithms: Algorithms | None = None,
    profile: Profile = "default",
    protocols: Sequence[int] = PROTOCOLS,
    ssh1_ciphers: Sequence[str] | None = None,
    limits: Limits = DEFAULT_LIMITS,
    timeout: float | None = 30.0,
    keepalive: float | None = None,
    keepalive_count: int = 3,
    jump: Jump | Sequence[Jump] | None = None,
    sock: Sock | None = None,
    trace: Trace | None = None,
) -> Opening[Connection]:
    """Connect and log in: await it for the connection, or use ``async with``.

    ::

        async with nacre.connect("example.org", user="alice") as ssh:
            print((await ssh.run("uname -a")).stdout)

    :param user: the user name; by default the name of this account.
    :param password: for the methods ``password`` and ``keyboard-interactive``.
    :param keys: private keys, or the names of their files, in order; no other keys of the agent
        are used then. By default the usual files and all keys of the agent. Some of the agent's
        keys are tried only after a password that was given: each key counts as a failure.
    :param passphrase: for encrypted key files.
    :param agent: whether to use the agent that ``SSH_AUTH_SOCK`` names.
    :param known_hosts: files with keys of known hosts; by default the user's and the system's.
    :param trust: decides on host keys in place of ``known_hosts``.
    :param credentials: answers for the login in place of ``password``, ``keys``, ``passphrase`` and
        ``agent``.
    :param algorithms: what to offer; see :func:`nacre.algorithms`.
    :param profile: ``legacy`` offers old algorithms too; ignored with ``algorithms``.
    :param protocols: versions of the protocol: ``(2, 1)`` uses SSH-1 with servers that have nothing
        else, ``(1,)`` only SSH-1. SSH-1 is weak, and each use is logged as a warning.
    :param ssh1_ciphers: ciphers for SSH-1, best first: of ``3des``, ``blowfish`` and ``des``.
    :param timeout: seconds from the lookup of the name to the end of authentication, at jump hosts
        as well: one limit for all of it. None for no limit.
    :param keepalive: seconds of silence after which the server is probed.
    :param keepalive_count: how many probes may stay unanswered.
    :param jump: the jump host to connect through, or a list of them in the order in which to visit
        them. Each is ``[user@]host[:port]``, an ``ssh://`` URI, or a connection that is open, which
        may come first and stays open. Jump hosts that are named get ``known_hosts`` or ``trust``,
        ``keys``, ``passphrase``, ``agent``, ``keepalive`` and the options of the protocol from
        here. They get neither ``user`` (which is the name of this account unless the text has one)
        nor ``password`` nor ``credentials``: where a jump host needs a password, connect to it
        first. Their connections close with this one.
    :param sock: what to use in place of a connection of its own: a connected stream socket, a
        :class:`Tunnel`, or a pair ``(reader, writer)``: streams of asyncio or of nacre, or files or
        descriptors of pipes. The connection owns it from now on. The key is still checked for
        ``host``.
    :param trace: called with every event of the protocol, and the loop's time.
    :raises ConfigurationError: a value is not possible.
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
    check_port("port", port)
    check_times(keepalive_count, timeout=timeout, keepalive=keepalive)
    user = user or getpass.getuser()
    offered = algorithms or default_algorithms(profile=profile)
    if trust is None:
        trust = _known_hosts(known_hosts)
    if credentials is None:
        credentials = _identities(user, host, password, keys, passphrase, agent, offered.signatures)
    shared: HopOptions = {
        "keys": keys,
        "passphrase": passphrase,
        "agent": agent,
        "trust": trust,
        "algorithms": offered,
        "protocols": protocols,
        "ssh1_ciphers": ssh1_ciphers,
        "limits": limits,
        "keepalive": keepalive,
        "keepalive_count": keepalive_count,
    }
    way = _Way(sock, jump, shared, timeout)
    return Opening(lambda: _start(host, port, user, credentials, trust, trace, way))


async def _start(
    host: str,
    port: int,
    user: str,
    credentials: LoginAnswers,
    trust: HostKeyCheck,
    trace: Trace | None,
    way: _Way,
) -> Connection:
    shared = way.shared
    offered = shared["algorithms"]
    assert offered is not None
    options = ClientOptions(
        algorithms=replace(offered, host_key=trust.algorithms(host, port, offered.host_key)),
        limits=shared["limits"],
        trace=trace is not None,
        user=user,
        ssh1_ciphers=tuple(shared["ssh1_ciphers"] or SSH1_CIPHERS),
    )
    connection = Connection(
        client_engine(options, shared["protocols"]),
        host=host,
        port=port,
        user=user,
        trust=trust,
        login=credentials,
        keepalive=shared["keepalive"],
        keepalive_count=shared["keepalive_count"],
        trace=trace,
    )
    await _log_in(connection, way)
    return connection


class _Way:
    """How to reach the host, in a limited time.

    :ivar shared: the options of the connection that jump hosts which are named get too.
    :ivar timeout: the seconds for all of it, or None.
    """

    def __init__(
        self,
        sock: Sock | None,
        jump: Jump | Sequence[Jump] | None,
        shared: HopOptions,
        timeout: float | None,
    ) -> None:
        self.timeout = timeout
        self._sock = sock
        self.shared = shared
        self._until: float | None = None
        self._hops: Sequence[Hop | Connection] = ()
        if jump is not None:
            from nacre.client.route import jump_hosts

            if sock is not None:
                raise ConfigurationError("sock and jump exclude each other: give one of them")
            self._hops = jump_hosts(jump, self._log_in_to_hop)

    def start(self) -> asyncio.Timeout:
        """Start the clock, and return the deadline."""
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
        if self._sock is None or isinstance(self._sock, socket.socket):
            return self._sock
        from nacre.client.route import carried

        return await carried(self._sock)

    async def _log_in_to_hop(self, hop: Destination, carrier: Carrier | None) -> Connection:
        left = None
        if self._until is not None:
            left = max(0.0, self._until - asyncio.get_running_loop().time())
        sock = cast("Sock | None", carrier)
        return await connect(
            hop.host, hop.port or 22, user=hop.user, timeout=left, sock=sock, **self.shared
        )


async def _log_in(connection: Connection, way: _Way) -> None:
    carrier: Carrier | None = None
    deadline = way.start()
    try:
        carrier = await way.carrier(connection.host, connection.port)
        async with deadline:
            if carrier is None:
                carrier = await dial(connection.host, connection.port)
            await _attach(connection, carrier)
            await connection.wait_authenticated()
    except NacreError:
        try:
            await _say_goodbye(connection)
        finally:
            _drop(connection, carrier)
        raise
    except BaseException as error:
        late = "" if way.timeout is None else _too_late(connection, way.timeout)
        _drop(connection, carrier)
        if isinstance(error, TimeoutError) and deadline.expired():
            raise DeadlineExceeded(late) from error
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


def _known_hosts(files: Path | Sequence[Path] | Default) -> HostKeyCheck:
    if isinstance(files, Default):
        return KnownHostsFile()
    if files is None:
        raise ConfigurationError(
            "known_hosts=None names no file; to trust any server, and anyone on the network path, "
            "pass trust=nacre.AnyHostKey()"
        )
    return KnownHostsFile([files] if isinstance(files, (str, os.PathLike)) else files)


def _identities(
    user: str,
    host: str,
    password: str | None,
    keys: Sequence[PrivateKey | Path] | None,
    passphrase: str | None,
    agent: bool,
    signatures: tuple[str, ...],
) -> Identities:
    return Identities(
        user,
        host,
        keys=[key for key in keys or () if isinstance(key, PrivateKey)],
        files=None if keys is None else [k for k in keys if not isinstance(k, PrivateKey)],
        agent=Agent.from_environment() if agent else None,
        strict_files=True,
        identities_only=keys is not None,
        password=password,
        passphrase=passphrase,
        signatures=signatures,
    )
