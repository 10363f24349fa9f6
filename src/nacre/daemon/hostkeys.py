"""The server's host keys: made at the first start, read at each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from nacre.daemon.state import remove_unfinished, write_once
from nacre.errors import StateError, UnusableKey
from nacre.keys import PrivateKey, PublicKey, dump_private, generate, load_private, load_public
from nacre.keys.base import RemoteKey
from nacre.keys.families.security_key import SecurityPrivateKey
from nacre.server.peer import HostSigner

FILES = {
    "ssh-ed25519": "ssh_host_ed25519_key",
    "ecdsa-sha2-nistp256": "ssh_host_ecdsa_key",
    "ssh-rsa": "ssh_host_rsa_key",
    "ecdsa-sha2-nistp384": "ssh_host_ecdsa384_key",
    "ecdsa-sha2-nistp521": "ssh_host_ecdsa521_key",
    "ssh-ed448": "ssh_host_ed448_key",
    "ssh-mldsa44-ed25519@openssh.com": "ssh_host_mldsa44_ed25519_key",
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


SYSTEM_FILES = tuple(f"/etc/ssh/ssh_host_{name}_key" for name in ("rsa", "ecdsa", "ed25519"))
"""The host keys of sshd, where no HostKey names others."""


def load_files(
    names: Sequence[str],
    report: Callable[[str], None],
    *,
    rsa1: bool = False,
    agent: bool = False,
    library: bool = False,
) -> tuple[PrivateKey, ...]:
    """Return the host keys in files that HostKey names; none for :data:`SYSTEM_FILES`.

    As in sshd, a file that can't be used is no error while there is another one. Of two keys of
    one type the first one signs; clients are told of both, which is how a key is replaced.

    :param report: called with the reason for each named file that can't be used.
    :param rsa1: also take keys of SSH-1.
    :param agent: an agent holds the private key of a file that can't be used, or that has a public
        key; the public key is in the file, or in the one with ``.pub`` behind its name.
    :param library: there is a library that signs with keys on security keys.
    :raises StateError: there is no key; the message says what to do.
    """
    keys: dict[bytes, PrivateKey] = {}
    for name in names or SYSTEM_FILES:
        path = Path(os.path.abspath(name))
        try:
            key = (_held(path) if agent else None) or _load(path, library=library)
        except OSError as error:
            if name not in SYSTEM_FILES:
                report(f"can't use the host key {path}: {error.strerror}")
        except StateError as error:
            report(str(error))
        else:
            if rsa1 or key.public.type != "rsa1":
                keys.setdefault(key.public.blob, key)
    if not keys:
        tried = ", ".join(names or SYSTEM_FILES)
        raise StateError(
            f"no host keys available: none of {tried} can be used; make them with "
            "`ssh-keygen -A` or `nacre keygen -t ed25519 -f /etc/ssh/ssh_host_ed25519_key`, or "
            "name others with HostKey"
        )
    return tuple(keys.values())


def signer(agent: str | None, provider: str, keys: Iterable[PrivateKey] = ()) -> HostSigner | None:
    """Return what signs with the host keys that other programs hold; None where there is none.

    :param agent: the socket of an agent, or ``SSH_AUTH_SOCK`` for the one that this variable names.
    :param provider: the library for security keys.
    :param keys: the host keys, of which those on security keys are signed with by the library.
    """
    tokens = {key.public.plain.blob: key.plain for key in keys if names_library(provider)}
    by_library = {blob: key for blob, key in tokens.items() if isinstance(key, SecurityPrivateKey)}
    if agent is None and not by_library:
        return None

    async def sign(public: PublicKey, data: bytes, algorithm: str) -> bytes:
        key = by_library.get(public.plain.blob)
        if key is not None:
            from nacre.agent import middleware

            return await middleware.sign(provider, key, data, None)
        if agent is None:
            raise UnusableKey("no program holds the host key")
        from nacre.agent.client import Agent

        path = os.environ.get(agent, "") if agent == "SSH_AUTH_SOCK" else agent
        return await Agent(path).sign(public, data, algorithm)

    return sign


def names_library(provider: str) -> bool:
    """Return whether SecurityKeyProvider names a library."""
    return provider.lower() not in ("internal", "none")


def _held(path: Path) -> PrivateKey | None:
    """Return the key of a file if that can be used, else the one whose public half is there."""
    with suppress(OSError, StateError):
        return _load(path)
    for public in (Path(f"{path}.pub"), path):
        with suppress(OSError, UnusableKey):
            return RemoteKey(*load_public(public.read_bytes()))
    return None


def _load(path: Path, *, library: bool = False) -> PrivateKey:
    # A key that other accounts can read is no longer a secret.
    if path.stat().st_mode & 0o077:
        raise StateError(
            f"other accounts can read the host key {path}: chmod 600 {path}, or replace it"
        )
    try:
        key = load_private(path.read_bytes())
    except UnusableKey as error:
        raise StateError(f"the host key {path} can't be used: {error}") from error
    if key.held and not library:
        raise StateError(
            f"the host key {path} is on a security key, which waits for a touch: have an agent "
            "sign with it (HostKeyAgent), a library (SecurityKeyProvider), or name another key"
        )
    return key
