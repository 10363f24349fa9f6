"""The authority of the server's own state directory: whom it lets in, and what it has revoked."""

from __future__ import annotations

from pathlib import Path

from nacre.daemon.authority.files import AuthorityFiles
from nacre.errors import AccountError
from nacre.keys import PublicKey
from nacre.keys.certificate import Certificate


class OwnAuthority:
    """The authority for users, which may come into being while the server runs. Everything blocks.

    :param trusted: whether its certificates log in.
    """

    def __init__(self, state: Path, *, trusted: bool) -> None:
        self._files = AuthorityFiles(state)
        self._trusted = trusted

    def trusts(self, key: PublicKey) -> bool:
        """Tell whether a key is a certificate of the authority, and those log in.

        :raises StateError: the authority's key can't be read.
        """
        return self._trusted and self._issued(key)

    def refuse_revoked(self, key: PublicKey) -> None:
        """Check that a certificate of the authority is not revoked, whoever trusts the authority.

        :raises AccountError: it is, or the KRL can't be read.
        :raises StateError: the authority's key can't be read.
        """
        if self._issued(key) and (reason := self._files.refusal(key)) is not None:
            raise AccountError(f"{self._files.revoked}: {reason}")

    def _issued(self, key: PublicKey) -> bool:
        return isinstance(key, Certificate) and key.authority == self._files.public("user")
