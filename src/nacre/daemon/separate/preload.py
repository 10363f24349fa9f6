"""Loads all code that a gate or a session process may need: later these can't read its files."""

from __future__ import annotations

import pkgutil
from contextlib import suppress
from importlib import import_module

from nacre.daemon.memory import give_back_memory

_PACKAGES = (
    *("nacre.wire", "nacre.crypto", "nacre.keys", "nacre.protocol", "nacre.ssh2"),
    *("nacre.config", "nacre.aio", "nacre.tunnels", "nacre.scp", "nacre.sftp.protocol"),
    *("nacre.sftp.server", "nacre.server", "nacre.daemon.processes", "nacre.daemon.sandbox"),
)
"""What each module of is loaded."""

_MODULES = (
    *("nacre.sftp.filesystems.local", "nacre.daemon.sessions", "nacre.daemon.log.server_log"),
    *("nacre.sftp.filesystems.rights", "nacre.sftp.filesystems.joined"),
    *("nacre.sftp.filesystems.encrypted", "nacre.sftp.filesystems.quota.counted"),
    "nacre.daemon.accounts.metering",
    *("nacre.agent.forwarded", "concurrent.futures.thread", "encodings.idna", "traceback"),
)

_LIBRARIES = ("gmpy2", "pqcrypto.kem.sntrup_761", "bcrypt")
"""Libraries that code loads when it needs them; some are optional."""


def load() -> None:
    """Load everything; and have memory given back, of which a process for many logins uses much."""
    give_back_memory()
    for name in _PACKAGES:
        package = import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not module.name.endswith("__main__"):
                with suppress(ImportError):  # of what an extra has
                    import_module(module.name)
    for name in _MODULES:
        import_module(name)
    for name in _LIBRARIES:
        with suppress(ImportError):
            import_module(name)
