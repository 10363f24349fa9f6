"""What a blocking connection can go through, and the options of ``connect``."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

import pytest

import nacre
import nacre.blocking
from blocking import test_forwarding
from nacre.client.options import ConnectOptions

policy, ssh = test_forwarding.policy, test_forwarding.ssh


def test_options_of_connect_are_those_of_its_signature() -> None:
    named = {"host", "port", "jump", "sock"}
    assert set(inspect.signature(nacre.connect).parameters) == named | set(
        get_type_hints(ConnectOptions)
    )


def test_connections_through_a_connection(ssh: nacre.blocking.Connection) -> None:
    how: dict[str, Any] = {
        "user": "alice",
        "password": "secret",
        "keys": [],
        "agent": False,
        "trust": nacre.AnyHostKey(),
    }
    with nacre.blocking.connect("127.0.0.1", ssh.port, jump=ssh, **how) as there:
        assert there.keepalive() >= 0
    with nacre.blocking.connect("127.0.0.1", ssh.port, jump=[ssh], **how) as there:
        assert there.keepalive() >= 0
    tunnel = ssh.open_connection("127.0.0.1", ssh.port)
    with nacre.blocking.connect("127.0.0.1", ssh.port, sock=tunnel, **how) as there:
        assert there.keepalive() >= 0
    tunnel = ssh.open_connection("127.0.0.1", ssh.port)
    pair = tunnel.reader, tunnel.writer
    with nacre.blocking.connect("127.0.0.1", ssh.port, sock=pair, **how) as there:
        assert there.keepalive() >= 0
    with pytest.raises(nacre.AuthenticationFailed) as caught:
        nacre.blocking.connect("127.0.0.1", 22, jump=f"bob@127.0.0.1:{ssh.port}", **how)
    assert caught.value.hop == f"[127.0.0.1]:{ssh.port}"
    assert ssh.keepalive() >= 0
