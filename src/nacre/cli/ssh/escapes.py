"""Escapes, such as ``~.`` at the start of a line: input for the client itself."""

from __future__ import annotations

from enum import Enum


class Escape(Enum):
    """The meaning of an escape, with the character that follows the escape character."""

    DISCONNECT = b"."
    SUSPEND = b"\x1a"
    HELP = b"?"
    CHANNELS = b"#"
    BREAK = b"B"
    REKEY = b"R"


_BY_CHARACTER = {escape.value: escape for escape in Escape}
_LINE_ENDS = (b"\r", b"\n")


class Escapes:
    """Finds escapes in typed input.

    :param character: the escape character, one byte.
    """

    def __init__(self, character: bytes) -> None:
        self.character = character
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

    def help(self) -> str:
        """Return the list of escapes, for a terminal in raw mode."""
        mark = self.character.decode("latin-1")
        if mark < " ":
            mark = "^" + chr(ord(mark) + 64)
        lines = [
            f"{mark}?",
            "Supported escape sequences:",
            f" {mark}.   - end the connection",
            f" {mark}B   - send a BREAK to the remote system",
            f" {mark}R   - request rekey",
            f" {mark}^Z  - suspend this program",
            f" {mark}#   - list forwarded connections; show the algorithms",
            f" {mark}?   - this message",
            f" {mark}{mark}   - send the escape character by typing it twice",
            "(Escapes are recognized only at the start of a line.)",
        ]
        return "".join(f"{line}\r\n" for line in lines)
