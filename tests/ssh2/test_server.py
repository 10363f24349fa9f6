"""What only the server's end does before the login; both ends together: test_engine.py."""

from __future__ import annotations

import pytest

from nacre.crypto.signatures.certified import plain
from nacre.errors import ConfigurationError
from nacre.protocol.events import ExtensionsReceived
from nacre.protocol.options import ServerOptions, algorithms
from nacre.ssh2.server import SSH2Server
from nacre.testing import Pair, host_key


def test_a_server_without_a_fitting_host_key_does_not_start() -> None:
    with pytest.raises(ConfigurationError, match="no host key can sign"):
        SSH2Server(
            ServerOptions(host_keys=(host_key(),), algorithms=algorithms(host_key="rsa-sha2-512")),
            random=bytes,
        )


def test_server_sig_algs() -> None:
    pair = Pair()
    pair.run()
    extensions = next(e for e in pair.client_events if isinstance(e, ExtensionsReceived)).extensions
    names = extensions["server-sig-algs"].decode().split(",")
    assert names == list(dict.fromkeys(map(plain, algorithms().signatures)))
    assert "ssh-ed25519" in names
    assert not any("-cert-" in name for name in names)
