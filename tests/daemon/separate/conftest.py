"""What one reading of a configuration has led to, for the monitor's side of its processes."""

from __future__ import annotations

from typing import Any

import pytest

from daemon.separate.said import CERTIFIED, HOST_KEY
from nacre.config.server.config import ServerConfig
from nacre.config.server.rules import ServerRules
from nacre.daemon.accounts.policy import AccountPolicy
from nacre.daemon.separate.monitor import (
    Configured,
)
from nacre.server.settings import ServerSettings


@pytest.fixture
def policy() -> Any:
    policy = AccountPolicy(ServerRules(ServerConfig()))
    yield policy
    policy.close()


@pytest.fixture
def configured(policy: AccountPolicy) -> Configured:
    return Configured(ServerSettings(host_keys=[HOST_KEY, CERTIFIED], policy=policy), policy)
