"""The client's security contexts: whom to be, and the name of the server to expect."""

from __future__ import annotations

import asyncio
import socket

from nacre.errors import ConfigurationError
from nacre.gss.context import Context, library, reason
from nacre.protocol.asks import AskSecurityStep, Denied, SecurityStep
from nacre.value import value


@value(kw_only=True)
class ContextInitiator:
    """Makes and steps the security contexts of one connection.

    :ivar host: the server's name; the service is ``host`` (RFC 4462 section 2.1).
    :ivar kex: the key exchange methods of GSSAPI to offer, in order; empty for none.
    :ivar delegate: whether the server gets tickets to act for the user.
    :ivar principal: the user's name for Kerberos; None for the default one.
    :ivar trust_dns: take the name that the DNS has for the server's address, in place of ``host``.
    """

    host: str
    kex: tuple[str, ...] = ()
    delegate: bool = False
    principal: str | None = None
    trust_dns: bool = False

    async def offered(self) -> tuple[str, ...]:
        """Return the key exchange methods to offer: none where the user has no ticket."""
        if not self.kex or isinstance(await self.begin(), Denied):
            return ()
        return self.kex

    async def begin(self) -> SecurityStep | Denied:
        """Make a context, and take its first step."""
        return await asyncio.to_thread(self._step, None, b"")

    async def step(self, ask: AskSecurityStep) -> SecurityStep | Denied:
        """Answer the engine's question."""
        return await asyncio.to_thread(self._step, ask.context, ask.token)

    def _step(self, context: object, token: bytes) -> SecurityStep | Denied:
        try:
            made = context if isinstance(context, Context) else self._made()
        except ConfigurationError as error:
            return Denied(str(error))
        return made if isinstance(made, Denied) else made.step(token)

    def _made(self) -> Context | Denied:
        """Return a new context. Blocks: the name may be looked up.

        :raises ConfigurationError: the library is missing.
        """
        gssapi = library()
        flags = gssapi.RequirementFlag
        wanted = [flags.mutual_authentication, flags.integrity]
        if self.delegate:
            wanted.append(flags.delegate_to_peer)
        host = socket.getfqdn(self.host) if self.trust_dns else self.host
        mechanism = gssapi.MechType.kerberos
        try:
            service = gssapi.Name(f"host@{host}", gssapi.NameType.hostbased_service)
            credentials = None
            if self.principal is not None:
                user = gssapi.Name(self.principal, gssapi.NameType.user)
                credentials = gssapi.Credentials(user, usage="initiate", mechs=[mechanism])
            return Context(
                gssapi.SecurityContext(
                    name=service, creds=credentials, mech=mechanism, flags=wanted, usage="initiate"
                )
            )
        except gssapi.exceptions.GSSError as error:
            return Denied(reason(error))
