"""Logins for which the client's host vouches: HostbasedAuthentication in sshd_config(5).

The host must be listed for the user, and its key known, in files of the system or of the account.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nacre.config.server.config import ServerConfig
from nacre.daemon.accounts.accounts import Account
from nacre.daemon.accounts.authorized import rhosts
from nacre.daemon.accounts.authorized.files import read_own
from nacre.daemon.accounts.authorized.revoked import refuse_revoked
from nacre.errors import AccountError
from nacre.keys.certificate import Certificate
from nacre.keys.hosts.known_hosts import DEFAULT_PORT, KnownHosts, Verdict
from nacre.limits import MIB
from nacre.protocol.asks import ClientHost
from nacre.wire.text import safe

EQUIVALENT = ("/etc/hosts.equiv", "/etc/ssh/shosts.equiv")
OWN_EQUIVALENT = {
    "no": (".shosts", ".rhosts"),
    "shosts-only": (".shosts",),
    "yes": (),
}
"""The files of an account that count, for each ``IgnoreRhosts``."""

KNOWN = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
OWN_KNOWN = (".ssh/known_hosts", ".ssh/known_hosts2")

_MOST = 64 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSearch:
    """A host that vouches for its user, and what may trust it. One search for each question.

    :ivar address: the client's IP address, and ``name`` its looked-up name or the address again.
    """

    host: ClientHost
    address: str
    name: str
    account: Account
    config: ServerConfig

    def check(self) -> None:
        """Check that the user may log in. Blocks.

        :raises AccountError: the host is not listed for the user, or its key is not known.
        """
        if self.config.revoked_keys is not None:
            refuse_revoked(self.host.key, self.config.revoked_keys)
        named = self.config.hostbased_uses_name_from_packet_only
        name = self.host.name if named else self.name
        address = self.host.name if named else self.address
        shown = f"{safe(self.host.user, 64)} at {safe(name, 64)}"
        if not any(self._lists(text, name, address) for text in self._equivalent()):
            raise AccountError(f"no shosts.equiv or .shosts lets in {shown}")
        self._check_key(name)

    def _lists(self, text: bytes, name: str, address: str) -> bool:
        user = self.account.name
        return rhosts.permits(text, host=name, address=address, host_user=self.host.user, user=user)

    def _equivalent(self) -> Iterator[bytes]:
        if self.account.uid != 0:  # the system's files are not for root
            for path in EQUIVALENT:
                yield _read(path)
        yield from self._own(OWN_EQUIVALENT[self.config.ignore_rhosts])

    def _own(self, names: tuple[str, ...]) -> Iterator[bytes]:
        for name in names:
            try:
                found = read_own(Path(self.account.home) / name, self.account, self.config)
            except AccountError:
                continue  # as sshd, which uses the other files
            yield found or b""

    def _check_key(self, name: str) -> None:
        texts = [_read(path) for path in KNOWN]
        if not self.config.ignore_user_known_hosts:
            texts += self._own(OWN_KNOWN)
        key = self.host.key
        verdicts = {KnownHosts.parse(text).check(name, DEFAULT_PORT, key).verdict for text in texts}
        if Verdict.REVOKED in verdicts:
            raise AccountError(f"the key of {safe(name, 64)} is marked as revoked")
        if Verdict.TRUSTED not in verdicts:
            raise AccountError(f"the known hosts have no such key of {safe(name, 64)}")
        if isinstance(key, Certificate):
            reason = key.refusal("host", name.lower(), now=time.time(), needs_principals=False)
            if reason is None and key.critical_options:
                reason = "the certificate has critical options, of which hosts have none"
            if reason is not None:
                raise AccountError(reason)


def _read(path: str) -> bytes:
    """Return what is in a file of the system; nothing if it is missing or not a regular file."""
    try:
        with open(path, "rb", opener=_open) as file:
            return file.read(_MOST) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
    except OSError:
        return b""


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)
