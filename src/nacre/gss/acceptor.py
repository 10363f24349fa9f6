"""The server's security contexts: with which key, whose tickets, and for which account."""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from nacre.errors import ConfigurationError
from nacre.gss.context import Context, library, reason
from nacre.protocol.asks import AskSecurityStep, Denied, SecurityStep
from nacre.wire.text import safe

if TYPE_CHECKING:
    import gssapi

_KERBEROS_LIBRARY = "libkrb5.so.3"


class AcceptingContext(Context):
    """The server's end; see :class:`nacre.protocol.gssapi.ContextAcceptor`."""

    @property
    def principal(self) -> str:
        """The name that the client has proved, such as ``alice@EXAMPLE.ORG``; safe to print."""
        return safe(bytes(self._made.initiator_name), 255)

    def is_account(self, name: str) -> bool:
        """Return whether the client may use the account ``name`` of this system. Blocks.

        That is the account's ``.k5login``, or without it the rules for local names of krb5.conf(5).
        """
        return _is_user(bytes(self._made.initiator_name), os.fsencode(name))

    def tickets(self) -> bytes | None:
        """Return the client's delegated tickets as a credential cache's file, or None. Blocks."""
        credentials = self._made.delegated_creds
        if credentials is None:
            return None
        with TemporaryDirectory(prefix="nacre-tickets.") as folder:
            path = Path(folder) / "cache"
            try:
                credentials.store({"ccache": f"FILE:{path}"}, usage="initiate", overwrite=True)
            except library().exceptions.GSSError:
                return None
            return path.read_bytes()


def refusal(*, strict: bool) -> str | None:
    """Return why this server can accept no security contexts, or None. Blocks.

    :param strict: whether only the key of this host's own name counts.
    """
    try:
        _credentials(strict)
    except ConfigurationError as error:
        return str(error)
    except library().exceptions.GSSError as error:
        return reason(error)
    return None


async def step(ask: AskSecurityStep, *, strict: bool) -> SecurityStep | Denied:
    """Answer the engine's question.

    :param strict: whether only the key of this host's own name counts.
    """
    return await asyncio.to_thread(_step, ask.context, ask.token, strict)


def _step(context: object, token: bytes, strict: bool) -> SecurityStep | Denied:
    if not isinstance(context, AcceptingContext):
        try:
            credentials = _credentials(strict)
            made = library().SecurityContext(creds=credentials, usage="accept")
        except ConfigurationError as error:
            return Denied(str(error))
        except library().exceptions.GSSError as error:
            return Denied(reason(error))
        context = AcceptingContext(made)
    return context.step(token)


def _credentials(strict: bool) -> gssapi.Credentials:
    """Return the right to accept contexts: the keys in the key tab."""
    gssapi = library()
    name = None
    if strict:
        host = socket.gethostname()
        name = gssapi.Name(f"host@{host}", gssapi.NameType.hostbased_service)
    return gssapi.Credentials(name=name, usage="accept", mechs=[gssapi.MechType.kerberos])


def _is_user(principal: bytes, user: bytes) -> bool:
    """Ask libkrb5, as the library ``gssapi`` has no function for it (krb5_kuserok)."""
    try:
        krb5 = ctypes.CDLL(_KERBEROS_LIBRARY)
    except OSError:
        return False
    context, parsed = ctypes.c_void_p(), ctypes.c_void_p()
    if b"\0" in principal + user or krb5.krb5_init_context(ctypes.byref(context)):
        return False
    try:
        if krb5.krb5_parse_name(context, principal, ctypes.byref(parsed)):
            return False
        try:
            return bool(krb5.krb5_kuserok(context, parsed, user))
        finally:
            krb5.krb5_free_principal(context, parsed)
    finally:
        krb5.krb5_free_context(context)
