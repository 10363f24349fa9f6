"""Options of certificates in the words of ``ssh-keygen -O`` (ssh-keygen(1), CERTIFICATES)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from nacre.errors import ConfigurationError, KeyFormatError
from nacre.keys.certificate import USER_EXTENSIONS, option
from nacre.keys.key_options import network
from nacre.wire.text import safe


class CertificateOptions:
    """What a certificate demands and permits.

    :param kind: a user's certificate begins with :data:`USER_EXTENSIONS`, a host's with nothing.
    :ivar critical: its critical options.
    :ivar extensions: its extensions.
    """

    def __init__(self, kind: Literal["user", "host"]) -> None:
        self.critical: dict[str, bytes] = {}
        self.extensions: dict[str, bytes] = {}
        if kind == "user":
            self.extensions = dict.fromkeys(USER_EXTENSIONS, b"")

    def add(self, text: str) -> None:
        """Apply a value of ``-O``, such as ``no-pty`` or ``source-address=192.0.2.0/24``.

        :raises ConfigurationError: it is unknown, or malformed.
        """
        name, equals, content = text.partition("=")
        if name.lower() in _WITH_CONTENT and equals:
            _WITH_CONTENT[name.lower()](self, content)
            return
        kind, colon, own = text.partition(":")
        if colon and kind.lower() in ("critical", "extension"):
            name, equals, content = own.partition("=")
            target = self.critical if kind.lower() == "critical" else self.extensions
            target[name] = option(content) if equals else b""
            return
        flag = text.lower()
        if flag == "clear":
            self.extensions.clear()
        elif flag in _FLAGS:
            name, wanted = _FLAGS[flag]
            target = self.critical if name == _VERIFY else self.extensions
            if wanted:
                target[name] = b""
            else:
                target.pop(name, None)
        else:
            raise ConfigurationError(f'Unsupported certificate option "{safe(text, 64)}"')

    def _critical(self, name: str, content: str) -> None:
        if not content:
            raise ConfigurationError(f"Empty {name} option")
        if name in self.critical:
            raise ConfigurationError(f"{name} already specified")
        self.critical[name] = option(content)

    def _force_command(self, content: str) -> None:
        self._critical("force-command", content)

    def _source_address(self, content: str) -> None:
        try:
            for one in content.split(","):
                network(one)
        except (KeyFormatError, ValueError) as error:
            raise ConfigurationError(f"Invalid source-address list: {error}") from None
        self._critical("source-address", content)


_VERIFY = "verify-required"
_NO_TOUCH = "no-touch-required"

_WITH_CONTENT: dict[str, Callable[[CertificateOptions, str], None]] = {
    "force-command": CertificateOptions._force_command,
    "source-address": CertificateOptions._source_address,
}

_FLAGS: dict[str, tuple[str, bool]] = {
    **{name.lower(): (name, True) for name in USER_EXTENSIONS},
    **{name.lower().replace("permit-", "no-", 1): (name, False) for name in USER_EXTENSIONS},
    _NO_TOUCH: (_NO_TOUCH, True),
    "touch-required": (_NO_TOUCH, False),
    _VERIFY: (_VERIFY, True),
    f"no-{_VERIFY}": (_VERIFY, False),
}
"""For each flag the extension or critical option, and whether the certificate gets it."""
