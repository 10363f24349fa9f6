"""A security context of the library ``gssapi``, as the engines see it (RFC 2743, RFC 4121)."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from nacre.errors import ConfigurationError, NacreError
from nacre.protocol.asks import Denied, SecurityStep
from nacre.wire.text import safe

if TYPE_CHECKING:
    import gssapi

_MOST_REASON = 300


def library() -> ModuleType:
    """Load the library, which takes a tenth of a second, and return it.

    :raises ConfigurationError: it is not installed.
    """
    try:
        return import_module("gssapi")
    except (ImportError, OSError) as error:
        raise ConfigurationError(
            "GSSAPI needs the package gssapi, which is not installed or can't be loaded: "
            "pip install 'nacre[gssapi]'"
        ) from error


def reason(error: gssapi.exceptions.GSSError) -> str:
    """Return one line for an error of the library: that of the mechanism where it has one."""
    code, major = (error.min_code, False) if error.min_code else (error.maj_code, True)
    try:
        texts = error.get_all_statuses(code, major)
    except (ValueError, library().exceptions.GSSError):
        texts = []
    return safe("; ".join(texts), _MOST_REASON) or f"error {error.maj_code} of GSSAPI"


class Context:
    """One end of a context; see :class:`nacre.protocol.gssapi.SecurityContext`.

    :param made: a context of the library's, for Kerberos 5.
    """

    def __init__(self, made: gssapi.SecurityContext) -> None:
        self._made = made
        self._established = False

    @property
    def complete(self) -> bool:
        """Whether the context is established."""
        return self._established

    def mic(self, data: bytes) -> bytes:
        """Return a message integrity code over ``data``.

        :raises NacreError: the library makes none, as for a context that has expired.
        """
        try:
            return bytes(self._made.get_signature(data))
        except library().exceptions.GSSError as error:
            raise NacreError(f"no MIC of the security context: {reason(error)}") from error

    def verifies(self, data: bytes, mic: bytes) -> bool:
        """Return whether ``mic`` is the peer's over ``data``."""
        try:
            self._made.verify_signature(data, mic)
        except library().exceptions.GSSError:
            return False
        return True

    def step(self, token: bytes) -> SecurityStep | Denied:
        """Take a step with the peer's token. Blocks: it may ask a key distribution center."""
        errors = library().exceptions.GSSError
        try:
            sent = self._made.step(token or None) or b""
            # For an error with a token, the library raises here and not in the line above.
            if self._made.complete:
                if lacks := self._lacks():
                    return Denied(lacks)
                self._established = True
        except errors as error:
            return Denied(reason(error))
        return SecurityStep(self, sent)

    def _lacks(self) -> str | None:
        """Return what an established context lacks (RFC 4462 section 2.1), or None."""
        needed = library().RequirementFlag
        flags = self._made.actual_flags
        if self._made.mech != library().MechType.kerberos:
            return "the security context is not one of Kerberos 5"
        if not flags & needed.mutual_authentication or not flags & needed.integrity:
            return "the security context has no mutual authentication, or no integrity"
        return None
