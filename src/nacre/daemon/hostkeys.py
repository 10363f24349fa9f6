"""The server's host keys: made at the first start, read at each."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from nacre.daemon.state import remove_unfinished, write_once
from nacre.errors import StateError, UnusableKey
from nacre.keys import PrivateKey, dump_private, generate, load_private

FILES = {
    "ssh-ed25519": "ssh_host_ed25519_key",
    "ecdsa-sha2-nistp256": "ssh_host_ecdsa_key",
    "ssh-rsa": "ssh_host_rsa_key",
    "ecdsa-sha2-nistp384": "ssh_host_ecdsa384_key",
    "ecdsa-sha2-nistp521": "ssh_host_ecdsa521_key",
    "ssh-dss": "ssh_host_dsa_key",
    "rsa1": "ssh_host_key",
}
"""The file of each type's key, in the state directory."""

DEFAULT_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")
"""The types of keys that every server has."""

_RSA_ALGORITHMS = {"rsa-sha2-256", "rsa-sha2-512"}


def key_types(algorithms: Iterable[str]) -> tuple[str, ...]:
    """Return the types of the keys that sign with ``algorithms``."""
    types = ("ssh-rsa" if name in _RSA_ALGORITHMS else name for name in algorithms)
    return tuple(dict.fromkeys(types))


def load_host_keys(state: Path, types: Iterable[str] = DEFAULT_TYPES) -> tuple[PrivateKey, ...]:
    """Return all host keys in ``state``; make those of ``types`` that are missing.

    Two servers that start at once in one directory get the same keys.

    :raises StateError: a key file can't be made or used; the message says why and what to do.
    """
    wanted = set(types)
    keys = []
    with suppress(OSError):  # what can't be removed hinders nobody
        remove_unfinished(state)
    for type, name in FILES.items():
        path = state / name
        try:
            if type in wanted and not path.exists():
                write_once(path, dump_private(generate(type, comment="nacre")))
            # The key of SSH-1 is of no use in SSH-2.
            if path.exists() and (type != "rsa1" or type in wanted):
                keys.append(_load(path))
        except OSError as error:
            raise StateError(f"can't use the host key {path}: {error.strerror}") from error
    return tuple(keys)


def _load(path: Path) -> PrivateKey:
    # A key that other accounts can read is no longer a secret.
    if path.stat().st_mode & 0o077:
        raise StateError(
            f"other accounts can read the host key {path}: chmod 600 {path}, or replace it"
        )
    try:
        return load_private(path.read_bytes())
    except UnusableKey as error:
        raise StateError(f"the host key {path} can't be used: {error}") from error
