"""SSH-1 messages decoded for display. Loaded only for a connection that speaks SSH-1."""

from __future__ import annotations

from nacre.cli.trace.decode import HIDDEN, Decoded, show
from nacre.errors import MalformedMessage
from nacre.ssh1 import messages as msg
from nacre.ssh1.messages import SSH1Msg
from nacre.wire.text import safe


class SSH1Decoder:
    """Decodes the messages of one connection; see :class:`nacre.cli.trace.decode.Decoder`."""

    AUTHENTICATION = frozenset({int(SSH1Msg.CMSG_USER)})

    kex = ""

    def decode(self, payload: bytes) -> Decoded:
        """Decode a payload; a malformed message gets the field ``error``."""
        number = payload[0]
        try:
            name = SSH1Msg(number).name
        except ValueError:
            return Decoded(number, f"SSH_MSG_{number}", {"data": f"<{len(payload) - 1} bytes>"})
        name = f"SSH_{name}" if name[1:5] == "MSG_" else f"SSH_MSG_{name}"
        kind = msg.MESSAGES.get(number)
        if kind is None:
            return Decoded(number, name, {"data": f"<{len(payload) - 1} bytes>"})
        try:
            message = kind.decode(payload)
        except MalformedMessage as error:
            return Decoded(number, name, {"error": str(error)})
        fields = show(message) | dict.fromkeys(kind.SECRETS, HIDDEN)
        if isinstance(message, msg.ExecCmd):
            fields["command"] = safe(message.command, 4096)
        return Decoded(number, name, fields)
