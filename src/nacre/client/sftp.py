"""An SFTP session in a channel of a client's connection."""

from __future__ import annotations

from typing import Unpack

from nacre.aio.channel import Channel
from nacre.aio.line import ChannelLine
from nacre.client.process import NO_MODES, Process, Start
from nacre.sftp.client.client import SFTPClient
from nacre.sftp.client.options import SFTPOptions
from nacre.sftp.client.session import SFTPSession
from nacre.wire.numbers import MAIN


async def open_sftp(
    channel: Channel,
    command: str | bytes | None = None,
    *,
    subsystem: str = "sftp",
    peer: str = "",
    **options: Unpack[SFTPOptions],
) -> SFTPClient:
    """Start an SFTP session in a channel; a cancelled call closes the channel.

    :param command: the program that serves SFTP, in place of the subsystem.
    :param subsystem: the subsystem's name.
    :param peer: the server's identification line.
    :param options: see :meth:`~nacre.sftp.client.session.SFTPSession.begin`.
    :raises RequestFailed: the server refused the command or the subsystem.
    :raises NacreError: the connection or the session broke off.
    """
    start = Start(command, None if command is not None else subsystem, {}, None, (80, 24), NO_MODES)
    process = Process(channel, start)
    session = SFTPSession(peer)
    channel.sinks = {MAIN: session}
    try:
        await process.begin()
        await session.begin(ChannelLine(channel), **options)
    except BaseException:
        process.close()
        session.close()
        raise
    return SFTPClient(session)
