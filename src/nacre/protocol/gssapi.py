"""What the engines need of GSSAPI (RFC 2743): a security context, made and stepped by their owner.

The Kerberos 5 mechanism (RFC 4121) is the only one. An engine never calls what may ask another
machine: :class:`~nacre.protocol.asks.AskSecurityStep` has the owner do that.
"""

from __future__ import annotations

from typing import Protocol

KERBEROS = bytes.fromhex("06092a864886f712010202")
"""The mechanism's object identifier, 1.2.840.113554.1.2.2, in DER (RFC 4121 section 1)."""


class SecurityContext(Protocol):
    """One end of a security context, with mutual authentication and integrity.

    :ivar complete: whether it is established. Until then only ``step`` may be called.
    """

    @property
    def complete(self) -> bool:
        """Whether the context is established."""

    def mic(self, data: bytes) -> bytes:
        """Return a message integrity code over ``data`` (RFC 2743 section 2.3.1).

        :raises NacreError: there is none, as for a context that has expired.
        """

    def verifies(self, data: bytes, mic: bytes) -> bool:
        """Return whether ``mic`` is the peer's over ``data`` (RFC 2743 section 2.3.2)."""


class ContextAcceptor(SecurityContext, Protocol):
    """A server's end.

    :ivar principal: the name that the client has proved, such as ``alice@EXAMPLE.ORG``; safe to
        print.
    """

    @property
    def principal(self) -> str:
        """The name that the client has proved."""

    def is_account(self, name: str) -> bool:
        """Return whether the client may use the account of this system (krb5_kuserok). Blocks.

        The account's file ``.k5login`` says so, or else the realm's rules for local names do.
        """

    def tickets(self) -> bytes | None:
        """Return the client's delegated tickets as a credential cache's file, or None. Blocks."""
