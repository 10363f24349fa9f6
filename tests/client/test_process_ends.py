"""How a command's end is told from the end of its connection, and what its errors hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import nacre
from nacre.errors import ConnectionLost, NacreError, PacketCorrupt
from parties import client_for, hangs_up_after, until

STATUS, EOF, CLOSE = "status", "eof", "close"


@pytest.fixture(params=["run", "check", "process"])
def end_of(request: pytest.FixtureRequest) -> Callable[[nacre.Connection], Any]:
    """Run the server's command to its end: what it returned, or raises."""

    async def run(ssh: nacre.Connection) -> tuple[int | None, str | None, str, str]:
        result = await ssh.run("x", check=request.param == "check", timeout=10)
        return result.exit_status, result.exit_signal, result.stdout, result.stderr

    async def process(ssh: nacre.Connection) -> tuple[int | None, str | None, str, str]:
        async with asyncio.timeout(30), ssh.process("x") as process:
            out, err = await process.stdout.read(100), await process.stderr.read(100)
            try:
                status = await process.wait()
                assert await process.stdout.read() == b""
            except NacreError as error:
                # The streams are the caller's; what ``run`` adds is compared all the same.
                error.stdout, error.stderr = out.decode(), err.decode()
                error.exit_status, error.exit_signal = process.exit_status, process.exit_signal
                raise
            return status, process.exit_signal, out.decode(), err.decode()

    return process if request.param == "process" else run


@pytest.mark.parametrize("parts", [(STATUS, EOF), (EOF, STATUS), (STATUS, CLOSE), (EOF, CLOSE)])
async def test_an_end_that_was_told_is_complete(
    parts: tuple[str, ...],
    make_server: Callable[..., Any],
    end_of: Callable[[nacre.Connection], Any],
    request: pytest.FixtureRequest,
) -> None:
    async with client_for(await make_server(handler=hangs_up_after(*parts))) as ssh:
        if STATUS not in parts and "check" in request.node.callspec.id:
            with pytest.raises(nacre.ProcessFailed, match="did not report how"):
                await end_of(ssh)
            return
        status = 0 if STATUS in parts else None
        assert await end_of(ssh) == (status, None, "answer\n", "note\n")


@pytest.mark.parametrize(
    ("parts", "status", "exit_signal"),
    [
        ((), None, None),
        ((EOF,), None, None),
        ((STATUS,), 7, None),
        (("signal",), None, "KILL"),
        ((STATUS, "disconnect"), 7, None),
        (("disconnect",), None, None),
    ],
)
async def test_a_cut_before_the_end_is_an_error_that_holds_all_that_came(
    parts: tuple[str, ...],
    status: int | None,
    exit_signal: str | None,
    make_server: Callable[..., Any],
    end_of: Callable[[nacre.Connection], Any],
) -> None:
    async with client_for(await make_server(handler=hangs_up_after(*parts, status=7))) as ssh:
        with pytest.raises(ConnectionLost) as caught:
            await end_of(ssh)
    error = caught.value
    assert (error.stdout, error.stderr) == ("answer\n", "note\n")
    assert (error.exit_status, error.exit_signal) == (status, exit_signal)


async def test_a_status_of_success_before_a_reset_is_no_success(
    make_server: Callable[..., Any],
) -> None:
    server = await make_server(handler=hangs_up_after(STATUS, reset=True))
    async with client_for(server) as ssh:
        with pytest.raises(ConnectionLost) as caught:
            await ssh.run("x", timeout=10)
    # A reset may drop what was not read yet; what was read is held.
    assert caught.value.stdout in ("answer\n", "")


async def test_each_call_s_error_holds_its_own_output(make_server: Callable[..., Any]) -> None:
    printed = asyncio.Event()

    async def handler(session: nacre.Session) -> None:
        await session.stdout.write(b"out of " + (session.command or b""))
        await session.stdout.drain()
        await printed.wait()
        session.connection.driver.abort()

    async with client_for(await make_server(handler=handler)) as ssh:
        calls = [asyncio.create_task(ssh.run(name, encoding=None)) for name in ("a", "b")]
        kept: Any = ssh._channels
        await until(lambda: sum(len(kept[n].sinks[0].data) for n in kept if kept[n].sinks) == 16)
        printed.set()
        failures = await asyncio.gather(*calls, return_exceptions=True)
    assert [getattr(f, "stdout", None) for f in failures] == [b"out of a", b"out of b"]
    assert ssh.error is not None
    assert ssh.error.stdout == b""  # the connection's own error is nobody's


async def test_an_error_of_the_protocol_holds_the_output_too(
    ssh: nacre.Connection, server: nacre.Server
) -> None:
    call = asyncio.create_task(ssh.run("say-and-hang"))
    async with asyncio.timeout(30):
        kept: Any = ssh._channels
        await until(lambda: kept and kept[0].sinks and kept[0].sinks[0].data == b"out")
        await until(lambda: kept[0].sinks[1].data == b"err")
        damaged: Any = server.connections[0]
        damaged.driver.transport.write(bytes(64))
        with pytest.raises(PacketCorrupt) as caught:
            await call
    assert (caught.value.stdout, caught.value.stderr) == ("out", "err")


async def test_what_fails_behind_a_whole_end_changes_nothing(
    make_server: Callable[..., Any],
) -> None:
    async def handler(session: nacre.Session) -> int:
        await session.stdout.write(b"enough")
        return 3

    async with client_for(await make_server(handler=handler)) as ssh:
        result = await ssh.run("x", input=bytes(20_000_000), timeout=10)
    assert (result.exit_status, result.stdout) == (3, "enough")


async def test_too_much_output_is_an_error_that_holds_its_beginning(ssh: nacre.Connection) -> None:
    with pytest.raises(nacre.OutputTooLarge) as caught:
        await ssh.run("print 20000000 0", max_output=3_000_000)
    assert 0 < len(caught.value.stdout) <= 3_000_000


async def test_the_same_holds_for_ssh1(make_server: Callable[..., Any]) -> None:
    """It has no EOF: the exit status follows all output, and is the end."""
    key, host_key = nacre.generate("rsa1", bits=1024), nacre.generate("rsa1", bits=1280)
    options: dict[str, Any] = {
        "host_keys": [host_key],
        "policy": nacre.Users({"alice": key.public}),
        "protocols": (1,),
    }
    cut = await make_server(handler=hangs_up_after(), **options)
    async with client_for(cut, password=None, keys=[key], protocols=(1,)) as ssh:
        with pytest.raises(ConnectionLost) as caught:
            await ssh.run("x", timeout=10)
    assert (caught.value.stdout, caught.value.stderr) == ("answer\n", "note\n")
    assert caught.value.exit_status is None
