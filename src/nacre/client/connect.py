"""``nacre.connect``: from a host's name to a connection that is logged in.

The order of reading: :func:`connect` collects the options, its ``start`` builds the connection,
``_log_in`` dials, waits for the login and turns a failure into the right error.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, TypeAlias

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
    sock: socket.socket | None = None,
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
    :param timeout: seconds from the lookup of the name to the end of authentication; None for no
        limit.
    :param keepalive: seconds of silence after which the server is probed.
    :param keepalive_count: how many probes may stay unanswered.
    :param sock: a connected stream socket to use; the connection owns it from now on. The key is
        still checked for ``host``.
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

    async def start() -> Connection:
        order = trust.algorithms(host, port, offered.host_key)
        options = ClientOptions(
            algorithms=replace(offered, host_key=order),
            limits=limits,
            trace=trace is not None,
            user=user,
            ssh1_ciphers=tuple(ssh1_ciphers or SSH1_CIPHERS),
        )
        connection = Connection(
            client_engine(options, protocols),
            host=host,
            port=port,
            user=user,
            trust=trust,
            login=credentials,
            keepalive=keepalive,
            keepalive_count=keepalive_count,
            trace=trace,
        )
        await _log_in(connection, sock, timeout)
        return connection

    return Opening(start)


async def _log_in(
    connection: Connection, sock: socket.socket | None, timeout: float | None
) -> None:
    deadline = asyncio.timeout(timeout)
    try:
        async with deadline:
            if sock is None:
                sock = await dial(connection.host, connection.port)
            await _attach(connection, sock)
            await connection.wait_authenticated()
    except NacreError:
        try:
            await _say_goodbye(connection)
        finally:
            _drop(connection, sock)
        raise
    except BaseException as error:
        late = _too_late(connection, timeout)
        _drop(connection, sock)
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


def _drop(connection: Connection, sock: socket.socket | None) -> None:
    connection.abort()
    if sock is not None and connection.driver.transport is None:
        sock.close()


async def _attach(connection: Connection, sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    try:
        await loop.create_connection(lambda: connection.driver, sock=sock)
    except (OSError, ValueError) as error:  # ValueError: it is no stream socket
        raise ConnectFailed(f"the socket can't be used: {error}") from error


def _too_late(connection: Connection, timeout: float | None) -> str:
    where = f"{safe(connection.host)} port {connection.port}"
    if connection.driver.transport is None:
        return (
            f"no connection to {where} within {timeout} seconds; "
            "check the address, and the network and firewalls on the way"
        )
    step = _STEPS.get(connection.engine.phase, "logging in")
    return f"{where} took more than {timeout} seconds, while {step}"


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
