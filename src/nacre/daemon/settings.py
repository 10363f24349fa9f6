"""From the configuration and the state directory of ``nacre serve`` to a server's settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nacre.config.server.config import ServerConfig
from nacre.config.server.rules import ServerRules
from nacre.daemon.hostkeys import DEFAULT_TYPES, key_types, load_host_keys
from nacre.errors import ConfigurationError
from nacre.keys import PrivateKey
from nacre.protocol.options import Profile
from nacre.server.policy import Policy
from nacre.server.settings import Handler, ServerSettings
from nacre.server.startups import Startups

_SSH1_CIPHERS = {"default": ("3des", "blowfish"), "legacy": ("3des", "blowfish", "des")}


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSettings:
    """What the servers of one daemon have in common.

    The host keys and the banner are files: they are read at each call, so a reload calls again.

    :ivar rules: the configuration, with its Match blocks.
    :ivar state: the state directory.
    :ivar end_processes: end the processes that outlive their sessions.
    """

    rules: ServerRules
    profile: Profile
    state: Path
    end_processes: bool = False

    @property
    def config(self) -> ServerConfig:
        """What holds outside of Match blocks."""
        return self.rules.base

    @property
    def speaks_ssh1(self) -> bool:
        """Whether SSH-1 is switched on."""
        return 1 in self.config.protocol

    def host_keys(self) -> tuple[PrivateKey, ...]:
        """Return the host keys: the default types, and the types of configured algorithms.

        Keys that are missing are made.

        :raises StateError: a key can't be made or used.
        """
        types: tuple[str, ...] = DEFAULT_TYPES
        if self.config.host_key_algorithms is not None:
            types = key_types(self.config.algorithms(self.profile).host_key)
        return load_host_keys(self.state, (*types, "rsa1") if self.speaks_ssh1 else types)

    def banner(self) -> str:
        """Return the text to show before login.

        :raises ConfigurationError: its file can't be read.
        """
        if self.config.banner is None:
            return ""
        try:
            return self.config.banner.read_text(errors="replace")
        except OSError as error:
            raise ConfigurationError(
                f"Banner: can't read {self.config.banner}: {error.strerror}"
            ) from error

    def server(self, policy: Policy, handler: Handler, startups: Startups) -> ServerSettings:
        """Return the settings of the daemon's servers.

        :param startups: the count that all servers and all workers share.
        :raises StateError: a host key can't be made or used.
        :raises ConfigurationError: the banner's file can't be read.
        """
        config = self.config
        return ServerSettings(
            host_keys=self.host_keys(),
            policy=policy,
            handler=handler,
            algorithms=config.algorithms(self.profile),
            protocols=config.protocol,
            ssh1_ciphers=_SSH1_CIPHERS[self.profile],
            limits=config.limits(),
            login_grace=config.login_grace_time,
            max_startups=config.max_startups,
            startups=startups,
            keepalive=config.keepalive,
            keepalive_count=config.client_alive_count_max,
            banner=self.banner(),
            accept_env=config.accept_env,
        )
