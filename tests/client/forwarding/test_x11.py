"""X11 forwarding by the library's client and server, to a display that is the test's socket."""

from __future__ import annotations

import asyncio
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import nacre
from nacre.client.forwarding import x11
from nacre.errors import ConfigurationError, RequestFailed
from nacre.tunnels.x11 import MIT_COOKIE, Authorization
from parties import PASSWORD, client_for
from tunnels.packets import setup_packet

COOKIE = bytes(range(16))
REAL = Authorization(MIT_COOKIE, COOKIE)


class Showing(nacre.Users):
    """Lets its user use X11."""

    def __init__(self) -> None:
        super().__init__({"alice": PASSWORD})

    def x11_forwarding(self, session: nacre.Session) -> bool:
        return session.user == "alice"


async def show(display: nacre.ForwardedDisplay, *, cookie: bytes | None = None) -> bytes:
    """Be a program: connect to the display, say hello, and return what it answers."""
    shown = Authorization(display.protocol.encode(), cookie or bytes.fromhex(display.cookie))
    port = 6000 + int(display.name.partition(":")[2].partition(".")[0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(setup_packet(shown) + b"hello")
        return await reader.read(100)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def handle(session: nacre.Session) -> int:
    """``right``, ``wrong``: be programs with such cookies. Return 0 if the display answers."""
    if session.x11 is None:
        return 9
    answers = []
    for word in (session.command or b"").split():
        try:
            cookie = b"w" * 16 if word == b"wrong" else None
            answers.append(await show(session.x11, cookie=cookie))
        except ConnectionRefusedError:
            answers.append(b"refused")
    await session.stdout.write(b" ".join([session.x11.name.encode(), *answers]))
    return 0


@pytest.fixture
def place() -> Iterator[Path]:
    directory = tempfile.mkdtemp(prefix="x11-", dir="/tmp")
    yield Path(directory)
    shutil.rmtree(directory)


@pytest.fixture
async def display(place: Path) -> AsyncIterator[str]:
    """Serve a display, which answers the right cookie, and return its name."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        expected = setup_packet(REAL) + b"hello"
        try:
            if await reader.readexactly(len(expected)) == expected:
                writer.write(b"welcome")
                await reader.read()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    path = f"{place}/org:0"
    async with await asyncio.start_unix_server(serve, path):
        yield f"{path}.2"


@pytest.fixture
def xauth(place: Path) -> str:
    """A program in place of xauth, which notes its arguments and knows the cookie."""
    script = place / "xauth"
    listed = f"x:0  {MIT_COOKIE.decode()}  {COOKIE.hex()}"
    script.write_text(
        f'#!/bin/sh\necho "$@" >> {place}/asked\n'
        f'case "$*" in *generate*) ;; *) echo "{listed}" ;; esac\n'
    )
    script.chmod(0o700)
    return str(script)


@pytest.fixture
async def ssh(make_server: Any) -> AsyncIterator[nacre.Connection]:
    server = await make_server(policy=Showing(), handler=handle)
    async with client_for(server) as connection:
        yield connection


async def test_programs_reach_the_display_and_the_server_never_learns_its_cookie(
    ssh: nacre.Connection, display: str, xauth: str, place: Path
) -> None:
    await ssh.forward_x11(display, xauth=xauth)
    done = await ssh.run("right right")
    name, *answers = done.stdout.split()
    assert answers == ["welcome", "welcome"]
    assert name.startswith("localhost:")
    assert name.endswith(".2")
    assert (place / "asked").read_text() == f"list {place}/org:0\n"


async def test_a_wrong_cookie_is_refused(
    ssh: nacre.Connection, display: str, xauth: str, caplog: pytest.LogCaptureFixture
) -> None:
    await ssh.forward_x11(display, xauth=xauth)
    done = await ssh.run("wrong right")
    assert done.stdout.split(" ")[1:] == ["", "welcome"]
    assert "an X11 program of the server was refused: its cookie is wrong" in caplog.text


async def test_a_program_that_is_not_trusted_gets_a_cookie_made_for_it_and_a_time(
    ssh: nacre.Connection, display: str, xauth: str, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await ssh.forward_x11(display, trusted=False, timeout=100, xauth=xauth)
    assert (await ssh.run("right")).stdout.endswith("welcome")
    made, listed = (place / "asked").read_text().splitlines()
    file = Path(made.split()[1])
    assert made.split()[2:] == [
        *("generate", f"{place}/org:0", MIT_COOKIE.decode(), "untrusted", "timeout", "160")
    ]
    assert listed.split() == ["-f", str(file), "list", f"{place}/org:0"]
    assert not file.parent.exists()
    assert file.parent != place
    forward = ssh._forwarding.display
    assert forward is not None
    forward._ends = forward._clock()  # as if the time were over
    assert not (await ssh.run("right")).stdout.endswith("welcome")
    assert "ForwardX11Timeout is over" in caplog.text


async def test_one_connection_and_no_more_if_the_client_says_so(
    ssh: nacre.Connection, display: str, xauth: str
) -> None:
    await ssh.forward_x11(display, xauth=xauth, single=True)
    _, first, second = (await ssh.run("right right")).stdout.split(" ")
    assert (first, second) == ("welcome", "refused")


async def test_each_session_has_a_display_of_its_own(
    ssh: nacre.Connection, display: str, xauth: str
) -> None:
    await ssh.forward_x11(display, xauth=xauth)
    both = await asyncio.gather(ssh.run("right"), ssh.run("right"))
    assert all(done.stdout.endswith(" welcome") for done in both)


async def test_a_display_without_a_cookie_gets_a_random_one(
    ssh: nacre.Connection, display: str, caplog: pytest.LogCaptureFixture
) -> None:
    await ssh.forward_x11(display, xauth="/no/such/xauth")
    assert (await ssh.run("right")).stdout.split(" ")[1:] == [""]
    assert "xauth has no cookie of the display" in caplog.text


async def test_a_display_that_is_gone_is_no_connection(
    ssh: nacre.Connection, place: Path, xauth: str, caplog: pytest.LogCaptureFixture
) -> None:
    await ssh.forward_x11(f"{place}/gone:0", xauth=xauth)
    assert (await ssh.run("right")).stdout.split(" ")[1:] == [""]
    said = f"forwarding to our display failed: no connection to {place}/gone:0: No such file"
    assert said in caplog.text


async def test_nothing_is_loaded_and_lent_before_something_is_forwarded(
    ssh: nacre.Connection, display: str, xauth: str
) -> None:
    assert (ssh._lends(), ssh._forwards) == ((), None)
    ssh.forward_agent("/no/such/agent")
    await ssh.forward_x11(display, xauth=xauth)
    names = [request.NAME for request in ssh._lends()]
    assert names == ["auth-agent-req@openssh.com", "x11-req"]
    assert [request.NAME for request in ssh._lends(x11=False)] == names[:1]
    assert [request.NAME for request in ssh._lends(agent=False)] == names[1:]


async def test_without_a_display_or_a_cookie_nothing_is_forwarded(
    ssh: nacre.Connection, monkeypatch: pytest.MonkeyPatch, display: str
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(ConfigurationError, match="there is no display to forward"):
        await ssh.forward_x11()
    with pytest.raises(ConfigurationError, match="names no display"):
        await ssh.forward_x11("nowhere")
    for xauth in ("/no/such/xauth", "/bin/false"):
        with pytest.raises(ConfigurationError, match="no cookie for untrusted programs"):
            await ssh.forward_x11(display, trusted=False, xauth=xauth)
    assert (await ssh.run("right")).exit_status == 9


async def test_xauth_that_hangs_or_cannot_run_is_as_good_as_none(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(x11, "_PATIENCE", 0.05)
    assert await x11._run("/bin/sleep", "60") == b""
    assert "/bin/sleep did not end within 0.05 seconds" in caplog.text
    (place / "text").touch(stat.S_IRUSR | stat.S_IXUSR)
    assert await x11._run(str(place / "text")) == b""
    assert "can't be started" in caplog.text


async def test_a_server_that_refuses_x11_is_only_warned_of(
    make_server: Any, display: str, xauth: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = await make_server(handler=handle)  # its policy has no opinion of X11
    async with client_for(server) as ssh:
        await ssh.forward_x11(display, xauth=xauth)
        assert (await ssh.run("right")).exit_status == 9
    assert "the server does not let the command 'right' use our display" in caplog.text


async def test_channels_of_x11_are_refused_where_no_display_is_forwarded(make_server: Any) -> None:
    refused = asyncio.get_running_loop().create_future()

    async def open_one(session: nacre.Session) -> int:
        try:
            await session.connection.open_channel("x11", b"").wait_opened()
        except nacre.ChannelOpenFailed as error:
            refused.set_result(error)
        return 0

    async with client_for(await make_server(handler=open_one)) as ssh:
        with pytest.raises(RequestFailed):
            await ssh.forward_remote("localhost", 1)  # so that something answers channels
        await ssh.run("x")
    assert isinstance(await refused, nacre.ChannelOpenFailed)
