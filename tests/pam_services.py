"""Services of PAM for tests: files in ``/etc/pam.d``, each there for one test; root makes them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nacre.daemon.processes.pam.library import available

_DIRECTORY = Path("/etc/pam.d")

WORKS = "required pam_permit.so"


@contextmanager
def pam_service(*lines: str) -> Iterator[str]:
    """Have a service with these lines, and yield its name."""
    if os.geteuid() != 0 or not available() or not _DIRECTORY.is_dir():
        pytest.skip("only root can have a service of PAM")
    file = _DIRECTORY / f"nacre-test-{secrets.token_hex(6)}"
    file.write_text("\n".join(lines) + "\n")
    try:
        yield file.name
    finally:
        file.unlink()


def all_of(**kinds: str) -> list[str]:
    """Return a line for each kind of module, which works where ``kinds`` has none for it."""
    return [
        f"{kind} {kinds.get(kind, WORKS)}" for kind in ("auth", "account", "password", "session")
    ]
