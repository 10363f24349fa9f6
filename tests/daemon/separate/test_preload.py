"""A gate and a session process have loaded what they need before they lose the files of it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

LOGINS = """
import sys
from nacre.daemon.separate import preload
preload.load()
from nacre.daemon.separate import gate, session
loaded = set(sys.modules)

from nacre.testing import host_key
from ssh2.moved import Moving
kinds = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp521", "ssh-rsa", "ssh-ed448")
import nacre
from nacre.protocol.options import ServerOptions, algorithms
from nacre.protocol.phases import Phase
from nacre.value import replace
keys = tuple(nacre.generate(kind) for kind in kinds)
print("helpers", sorted(name for name in set(sys.modules) - loaded if name.startswith("nacre.")))

before = set(sys.modules)
every = algorithms(profile="legacy")
count = 0
for field in ("kex", "ciphers", "macs", "host_key"):
    for name in getattr(every, field):
        chosen = replace(every, **{field: (name,)}, compression=("none",))
        if field == "macs":
            chosen = replace(chosen, ciphers=("aes128-ctr",))
        if "cert" in name or "gss" in name or "sk-" in name:
            continue
        try:
            pair = Moving(chosen, server=ServerOptions(host_keys=keys, algorithms=chosen))
        except nacre.ConfigurationError:
            continue  # a type of host keys that there is none of here
        pair.run()
        pair.move()
        assert pair.server.phase is Phase.CONNECTION, name
        pair.talk(pair.open(), 1000)
        count += 1
assert count > 30, count
print("new", sorted(set(sys.modules) - before))
"""


@pytest.mark.slow
def test_a_login_loads_nothing_more_whatever_the_algorithms() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOGINS],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.splitlines() == ["helpers ['nacre.testing']", "new []"], done.stderr
