"""Names of displays, what xauth prints, and the setup packet with its cookie."""

from __future__ import annotations

import asyncio
import socket

import pytest

from fake_driver import FakeConnection, FakeDriver
from nacre.aio.channel import Channel
from nacre.errors import ConfigurationError
from nacre.tunnels.relay import carry
from nacre.tunnels.x11 import (
    MIT_COOKIE,
    Authorization,
    Display,
    Setup,
    WrongCookie,
    X11Relay,
    parse_display,
    parse_xauth,
)
from nacre.wire.numbers import MAIN
from tunnels.packets import setup_packet

SHOWN = Authorization(MIT_COOKIE, b"f" * 16)
REAL = Authorization(MIT_COOKIE, b"r" * 16)


@pytest.mark.parametrize(
    ("text", "display", "xauth", "place"),
    [
        (":0", Display("", 0, 0), ":0.0", "/tmp/.X11-unix/X0"),
        ("unix:12.3", Display("", 12, 3), ":12.3", "/tmp/.X11-unix/X12"),
        ("localhost:10.1", Display("localhost", 10, 1), ":10.1", ("localhost", 6010)),
        ("x.example:7", Display("x.example", 7, 0), "x.example:7.0", ("x.example", 6007)),
        ("[2001:db8::1]:1", Display("2001:db8::1", 1, 0), "2001:db8::1:1.0", ("2001:db8::1", 6001)),
        ("/run/x/org:0", Display("", 0, 0, "/run/x/org:0"), "/run/x/org:0", "/run/x/org:0"),
        ("/run/x/org:4.2", Display("", 4, 2, "/run/x/org:4"), "/run/x/org:4", "/run/x/org:4"),
    ],
)
def test_a_display_is_named_as_its_programs_name_it(
    text: str, display: Display, xauth: str, place: object
) -> None:
    assert parse_display(text) == display
    assert display.for_xauth == xauth
    assert display.places[-1] == place


@pytest.mark.parametrize(
    "text", ["", "0", ":", ":x", "-f:0", "a b:0", ":0.", ":99999", ":0\n", "`x`:0"]
)
def test_what_names_no_display_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="names no display"):
        parse_display(text)


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        (b"h/unix:0  MIT-MAGIC-COOKIE-1  " + b"72" * 16 + b"\n", REAL),
        (b"nonsense\n:0 P zz\n:0  XDM-1  00ff\n", Authorization(b"XDM-1", b"\0\xff")),
        (b"", None),
        (b"x MIT-MAGIC-COOKIE-1\n", None),
        (b":0 P " + b"00" * 513, None),
    ],
)  # fmt: skip
def test_the_first_cookie_that_xauth_lists_counts(
    listed: bytes, found: Authorization | None
) -> None:
    assert parse_xauth(listed) == found


def test_a_cookie_is_not_in_what_is_printed_of_it() -> None:
    assert repr(REAL) == "Authorization(MIT-MAGIC-COOKIE-1)"


@pytest.mark.parametrize("order", ["l", "B"])
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_the_right_cookie_is_replaced_by_the_displays_own(order: str, step: int) -> None:
    setup = Setup(SHOWN, REAL)
    packet = setup_packet(SHOWN, order)
    parts = [packet[at : at + step] for at in range(0, len(packet), step)]
    *before, last = [setup.feed(part) for part in parts]
    assert not any(before)
    assert last == setup_packet(REAL, order)


def test_what_follows_the_setup_packet_is_passed_on() -> None:
    assert Setup(SHOWN, REAL).feed(setup_packet(SHOWN) + b"more") == setup_packet(REAL) + b"more"


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (setup_packet(Authorization(MIT_COOKIE, b"f" * 15 + b"g")), "cookie is wrong"),
        (setup_packet(Authorization(b"MIT-MAGIC-COOKIE-2", b"f" * 16)), "cookie is wrong"),
        (setup_packet(Authorization(b"", b"")), "another authorization protocol"),
        (setup_packet(Authorization(MIT_COOKIE, b"f" * 20)), "another authorization protocol"),
        (setup_packet(SHOWN, sizes=(65535, 65535)), "another authorization protocol"),
        (setup_packet(SHOWN, "x"), "no setup packet"),
        (b"GET / HTTP/1.1\r\n", "no setup packet"),
    ],
)
def test_another_packet_is_refused_before_much_of_it_is_kept(packet: bytes, reason: str) -> None:
    with pytest.raises(WrongCookie, match=reason):
        Setup(SHOWN, REAL).feed(packet)


class Ends:
    """A relay to a display, and the display's end of its socket."""

    def __init__(self) -> None:
        self.display, self.near = socket.socketpair()
        self.display.setblocking(False)
        self.driver = FakeDriver()
        self.channel: Channel = self.driver.channel()
        self.refused: list[str] = []

    async def start(self) -> None:
        await carry(
            FakeConnection(self.driver),  # type: ignore[arg-type]
            self.channel,
            self.near,
            make=lambda c, channel: X11Relay(c, channel, Setup(SHOWN, REAL), self.refused.append),
        )

    async def read(self, size: int) -> bytes:
        async with asyncio.timeout(30):
            return await asyncio.get_running_loop().sock_recv(self.display, size)


async def test_the_display_gets_its_own_cookie_and_then_everything() -> None:
    ends = Ends()
    await ends.start()
    sink = ends.channel.sinks[MAIN]
    sink.feed(setup_packet(SHOWN)[:20])
    sink.feed(setup_packet(SHOWN)[20:])
    ends.driver.end_turn()
    assert await ends.read(100) == setup_packet(REAL)
    sink.feed(b"request")
    ends.driver.end_turn()
    assert await ends.read(100) == b"request"
    ends.channel.close()
    ends.display.close()


async def test_a_wrong_cookie_closes_both_ends_and_nothing_reaches_the_display() -> None:
    ends = Ends()
    await ends.start()
    sink = ends.channel.sinks[MAIN]
    sink.feed(setup_packet(REAL))
    sink.feed(b"more")
    assert await ends.read(100) == b""
    assert ends.refused == ["its cookie is wrong"]
    assert ends.channel.closing
    ends.display.close()
