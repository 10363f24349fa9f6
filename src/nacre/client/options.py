"""The options of :func:`nacre.connect`: their types, and what stands for those not given."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, TypeAlias, TypedDict

from nacre.agent.client import Agent
from nacre.aio.connection import Trace
from nacre.client.connection import LoginAnswers
from nacre.client.trust.check import HostKeyCheck
from nacre.config.client.files import Config
from nacre.keys import PrivateKey
from nacre.limits import Limits
from nacre.protocol.options import Algorithms, Profile

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
}
"""The options of a caller who gives none."""
