"""The options of :func:`nacre.connect`: their types, what stands for those not given, and what they
mean together with the configuration."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias, TypedDict

from nacre.agent.client import Agent
from nacre.aio.connection import Trace
from nacre.client import configured
from nacre.client.connection import LoginAnswers
from nacre.client.identities import GSSAPI_METHODS, HOSTBASED, METHODS, PUBLICKEY, Identities
from nacre.client.secrets import KEYBOARD_INTERACTIVE, PASSWORD
from nacre.client.target import Target
from nacre.client.trust.check import HostKeyCheck
from nacre.client.trust.files import KnownHostsFile
from nacre.config.client.config import ClientConfig
from nacre.config.client.files import Config
from nacre.keys import PrivateKey
from nacre.limits import Limits
from nacre.protocol.options import Algorithms, Profile
from nacre.protocol.options import algorithms as default_algorithms
from nacre.value import replace

_METHODS = (*GSSAPI_METHODS, HOSTBASED, *METHODS)
"""The methods in the order in which they are tried, unless PreferredAuthentications says it."""

_log = logging.getLogger("nacre.client")

Path: TypeAlias = str | os.PathLike[str]


class Default:
    """The type of ``DEFAULT``."""


DEFAULT: Final = Default()
"""Stands for what the configuration files say, and where they say nothing, for the default."""


class _Shared(TypedDict, total=False):
    keys: Sequence[PrivateKey | Path] | None
    passphrase: str | None
    known_hosts: Path | Sequence[Path] | Default
    trust: HostKeyCheck | None
    algorithms: Algorithms | None
    profile: Profile | None
    protocols: Sequence[int] | None
    ssh1_ciphers: Sequence[str] | None
    limits: Limits | None
    keepalive: float | Default | None
    keepalive_count: int | None
    gssapi: bool | Literal["delegate"] | None


class HopOptions(_Shared, total=False):
    """Options of :func:`connect` that jump hosts get too."""

    agent: bool | Agent


class _Own(TypedDict, total=False):
    control: Path | None
    user: str | None
    password: str | None
    credentials: LoginAnswers | None
    timeout: float | Default | None
    trace: Trace | None
    config: Config | Path | Default | None


class ConnectOptions(HopOptions, _Own, total=False):
    """The options of one connection."""


class PassedOptions(_Shared, _Own, total=False):
    """Options of :func:`connect` that :func:`nacre.blocking.connect` passes on as they are."""


NO_OPTIONS: HopOptions = {
    "keys": None,
    "passphrase": None,
    "agent": True,
    "known_hosts": DEFAULT,
    "trust": None,
    "algorithms": None,
    "profile": None,
    "protocols": None,
    "ssh1_ciphers": None,
    "limits": None,
    "keepalive": DEFAULT,
    "keepalive_count": None,
    "gssapi": None,
}
"""The options of a caller who gives none."""


def algorithms_of(profile: Profile | None, config: ClientConfig) -> Algorithms:
    """Return what to offer to a server."""
    if profile is not None:
        config = replace(config, profile=profile)
    return config.algorithms() if config.settings else default_algorithms(profile=config.profile)


def known_hosts_of(
    files: Path | Sequence[Path] | Default, target: Target, config: ClientConfig
) -> HostKeyCheck:
    """Return what decides on a host's key. Nobody is asked, and without files it must be known."""
    if not isinstance(files, Default):
        return KnownHostsFile([files] if isinstance(files, (str, os.PathLike)) else files)
    if not config.settings:
        return KnownHostsFile()
    how = configured.known_hosts(target, config)
    if "StrictHostKeyChecking" not in config.settings:
        how["strict"] = "yes"
    if "UpdateHostKeys" not in config.settings:
        how["update"] = "no"
    return KnownHostsFile(**how, notice=_log.info, alarm=_log.warning)


def identities_of(
    target: Target,
    config: ClientConfig,
    options: ConnectOptions,
    signatures: tuple[str, ...],
    trust: HostKeyCheck,
    carrier: Callable[[], socket.socket | None],
) -> Identities:
    """Return what answers the questions of a login.

    :param signatures: the signature algorithms that are offered.
    :param trust: what decides on the host's key: one that is not trusted learns no secret.
    :param carrier: returns the socket of the connection, if it has one.
    """
    keys, password = options["keys"], options.get("password")
    how = configured.identities(target, config)
    # The caller gives a secret to be used, whatever the files say of its method.
    allowed = {*configured.methods(config, _METHODS)}
    allowed |= {PASSWORD, KEYBOARD_INTERACTIVE} if password is not None else set()
    allowed |= {PUBLICKEY} if keys is not None else set()
    if keys is not None and options["gssapi"] is None:
        allowed -= {*GSSAPI_METHODS}
    preferred = "PreferredAuthentications" in config.settings
    order = config.preferred_authentications if preferred else _METHODS
    how["methods"] = [name for name in order if name in allowed]
    if keys is not None:
        how["files"] = [key for key in keys if not isinstance(key, PrivateKey)]
        how["certificates"] = ()
        how["identities_only"] = True
    if options["agent"] is not True:
        how["agent"], how["keep"] = options["agent"] or None, None
    checked = trust if isinstance(trust, KnownHostsFile) else None
    found = Identities(
        target.user,
        target.name,
        **how,
        keys=[key for key in keys or () if isinstance(key, PrivateKey)],
        strict_files=keys is not None,
        password=password,
        passphrase=options["passphrase"],
        signatures=signatures,
        trusted=lambda: checked is None or checked.mismatch is None,
    )
    found.rsa_bits = config.required_rsa_size
    if config.hostbased_authentication:
        from nacre.client.hostbased import HostVouching

        found.vouching = HostVouching(carrier, config.host_signatures(), _log.info)
    return found
