"""From the configuration and the state directory of a daemon to a server's settings."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from nacre.config.server.config import ServerConfig
from nacre.config.server.rules import ServerRules
from nacre.daemon.audit.events import NO_AUDIT, AuditPlan
from nacre.daemon.edge_settings import NO_EDGE, EdgeSettings
from nacre.daemon.hostkeys import (
    DEFAULT_TYPES,
    key_types,
    load_files,
    load_host_keys,
    names_library,
    signer,
)
from nacre.daemon.log.place import ON_STANDARD_ERROR, LogPlace
from nacre.daemon.log.server_log import LogDestination
from nacre.daemon.names import name_of
from nacre.daemon.sockets import Address, ListeningSockets, configured
from nacre.daemon.watching.frames import WatchMode
from nacre.errors import ConfigurationError
from nacre.keys import PrivateKey
from nacre.protocol.options import Profile
from nacre.server.admission.startups import Startups
from nacre.server.hostkeys import load_certificates
from nacre.server.peer import ConnectionTerms
from nacre.server.policy import Policy
from nacre.server.settings import Handler, ServerSettings
from nacre.value import replace as replaced

_SSH1_CIPHERS = {"default": ("3des", "blowfish"), "legacy": ("3des", "blowfish", "des")}


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSettings:
    """What the servers of one daemon have in common.

    The host keys and the banner are files: they are read at each call, so a reload calls again.

    :ivar read: reads the configuration again; None if there is no file.
    :ivar needs_restart: names what that has found changed, and what a reload does not change.
    :ivar state: the state directory, or None.
    :ivar as_sshd: host keys are those that the configuration names, and where one of several keys
        or addresses can't be used, or the banner, that is reported and no error.
    :ivar addresses: where to listen; empty for where the configuration says.
    :ivar edge: what the server does where strangers meet it.
    :ivar end_processes: end the processes that outlive their sessions.
    :ivar log: where the log goes to, and in which form.
    :ivar audit: whether events are kept, and the contents of transfers hashed.
    :ivar watch: whether sessions may be watched.
    :ivar api: a descriptor that can be read when the process of the API has ended; None for no API.
    """

    rules: ServerRules
    read: Callable[[], ServerRules] | None = None
    needs_restart: Callable[[], tuple[str, ...]] = tuple
    profile: Profile
    state: Path | None
    as_sshd: bool = False
    addresses: tuple[Address, ...] = ()
    edge: EdgeSettings = NO_EDGE
    end_processes: bool = False
    drain: int = 0
    log: LogPlace = ON_STANDARD_ERROR
    audit: AuditPlan = NO_AUDIT
    watch: WatchMode = "no"
    api: int | None = None

    @property
    def config(self) -> ServerConfig:
        """The configuration outside of Match blocks."""
        return self.rules.base

    def again(self) -> DaemonSettings:
        """Return these settings with the configuration as its file is now.

        :raises ConfigurationError: the file can't be read, or is wrong.
        """
        return self if self.read is None else replace(self, rules=self.read())

    @property
    def where(self) -> tuple[Address, ...]:
        """The addresses to listen on."""
        return self.addresses or configured(self.config)

    def listen(
        self,
        sockets: ListeningSockets,
        report: Callable[[str], None],
        close: Callable[[socket.socket], None] = socket.socket.close,
    ) -> None:
        """Have ``sockets`` listen where the configuration says.

        As sshd, a daemon in its place is content with one address; ``report`` is called with the
        reason for each of the others. ``close`` closes a socket that goes.

        :raises StateError: an address can't be used.
        """
        sockets.change(
            self.where,
            keepalive=self.config.tcp_keep_alive,
            close=close,
            report=report if self.as_sshd else None,
        )

    @property
    def destination(self) -> LogDestination:
        """Where the log goes to."""
        return self.log.destination(self.config.syslog_facility)

    @property
    def speaks_ssh1(self) -> bool:
        """Whether SSH-1 is switched on."""
        return 1 in self.config.protocol

    def host_keys(self, report: Callable[[str], None] | None = None) -> tuple[PrivateKey, ...]:
        """Return the host keys: those that HostKey names, or else those of the state directory.

        Those that HostCertificate has certificates of come a second time, with the certificate. In
        the state directory these are keys of the default types, and of the types of configured
        algorithms; those that are missing are made.

        :param report: called with the reason for each named file that can't be used.
        :raises StateError: there is no key, or one can't be made or used.
        """
        keys = self._plain_host_keys(report or _ignore)
        return keys + load_certificates(self.config.host_certificates, keys, report or _ignore)

    def _plain_host_keys(self, report: Callable[[str], None]) -> tuple[PrivateKey, ...]:
        config = self.config
        if self.as_sshd or self.state is None or config.host_keys:
            return load_files(
                config.host_keys,
                report,
                rsa1=self.speaks_ssh1,
                agent=config.host_key_agent is not None,
                library=names_library(config.security_key_provider),
            )
        types: tuple[str, ...] = DEFAULT_TYPES
        if config.host_key_algorithms is not None:
            types = key_types(config.algorithms(self.profile).host_key)
        return load_host_keys(self.state, (*types, "rsa1") if self.speaks_ssh1 else types)

    def banner(self, report: Callable[[str], None] | None = None) -> str:
        """Return the text to show before login.

        :param report: called with the reason why there is none, where that is no error: as sshd, a
            daemon in its place goes on without it.
        :raises ConfigurationError: its file can't be read.
        """
        if self.config.banner is None:
            return ""
        try:
            return self.config.banner.read_text(errors="replace")
        except OSError as error:
            reason = f"Banner: can't read {self.config.banner}: {error.strerror}"
            if not self.as_sshd or report is None:
                raise ConfigurationError(reason) from error
            report(reason)
            return ""

    def server(
        self,
        policy: Policy,
        handler: Handler,
        startups: Startups,
        report: Callable[[str], None] | None = None,
    ) -> ServerSettings:
        """Return the settings of the daemon's servers.

        :param startups: the count that all servers and all workers share.
        :param report: see :meth:`host_keys` and :meth:`banner`.
        :raises StateError: a host key can't be made or used.
        :raises ConfigurationError: the banner's file can't be read.
        """
        config = self.config
        algorithms = config.algorithms(self.profile)
        if self.rules.varies:
            algorithms = replaced(algorithms, signatures=self.rules.signatures(self.profile))
        keys = self.host_keys(report)
        sign = signer(config.host_key_agent, config.security_key_provider, keys)
        return ServerSettings(
            host_keys=keys,
            policy=policy,
            handler=handler,
            algorithms=algorithms,
            protocols=config.protocol,
            ssh1_ciphers=_SSH1_CIPHERS[self.profile],
            limits=config.limits(),
            login_grace=config.login_grace_time,
            max_startups=config.max_startups,
            startups=startups,
            keepalive=config.keepalive,
            keepalive_count=config.client_alive_count_max,
            banner=self.banner(report),
            accept_env=config.accept_env,
            proxy_from=self.edge.proxy_from,
            terms=_with_gss(ConnectionTerms.of(config, name_of, sign), report or _ignore),
        )


def _with_gss(terms: ConnectionTerms, report: Callable[[str], None]) -> ConnectionTerms:
    """Return the terms without key exchanges by GSSAPI if the host has no key for them.

    A client that chose such an exchange could not go on with another one.
    """
    if not terms.gss_kex:
        return terms
    from nacre.gss.acceptor import refusal

    reason = refusal(strict=terms.strict_acceptor)
    if reason is None:
        return terms
    report(f"GSSAPIKeyExchange: {reason}")
    return replaced(terms, gss_kex=())


def _ignore(problem: str) -> None:
    """Report nothing."""
