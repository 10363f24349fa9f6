"""An SFTP session in a channel of a client's connection."""

from __future__ import annotations

from nacre.aio.channel import Channel
from nacre.aio.line import ChannelLine
from nacre.client.process import NO_MODES, Process, Start
from nacre.protocol.engine import MAIN
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.client.session import SFTPSession


async def open_sftp(
    channel: Channel,
    command: str | bytes | None = None,
    *,
    subsystem: str = "sftp",
    read_size: int | None = None,
    window: int | None = None,
) -> SFTPClient:
    """Start an SFTP session in a channel; a cancelled call leaves no channel open."""
    start = Start(command, None if command is not None else subsystem, {}, None, (80, 24), NO_MODES)
    process = Process(channel, start)
    session = SFTPSession()
    channel.sinks = {MAIN: session}
    try:
        await process.begin()
        await session.begin(ChannelLine(channel), read_size=read_size, window=window)
    except BaseException:
        process.close()
        session.close()
        raise
    return SFTPClient(session)
