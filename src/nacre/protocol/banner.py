"""Phase 1: identification lines (RFC 4253 section 4.2), for SSH-2 and SSH-1."""

from __future__ import annotations

from nacre.errors import VersionError
from nacre.limits import Limits
from nacre.protocol.phases import Role
from nacre.value import value
from nacre.wire.codec import Buffer
from nacre.wire.text import safe

_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")


@value
class Identification:
    """A peer's identification line.

    :ivar line: the line without its line end, as the exchange hash takes it.
    :ivar protocol: the protocol version in it, such as ``2.0``.
    :ivar software: the software version, made safe to print.
    :ivar before: the lines that a server sent before it, made safe to print.
    """

    line: bytes
    protocol: str
    software: str
    before: tuple[str, ...]

    @property
    def major(self) -> int:
        """The major protocol version."""
        return int(self.protocol.partition(".")[0])


def identification(protocol: str, software: str) -> bytes:
    """Return our identification line, without its line end."""
    return f"SSH-{protocol}-{software}".encode("ascii")


class BannerReader:
    """Reads bytes up to the end of the peer's identification line.

    :ivar rest: the bytes that followed the line, once it is known.
    """

    def __init__(self, role: Role, limits: Limits) -> None:
        self._server = role is Role.SERVER
        self._limits = limits
        self._pending = bytearray()
        self._before: list[str] = []
        self._before_bytes = 0
        self.rest = b""

    def receive(self, data: Buffer) -> Identification | None:
        """Take bytes; return the identification once it is complete, else None.

        :raises VersionError: the peer does not speak SSH, or its line is not a legal one.
        """
        self._pending += data
        while True:
            end = self._pending.find(b"\n")
            self._refuse_other_protocols()
            if end < 0:
                self._bound(len(self._pending))
                return None
            self._bound(end + 1)
            line = bytes(self._pending[:end]).removesuffix(b"\r")
            del self._pending[: end + 1]
            if line.startswith(b"SSH-"):
                self.rest = bytes(self._pending)
                return self._parse(line)
            self._before.append(safe(line, 255))
            self._before_bytes += end + 1
            if len(self._before) > self._limits.version_lines_before:
                raise VersionError(
                    f"the server sent {len(self._before)} lines and no SSH identification; "
                    f"the first is: {self._before[0]}"
                )

    def seen(self) -> str:
        """Return the beginning of what the peer sent, made safe to print."""
        lines = [*self._before[:3]]
        if self._pending:
            lines.append(safe(bytes(self._pending[:255]), 255))
        return " / ".join(lines)

    def _refuse_other_protocols(self) -> None:
        start = bytes(self._pending[:4])
        if not start or self._before:
            return
        if self._server and not b"SSH-".startswith(start[:4]):
            # The first words are sshd's: those who connect by mistake, and tests, look for them.
            raise VersionError(
                "Invalid SSH identification string: the client does not speak SSH; it sent: "
                f"{self.seen()}"
            )
        if not self._server and start[:2] in _TLS_RECORDS:
            raise VersionError("the server speaks TLS, not SSH; check the port")
        if not self._server and start == b"HTTP":
            raise VersionError(
                f"the server speaks HTTP, not SSH; check the port; it sent: {self.seen()}"
            )

    def _bound(self, length: int) -> None:
        """Check the size of the first pending line, of which ``length`` bytes have arrived."""
        if self._pending.startswith(b"SSH-"):
            if length > self._limits.version_line:
                raise VersionError(
                    f"the identification line is longer than {self._limits.version_line} bytes: "
                    f"{self.seen()}"
                )
        elif length + self._before_bytes > self._limits.version_octets_before:
            raise VersionError(f"the peer does not speak SSH; it sent: {self.seen()}")

    def _parse(self, line: bytes) -> Identification:
        fields = line.split(b" ", 1)[0].split(b"-", 2)
        shown = safe(line, 255)
        if b"\0" in line:
            raise VersionError(f"the identification line holds a NUL: {shown}")
        if len(fields) < 3 or not _is_version(fields[1]):
            raise VersionError(f"not an SSH identification: {shown}")
        return Identification(
            line, fields[1].decode("ascii"), safe(fields[2], 255), tuple(self._before)
        )


def _is_version(field: bytes) -> bool:
    major, dot, minor = field.partition(b".")
    return bool(dot) and all(
        part.isdigit() and part.isascii() and len(part) < 6 for part in (major, minor)
    )
