"""The files of the authorities, in the directory ``ca`` of the state directory.

``user_ca`` and ``host_ca`` are their private keys, which the server's account alone can read, each
with its public key beside it; ``revoked`` is the KRL of what they have issued.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from nacre.client.trust.hostfile import replace
from nacre.config import revoked
from nacre.daemon.state import write_once
from nacre.errors import StateError, UnusableKey
from nacre.keys import PrivateKey, PublicKey, dump_private, generate, load_private, load_public
from nacre.keys.signed.revocation import RevocationList

if TYPE_CHECKING:
    from nacre.daemon.store.values import CertificateRecord

Kind: TypeAlias = Literal["user", "host"]

KINDS: tuple[Kind, ...] = ("user", "host")

_DIRECTORY = "ca"
_REVOKED = "revoked"
_PUBLIC_MODE = 0o644
_MISSING = "there is no certificate authority in {}: `nacre ca init` makes it"


class AuthorityFiles:
    """The files of the authorities of one server. Everything blocks.

    :ivar directory: where they are.
    :ivar revoked: the path of the KRL.
    """

    def __init__(self, state: Path) -> None:
        self.directory = state / _DIRECTORY
        self.revoked = self.directory / _REVOKED

    def make(self) -> bool:
        """Make what is missing; return whether a key was.

        :raises StateError: it can't be made.
        """
        made = False
        try:
            self.directory.mkdir(mode=0o700, exist_ok=True)
            for kind in KINDS:
                content = dump_private(generate("ssh-ed25519", comment=f"nacre {kind} CA"))
                made |= write_once(self._path(kind), content)
                key = self.private(kind)
                line = f"{key.public} nacre {kind} CA\n"
                replace(self.public_path(kind), line.encode(), _PUBLIC_MODE)
            if not self.revoked.exists():
                self.write_revoked([])
        except OSError as error:
            raise StateError(
                f"can't make the certificate authority in {self.directory}: {error.strerror}"
            ) from error
        return made

    def private(self, kind: Kind) -> PrivateKey:
        """Return the private key of an authority.

        :raises StateError: there is none, or it can't be used.
        """
        path = self._path(kind)
        try:
            return load_private(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            raise StateError(_MISSING.format(self.directory.parent)) from None
        except (OSError, UnusableKey) as error:
            raise StateError(f"can't use the authority's key {path}: {error}") from error

    def public(self, kind: Kind) -> PublicKey | None:
        """Return the public key of an authority, or None if there is none.

        :raises StateError: it can't be read.
        """
        path = self.public_path(kind)
        try:
            return load_public(path.read_bytes())[0]
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnusableKey) as error:
            raise StateError(f"can't use the authority's key {path}: {error}") from error

    def public_path(self, kind: Kind) -> Path:
        """Return the path of the public key of an authority."""
        return self.directory / f"{kind}_ca.pub"

    def _path(self, kind: Kind) -> Path:
        return self.directory / f"{kind}_ca"

    def refusal(self, key: PublicKey) -> str | None:
        """Return why a key or a certificate counts as revoked, or None.

        While the KRL can't be read, everything does.
        """
        return revoked.refusal(self.revoked, key)

    def write_revoked(self, records: Sequence[CertificateRecord]) -> None:
        """Write the KRL of these certificates, in place of the former one.

        :raises StateError: it can't be written, or an authority's key can't be read.
        """
        made = RevocationList()
        now = int(time.time())
        made.version = now
        made.comment = "nacre ca"
        for kind in KINDS:
            authority = self.public(kind)
            if authority is None:
                raise StateError(_MISSING.format(self.directory.parent))
            for record in records:
                if record.kind == kind:
                    made.add_serials(authority, record.serial, record.serial)
        try:
            replace(self.revoked, made.encode(now), _PUBLIC_MODE)
        except OSError as error:
            raise StateError(f"can't write {self.revoked}: {error.strerror}") from error
