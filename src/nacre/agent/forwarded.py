"""A forwarded connection to an agent: the agent learns through which session it comes."""

from __future__ import annotations

import asyncio
import socket

from nacre.agent.client import QUICK
from nacre.errors import UnusableKey
from nacre.keys.agents.messages import MAXIMUM_MESSAGE, Frames, request_session_bind
from nacre.protocol.asks import SessionProof


async def bind(sock: socket.socket, session: SessionProof) -> None:
    """Tell the agent at the other end of ``sock`` that it is forwarded through ``session``.

    An agent without the extension ``session-bind@openssh.com`` refuses, which is no error: it has
    no restricted keys either.

    :param sock: a connected socket that does not block, on which nothing was sent so far.
    :raises UnusableKey: the agent does not answer, or not as an agent does; or the session has no
        host key, and keys that are restricted to some destinations could be used from anywhere.
    """
    if session.host_key is None:
        raise UnusableKey(
            "the agent is not forwarded: the keys were exchanged by GSSAPI, so there is no host "
            "key that the agent could hold restricted keys to; GSSAPIKeyExchange=no has one"
        )
    loop = asyncio.get_running_loop()
    request = request_session_bind(
        session.host_key.blob, session.session_id, session.signature, forwarding=True
    )
    frames = Frames()
    try:
        async with asyncio.timeout(QUICK):
            await loop.sock_sendall(sock, request)
            # Nothing but this one answer is on its way, so none of the next is taken here.
            while data := await loop.sock_recv(sock, MAXIMUM_MESSAGE):
                if frames.receive(data):
                    return
    except TimeoutError:
        raise UnusableKey(f"the agent has not answered for {QUICK:g} seconds") from None
    except OSError as error:
        raise UnusableKey(f"lost the agent: {error.strerror or error}") from error
    raise UnusableKey("the agent closed the connection without an answer")
