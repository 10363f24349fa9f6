"""Data of channels, and the windows that bound it (RFC 4254 section 5.2)."""

from __future__ import annotations

from struct import Struct
from struct import error as StructError

from nacre.errors import LocalProtocolError, MalformedMessage, PacketTooLarge, RemoteProtocolError
from nacre.protocol.events import Data, Writable
from nacre.protocol.phases import Role
from nacre.ssh2.connection.channel import ChannelState, State
from nacre.ssh2.connection.messages import ChannelWindowAdjust
from nacre.ssh2.connection.replies import send_reply
from nacre.ssh2.connection.table import ChannelTable
from nacre.wire.codec import Buffer
from nacre.wire.numbers import MAIN, STDERR, Msg

# Data is packed by hand: one call of struct in place of a message object per packet.
_DATA = Struct(">BII")
_DATA_NUMBER = int(Msg.CHANNEL_DATA)
_EXTENDED_DATA = Struct(">BIII")
_EXTENDED_DATA_NUMBER = int(Msg.CHANNEL_EXTENDED_DATA)
_WINDOW_ADJUST = Struct(">BII")  # by hand too: OpenSSH sends one for every third packet


class DataLayer(ChannelTable):
    """Data of both sides; see :class:`nacre.ssh2.connection.mux.Mux`."""

    def resume(self) -> None:
        """Report ``Writable`` for the channels that a key exchange blocked. Call it at its end."""
        for channel in self.channels.values():
            self._unblock(channel)

    def send_data(self, channel: int, data: Buffer, stream: int = MAIN) -> int:
        """Send as much of ``data`` as the window allows, and return how many bytes that was.

        During a key exchange nothing is sent. If less than all was sent, ``Writable`` follows. On a
        channel for packets, ``data`` is one: it is sent as a whole or not at all, and counts as
        sent if the peer takes none of its size, as on a link that drops it.

        :raises LocalProtocolError: the channel is not open, or its EOF was sent; or ``stream`` is
            1, and this is not a server's session.
        """
        state = self.channels.get(channel)
        if state is None or not state.sends:
            raise LocalProtocolError(f"channel {channel} accepts no data")
        if stream:
            self._check_stream(state, stream)
        window = state.send
        offered = len(data)
        size = offered if self._outbox.takes_data else 0
        if size > window.left:
            size = window.left
        state.blocked = size < offered
        if state.whole:
            if offered > window.packet:
                return offered
            if state.blocked:
                return 0
        window.left -= size
        view, start = memoryview(data), 0
        while start < size:
            part = size - start if size - start <= window.packet else window.packet
            head = (
                _EXTENDED_DATA.pack(_EXTENDED_DATA_NUMBER, state.peer, stream, part)
                if stream
                else _DATA.pack(_DATA_NUMBER, state.peer, part)
            )
            self._outbox.send_parts(head, view[start : start + part])
            start += part
        return size

    def adjust_window(self, channel: int, count: int) -> None:
        """Report that a reader consumed ``count`` bytes; the peer may then send as many more.

        A WINDOW_ADJUST goes out once a step of the window was consumed.

        :raises LocalProtocolError: more is reported than was received and not yet reported.
        """
        state = self.channels.get(channel)
        if state is not None and state.state is State.OPEN:
            self._consume(state, count)

    def _check_stream(self, channel: ChannelState, stream: int) -> None:
        if stream != STDERR or self._role is not Role.SERVER or channel.channel_type != "session":
            raise LocalProtocolError(f"channel {channel.number} has no stream {stream} to send on")

    def _on_data(self, payload: Buffer) -> None:
        try:
            _, number, size = _DATA.unpack_from(payload)
        except StructError:
            raise MalformedMessage("CHANNEL_DATA is cut off") from None
        channel = self._incoming(number, size, len(payload) - _DATA.size)
        if size and channel is not None and channel.receives:
            self._events.append(Data(number, payload[_DATA.size :]))

    def _on_extended_data(self, payload: Buffer) -> None:
        try:
            _, number, code, size = _EXTENDED_DATA.unpack_from(payload)
        except StructError:
            raise MalformedMessage("CHANNEL_EXTENDED_DATA is cut off") from None
        channel = self._incoming(number, size, len(payload) - _EXTENDED_DATA.size)
        if not size or channel is None or not channel.receives:
            return
        if code == STDERR and self._role is Role.CLIENT and channel.channel_type == "session":
            self._events.append(Data(number, payload[_EXTENDED_DATA.size :], STDERR))
        else:
            self._consume(channel, size)

    def _incoming(self, number: int, size: int, present: int) -> ChannelState | None:
        """Check data against every bound, and subtract it from the window.

        Data for a channel we have closed was sent before the peer saw our CLOSE. It is checked like
        other data, and dropped, as data behind EOF is; the window is not adjusted any more. None
        stands for a channel that both sides have closed.
        """
        channel = self.channels.get(number)
        if channel is None or not channel.receives:
            channel = self._established(number)
            if channel is None:
                return None
        if size != present:
            raise MalformedMessage(f"data of {size} bytes in a message with room for {present}")
        if size > self._packet_data:
            raise PacketTooLarge(
                f"{size} bytes of data in one message; at most {self._packet_data} are accepted"
            )
        window = channel.receive
        if size > window.left:
            raise RemoteProtocolError(
                f"{size} bytes of data on channel {number}, whose window has {window.left}"
            )
        window.left -= size
        return channel

    def _consume(self, channel: ChannelState, count: int) -> None:
        window = channel.receive
        window.consume(count)
        if window.consumed < window.step or channel.eof_received:
            return
        before = window.size
        if grant := window.adjust(self.now, self._limits.windows_total - self._windows):
            self._grant(channel, grant, window.size - before)

    def _answered(self, channel: ChannelState) -> None:
        """Let the window grow at the peer's first message on a channel: a round trip has passed."""
        # Only sessions, which are few, and by a quarter of what is left: others will follow.
        if channel.channel_type == "session":
            spare = (self._limits.windows_total - self._windows) // 4
            if growth := channel.receive.answered(self.now, spare):
                self._grant(channel, growth, growth)

    def _grant(self, channel: ChannelState, count: int, growth: int) -> None:
        self._windows += growth
        send_reply(self._outbox, ChannelWindowAdjust(channel.peer, count).encode())

    def _on_window_adjust(self, payload: Buffer) -> None:
        try:
            _, number, data = _WINDOW_ADJUST.unpack(payload)
        except StructError:
            raise MalformedMessage("CHANNEL_WINDOW_ADJUST is cut off, or too long") from None
        if (channel := self._established(number)) is not None:
            channel.send.add(data)
            self._unblock(channel)

    def _unblock(self, channel: ChannelState) -> None:
        if channel.blocked and channel.send.left and self._outbox.takes_data:
            channel.blocked = False
            self._events.append(Writable(channel.number))
