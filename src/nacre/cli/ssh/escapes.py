"""Escapes, such as ``~.`` at the start of a line: input for the client itself."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nacre.cli.common.log import Log
    from nacre.cli.ssh.tunnels import Forwardings
    from nacre.client.connection import Connection
    from nacre.config.client.config import ClientConfig


class Escape(Enum):
    """The meaning of an escape, with the character that follows the escape character."""

    DISCONNECT = b"."
    BREAK = b"B"
    COMMAND_LINE = b"C"
    REKEY = b"R"
    QUIETER = b"V"
    LOUDER = b"v"
    SUSPEND = b"\x1a"
    CHANNELS = b"#"
    BACKGROUND = b"&"
    HELP = b"?"


_HELP = {
    Escape.DISCONNECT: "end the connection (and any multiplexed sessions)",
    Escape.BREAK: "send a BREAK to the remote system",
    Escape.COMMAND_LINE: "open a command line",
    Escape.REKEY: "request rekey",
    Escape.QUIETER: "decrease verbosity (LogLevel)",
    Escape.LOUDER: "increase verbosity (LogLevel)",
    Escape.SUSPEND: "suspend this program",
    Escape.CHANNELS: "list forwarded connections; show the algorithms",
    Escape.BACKGROUND: "go to the background, and end with the forwarded connections",
    Escape.HELP: "this message",
}

OWN_ONLY = frozenset(
    {Escape.COMMAND_LINE, Escape.QUIETER, Escape.LOUDER, Escape.SUSPEND, Escape.BACKGROUND}
)
"""What the sessions of clients of a shared connection can't do: it concerns the whole program."""


class EndedByEscape(Exception):
    """The user ends the session by an escape."""


_BY_CHARACTER = {escape.value: escape for escape in Escape}
_LINE_ENDS = (b"\r", b"\n")


class Escapes:
    """Finds escapes in typed input.

    :param character: the escape character, one byte.
    :param without: escapes that :meth:`help` does not list.
    """

    def __init__(self, character: bytes, without: frozenset[Escape] = frozenset()) -> None:
        self.character = character
        self._without = without
        self._at_start = True
        self._pending = False

    def feed(self, typed: bytes) -> list[bytes | Escape]:
        """Return the bytes to send and the escapes, in order; send unknown escapes as typed."""
        found: list[bytes | Escape] = []
        plain = bytearray()
        for byte in typed:
            character = bytes((byte,))
            if self._pending:
                self._pending = False
                if escape := _BY_CHARACTER.get(character):
                    if plain:
                        found.append(bytes(plain))
                        plain.clear()
                    found.append(escape)
                    self._at_start = True
                    continue
                # The escape character typed twice is sent once.
                plain += self.character if character != self.character else b""
            elif self._at_start and character == self.character:
                self._pending = True
                continue
            plain += character
            self._at_start = character in _LINE_ENDS
        if plain:
            found.append(bytes(plain))
        return found

    def typed(self, escape: Escape) -> str:
        """Return an escape as it is typed, such as ``~?`` or ``~^Z``."""
        return _visible(self.character) + _visible(escape.value)

    def help(self) -> str:
        """Return the list of escapes, for a terminal in raw mode."""
        mark = _visible(self.character)
        lines = [
            self.typed(Escape.HELP),
            "Supported escape sequences:",
            *(
                f" {self.typed(escape):4} - {text}"
                for escape, text in _HELP.items()
                if escape not in self._without
            ),
            f" {mark + mark:4} - send the escape character by typing it twice",
            "(Note that escapes are only recognized immediately after newline.)",
        ]
        return "".join(f"{line}\r\n" for line in lines)


class Controls:
    """What escapes act on, besides their session; the program's own session has it.

    :ivar forwardings: the ports that are forwarded, or None as long as there are none.
    """

    def __init__(
        self,
        connection: Connection,
        config: ClientConfig,
        log: Log,
        forwardings: Forwardings | None = None,
    ) -> None:
        self.forwardings = forwardings
        self.config = config
        self.log = log
        self._connection = connection

    def ports(self) -> Forwardings:
        """Return the forwardings, which may be none so far."""
        if self.forwardings is None:
            from nacre.cli.common.login import show_warnings
            from nacre.cli.ssh.tunnels import Forwardings

            show_warnings(self.log)
            self.forwardings = Forwardings(self._connection, self.config, self.log)
        return self.forwardings


def _visible(character: bytes) -> str:
    text = character.decode("latin-1")
    return "^" + chr(ord(text) + 64) if text < " " else text
