"""The settings of a server: the parameters of :func:`nacre.listen` in one value."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict, Unpack

from nacre.aio.keepalive import check_times
from nacre.aio.versions import PROTOCOLS
from nacre.errors import ConfigurationError, NacreError
from nacre.keys import PrivateKey, load_private
from nacre.limits import DEFAULT_LIMITS, Limits
from nacre.protocol.options import (
    DEFAULT_ALGORITHMS,
    SSH1_CIPHERS,
    Algorithms,
    Profile,
    ServerOptions,
)
from nacre.protocol.requests import Exec, Request, Subsystem
from nacre.scp.command import parse_scp
from nacre.server.admission.bans import BanTable
from nacre.server.admission.networks import NetworkSet, parse_networks
from nacre.server.admission.proxy_header import ClientOrigin
from nacre.server.admission.startups import MaxStartups, Startups
from nacre.server.handover import HandOver
from nacre.server.hostkeys import HostKeys, load_certificates
from nacre.server.judge import Judge, MakeJudge
from nacre.server.peer import NO_TERMS, ConnectionTerms, Log, to_logging
from nacre.server.policy import Policy
from nacre.server.session import Session
from nacre.wire import given
from nacre.wire.text import safe

if TYPE_CHECKING:
    from nacre.config.server.config import ServerConfig
    from nacre.sftp.filesystems.base import Filesystem

Handler: TypeAlias = Callable[[Session], Coroutine[Any, Any, int | None]]
FindOrigin: TypeAlias = Callable[[int, socket.socket], Awaitable["ClientOrigin | None"]]
"""Reads the header of a trusted proxy, for the connection of this number; raises NacreError."""

KEEPALIVE = 300.0
"""Seconds of silence before a keepalive request: a client that has vanished behind a proxy or a
forwarded connection, where TCP does not notice it, is given up after 20 minutes."""

FilesystemFactory: TypeAlias = Callable[[Session], "Filesystem"]


class ListenOptions(TypedDict, total=False):
    """The parameters of :func:`nacre.listen` that ``nacre.blocking.listen`` passes on unchanged."""

    host_keys: Sequence[PrivateKey]
    config: str | os.PathLike[str] | None
    sftp: FilesystemFactory | None
    algorithms: Algorithms | None
    profile: Profile
    protocols: Sequence[int]
    ssh1_ciphers: Sequence[str] | None
    limits: Limits
    login_grace: float
    max_startups: str
    keepalive: float | None
    keepalive_count: int
    banner: str
    accept_env: Sequence[str]
    proxy_from: Sequence[str]
    sock: socket.socket | None
    startups: Startups | None
    log: Log | None


class ReloadOptions(TypedDict, total=False):
    """The parameters of :meth:`nacre.Server.reload`; None leaves a setting unchanged."""

    host_keys: Sequence[PrivateKey] | None
    policy: Policy | None
    handler: Handler | None
    sftp: FilesystemFactory | None
    algorithms: Algorithms | None
    limits: Limits | None
    login_grace: float | None
    max_startups: str | None
    keepalive: float | None
    keepalive_count: int | None
    banner: str | None
    accept_env: Sequence[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """What every new connection of a server gets.

    The fields are the parameters of :func:`nacre.listen`, which documents them, without those that
    choose where to listen, and these. A parameter that was left out has its default here.

    :ivar terms: what a configuration says besides.
    :ivar judge: makes what answers the questions of a client's login.
    :ivar hand_over: passes a connection on to another process at the login, or None.
    :ivar on_session: called when a client has opened a session, whose requests come next.
    :ivar verify: whether the engine verifies the signatures of users' keys, and not the judge.
    :ivar bans: the networks whose connections are closed at once; None for no bans.
    :ivar find_origin: reads the headers of proxies, in place of this process; None for this one.

    Derived fields:

    :ivar options: what each engine gets.
    :ivar announced: the host keys that clients are told of.
    :ivar startup_limit: ``max_startups``, parsed.
    :ivar proxies: ``proxy_from``, parsed.
    :raises ConfigurationError: there is no host key, or a value is not possible.
    """

    host_keys: Sequence[PrivateKey]
    policy: Policy
    handler: Handler | None = None
    sftp: FilesystemFactory | None = None
    algorithms: Algorithms = DEFAULT_ALGORITHMS
    protocols: Sequence[int] = PROTOCOLS
    ssh1_ciphers: Sequence[str] = SSH1_CIPHERS
    limits: Limits = DEFAULT_LIMITS
    login_grace: float = 120.0
    max_startups: str = "10:30:100"
    keepalive: float | None = KEEPALIVE
    keepalive_count: int = 3
    banner: str = ""
    accept_env: Sequence[str] = ()
    proxy_from: Sequence[str] = ()
    startups: Startups = field(default_factory=Startups)
    log: Log = to_logging
    terms: ConnectionTerms = NO_TERMS
    judge: MakeJudge = Judge
    hand_over: HandOver | None = None
    on_session: Callable[[], None] = lambda: None
    verify: bool = True
    find_origin: FindOrigin | None = None
    bans: BanTable | None = None

    options: ServerOptions = field(init=False, repr=False)
    announced: HostKeys = field(init=False, repr=False)
    startup_limit: MaxStartups = field(init=False, repr=False)
    proxies: NetworkSet = field(init=False, repr=False)

    def __post_init__(self) -> None:
        given.several(self.host_keys, "host_keys")
        check_times(self.keepalive_count, keepalive=self.keepalive, login_grace=self.login_grace)
        if not self.host_keys:
            raise ConfigurationError(
                'a server needs a host key: make one with nacre.generate("ssh-ed25519") and keep it'
            )
        options = ServerOptions(
            algorithms=self.algorithms,
            limits=self.limits,
            host_keys=tuple(self.host_keys),
            ssh1_ciphers=tuple(self.ssh1_ciphers),
            software=self.terms.software,
            gss_kex=self.terms.gss_kex,
            handover=self.hand_over is not None,
            verify=self.verify,
        )
        object.__setattr__(self, "options", options)
        announced = HostKeys(options.host_keys)
        object.__setattr__(self, "announced", announced)
        object.__setattr__(self, "startup_limit", MaxStartups.parse(self.max_startups))
        object.__setattr__(self, "proxies", NetworkSet(parse_networks(self.proxy_from)))
        # A caller that changes its list later must not change this value.
        object.__setattr__(self, "proxy_from", tuple(self.proxy_from))
        object.__setattr__(self, "accept_env", tuple(self.accept_env))

    def changed(self, **changes: Unpack[ReloadOptions]) -> ServerSettings:
        """Return these settings with some changed; None leaves a setting unchanged.

        :raises ConfigurationError: a value is not possible.
        :raises TypeError: a setting that can't be changed in a server that listens.
        """
        if fixed := changes.keys() - ReloadOptions.__annotations__:
            raise TypeError(f"can't be changed by reload: {', '.join(sorted(fixed))}")
        given = {name: value for name, value in changes.items() if value is not None}
        return replace(self, **given)  # type: ignore[arg-type]

    def serves(self, request: Request) -> bool:
        """Tell whether there is something to serve ``request`` with.

        With files that is the subsystem ``sftp``, and with a handler everything but subsystems;
        with files alone scp too.
        """
        if isinstance(request, Subsystem):
            return request.name == "sftp" and self.sftp is not None
        if self.handler is not None:
            return True
        if not isinstance(request, Exec) or self.sftp is None:
            return False
        return parse_scp(request.command) is not None

    async def serve(self, session: Session) -> int | None:
        """Serve a session that was granted, with its files or the handler; returns its status."""
        if self.sftp is not None and (session.subsystem == "sftp" or self.handler is None):
            from nacre.server.dispatch import serve_files

            return await serve_files(session, self.sftp(session))
        assert self.handler is not None
        return await self.handler(session)


def configured(given: dict[str, Any], config: ServerConfig) -> dict[str, Any]:
    """Return the arguments of :class:`ServerSettings`: the given ones, and what a file says.

    :param given: arguments; one that has its default value counts as not given.
    :raises ConfigurationError: the file of a host key or of the banner can't be used.
    """
    told: dict[str, Any] = {
        "algorithms": config.algorithms(),
        "protocols": config.protocol,
        "limits": config.limits(),
        "login_grace": float(config.login_grace_time),
        "max_startups": config.max_startups,
        "keepalive": config.keepalive,
        "keepalive_count": config.client_alive_count_max,
        "accept_env": config.accept_env,
        "terms": ConnectionTerms.of(config),
    }
    _check_gss(told["terms"])
    defaults = {one.name: one.default for one in fields(ServerSettings)} | {"host_keys": ()}
    named = {name: value for name, value in given.items() if value != defaults[name]}
    if "host_keys" not in named:
        keys = [_host_key(path) for path in config.host_keys]
        told["host_keys"] = [*keys, *load_certificates(config.host_certificates, keys, _refuse)]
    if "banner" not in named and config.banner is not None:
        told["banner"] = _text("Banner", os.fspath(config.banner)).decode(errors="replace")
    return given | told | named


def _check_gss(terms: ConnectionTerms) -> None:
    """Check that this host has a key for key exchanges by GSSAPI, where they are to be offered.

    :raises ConfigurationError: it has none.
    """
    if terms.gss_kex:
        from nacre.gss.acceptor import refusal

        if (reason := refusal(strict=terms.strict_acceptor)) is not None:
            raise ConfigurationError(f"GSSAPIKeyExchange: {reason}")


def _refuse(problem: str) -> None:
    raise ConfigurationError(problem)


def _host_key(path: str) -> PrivateKey:
    try:
        return load_private(_text("HostKey", path))
    except NacreError as error:
        raise ConfigurationError(f"HostKey {safe(path)}: {error}") from None


def _text(keyword: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigurationError(f"{keyword}: can't read {safe(path)}: {error.strerror}") from error
