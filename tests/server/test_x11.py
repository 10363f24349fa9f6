"""A display at the server: which one it is, and what a request must be."""

from __future__ import annotations

import socket

import pytest

from nacre.protocol.tcpip import X11_PORT, X11Request
from nacre.server.peer import ConnectionTerms
from nacre.server.x11 import ForwardedDisplay, open_display
from server.stand_ins import RecordingConnection

COOKIE = b"00112233445566778899aabbccddeeff"


async def opened(
    connection: RecordingConnection, *, screen: int = 0, cookie: bytes = COOKIE, **terms: object
) -> ForwardedDisplay | str:
    connection.terms = ConnectionTerms(**terms)  # type: ignore[arg-type]
    asked = X11Request(False, b"MIT-MAGIC-COOKIE-1", cookie, screen)
    return await open_display(connection, asked.encode())


async def close(connection: RecordingConnection, *displays: ForwardedDisplay | str) -> None:
    for display in displays:
        assert isinstance(display, ForwardedDisplay)
        display.close()
    await connection.idle()


async def test_the_first_display_that_is_free_is_taken() -> None:
    connection = RecordingConnection()
    first = await opened(connection, x11_display_offset=300, screen=2)
    assert isinstance(first, ForwardedDisplay)
    number = int(first.name.removeprefix("localhost:").removesuffix(".2"))
    assert number >= 300
    assert first.for_xauth == f"unix:{number}.2"
    assert (first.protocol, first.cookie) == ("MIT-MAGIC-COOKIE-1", COOKIE.decode())
    second = await opened(connection, x11_display_offset=number)
    assert isinstance(second, ForwardedDisplay)
    assert int(second.name.partition(":")[2].removesuffix(".0")) > number
    await close(connection, first, second)


@pytest.mark.parametrize("local", [True, False])
async def test_other_hosts_reach_a_display_only_without_localhost(local: bool) -> None:
    connection = RecordingConnection()
    display = await opened(connection, x11_display_offset=300, x11_use_localhost=local)
    assert isinstance(display, ForwardedDisplay)
    host, _, number = display.name.removesuffix(".0").partition(":")
    assert host == ("localhost" if local else socket.gethostname())
    assert display.for_xauth == (f"unix:{number}.0" if local else display.name)
    bound = {sock.getsockname()[:2] for sock in display._listening._sockets}
    places = {"127.0.0.1", "::1"} if local else {"0.0.0.0", "::"}
    assert bound <= {(place, X11_PORT + int(number)) for place in places}
    await close(connection, display)


@pytest.mark.parametrize("cookie", [b"", b"a b", b"a\nremove :0", b"x" * 513, b"\xff", b"$(id)"])
async def test_what_would_not_be_a_word_for_xauth_is_refused(cookie: bytes) -> None:
    found = await opened(RecordingConnection(), cookie=cookie)
    assert found == "the protocol or the cookie is no word"


async def test_a_malformed_request_is_refused() -> None:
    assert await open_display(RecordingConnection(), b"\0\0") == "malformed"


async def test_no_display_is_left_behind_the_last() -> None:
    found = await opened(RecordingConnection(), x11_display_offset=1000)
    assert found == "all displays are in use"


async def test_an_address_that_can_not_be_used_is_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def bind(*_: object) -> list[socket.socket]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("nacre.server.x11.bind", bind)
    assert await opened(RecordingConnection()) == "[Errno 13] Permission denied"


async def test_a_program_whose_channel_the_client_refuses_is_disconnected() -> None:
    connection = RecordingConnection()  # whose client refuses every channel
    display = await opened(connection, x11_display_offset=300)
    assert isinstance(display, ForwardedDisplay)
    ours, theirs = socket.socketpair()
    with ours:
        await display._take(theirs, ("127.0.0.1", 4000))
        assert ours.recv(1) == b""
    assert connection.recorded("forward")[0]["channel"] == "x11"
    await close(connection, display)
