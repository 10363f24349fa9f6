"""Commands from end to end: nacre's client and server over a socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

import nacre
from fake_driver import FakeDriver
from nacre.aio.driver import Driver
from nacre.client.process import Process, Start
from nacre.protocol.events import RequestReceived
from nacre.protocol.requests import ExitSignal, ExitStatus, Request
from nacre.wire.numbers import MAIN
from parties import PASSWORD, client_for, until


async def test_run_returns_what_a_command_printed(ssh: nacre.Connection) -> None:
    result = await ssh.run("cat", input="hällo\n")
    assert result == nacre.Completed("cat", 0, None, "hällo\n", "")


async def test_bytes_stay_bytes_without_an_encoding(ssh: nacre.Connection) -> None:
    result = await ssh.run("cat", input=b"\xff\x00", encoding=None)
    assert result.stdout == b"\xff\x00"
    assert (await ssh.run("cat", input=b"\xff")).stdout == "\ufffd"


async def test_the_exit_status_is_the_handlers(ssh: nacre.Connection) -> None:
    assert (await ssh.run("exit 7")).exit_status == 7
    with pytest.raises(nacre.ProcessFailed, match="exit status 7") as caught:
        await ssh.run("exit 7", check=True)
    assert caught.value.exit_status == 7


async def test_a_signal_is_no_exit_status(ssh: nacre.Connection) -> None:
    result = await ssh.run("kill")
    assert (result.exit_status, result.exit_signal) == (None, "TERM")
    with pytest.raises(nacre.ProcessFailed, match="signal TERM"):
        await ssh.run("kill", check=True)


async def test_a_handler_that_raises_exits_with_255(
    ssh: nacre.Connection, records: list[dict[str, object]], caplog: pytest.LogCaptureFixture
) -> None:
    assert (await ssh.run("raise")).exit_status == 255
    assert "as asked" in caplog.text
    assert [r["error"] for r in records if r["event"] == "error"] == ["ValueError('as asked')"]
    assert (await ssh.run("exit 0")).exit_status == 0


async def test_without_a_command_there_is_a_shell(ssh: nacre.Connection) -> None:
    assert (await ssh.run(input="one\ntwo\n")).stdout == "> one\n> two\n"


async def test_much_in_and_much_out_on_both_streams_at_once(ssh: nacre.Connection) -> None:
    data = bytes(range(256)) * (48 << 10)
    async with asyncio.timeout(30):
        echoed, printed = await asyncio.gather(
            ssh.run("cat", input=data, encoding=None),
            ssh.run("print 6000000 6000000", input=data, encoding=None),
        )
    assert echoed.stdout == data
    assert (len(printed.stdout), len(printed.stderr)) == (6_000_000, 6_000_000)


async def test_output_above_the_bound_stops_the_command(
    ssh: nacre.Connection, server: nacre.Server
) -> None:
    with pytest.raises(nacre.OutputTooLarge, match="1000 bytes"):
        await ssh.run("print 800 800", max_output=1000)
    with pytest.raises(nacre.OutputTooLarge):
        await ssh.run("print 50000000 0", max_output=100_000, input=bytes(10_000_000))
    await until(lambda: not server.connections[0].sessions)
    assert (await ssh.run("print 1000 0", max_output=1000)).stdout == "\0" * 1000


async def test_a_deadline_stops_the_command_and_keeps_its_output(
    ssh: nacre.Connection, server: nacre.Server
) -> None:
    with pytest.raises(nacre.DeadlineExceeded, match="say-and-hang") as caught:
        await ssh.run("say-and-hang", timeout=0.2, input=bytes(10_000_000))
    assert (caught.value.stdout, caught.value.stderr) == ("out", "err")
    await until(lambda: not server.connections[0].sessions)
    assert (await ssh.run("exit 0")).exit_status == 0


async def test_environment_is_what_the_server_accepts(ssh: nacre.Connection) -> None:
    result = await ssh.run("env", env={"LC_ALL": "C", "PATH": "/evil", "LC_TIME": "de"})
    assert result.stdout == "LC_ALL=C\nLC_TIME=de\n"


async def test_a_slow_reader_of_one_channel_stalls_no_other(ssh: nacre.Connection) -> None:
    async with ssh.process("print 50000000 0") as slow:
        await slow.stdout.read(1)
        data = bytes(5_000_000)
        async with asyncio.timeout(20):
            for _ in range(3):
                assert len((await ssh.run("cat", input=data)).stdout) == len(data)


async def test_stdin_may_end_before_stdout(ssh: nacre.Connection) -> None:
    async with ssh.process("cat") as process:
        await process.stdin.write(b"first")
        assert await process.stdout.readexactly(5) == b"first"
        process.stdin.write_eof()
        assert process.stdin.closed
        with pytest.raises(nacre.StreamClosed):
            await process.stdin.write(b"more")
        assert await process.stdout.read() == b""
        assert await process.wait() == 0


async def test_stdout_may_end_before_stdin(ssh: nacre.Connection) -> None:
    async with ssh.process("close-stdout") as process:
        assert await process.stdout.read() == b""
        await process.stdin.write(b"still here")
        process.stdin.write_eof()
        assert await process.wait() == 0


@pytest.mark.parametrize("end", [ExitStatus(0), ExitSignal("TERM", False, "", "")])
async def test_nothing_is_sent_to_a_process_that_has_ended(end: Request) -> None:
    """OpenSSH's server takes and drops it, and a client that reads /dev/zero would never stop."""
    driver = FakeDriver()
    channel = driver.channel()
    process = Process(channel, Start(None, None, {}, None, (80, 24), b""))
    await process.stdin.write(b"before")
    channel.accept_request(RequestReceived(3, end))
    with pytest.raises(nacre.StreamClosed):
        await process.stdin.write(b"after")
    assert driver.sent[MAIN] == b"before"
    assert not process.finished, "its output may not have ended"


async def test_writers_of_one_stream_do_not_mix(ssh: nacre.Connection) -> None:
    async with ssh.process("cat") as process:
        parts = [bytes([n]) * 3_000_000 for n in range(3)]
        writers = [asyncio.create_task(process.stdin.write(part)) for part in parts]
        await asyncio.sleep(0)
        process.stdin.write_eof()
        assert await process.stdout.read() == b"".join(parts)
        await asyncio.gather(*writers)


async def test_a_terminal_its_size_signals_and_breaks_reach_the_session(
    make_server: Callable[..., Any],
) -> None:
    seen: list[object] = []
    told = asyncio.Event()

    async def handler(session: nacre.Session) -> None:
        def note(what: object) -> None:
            seen.append(what)
            if len(seen) == 4:
                told.set()

        session.on_resize = session.on_signal = session.on_break = note
        note(session.terminal)
        await session.stdout.write(b"ready")
        await told.wait()

    server = await make_server(handler=handler)

    async with client_for(server) as ssh, ssh.shell(term="xterm", size=(100, 40)) as shell:
        await shell.stdout.readexactly(5)
        shell.resize(120, 50)
        shell.send_signal("SIGINT")
        await shell.send_break(500)
        assert await shell.wait() == 0
    terminal = nacre.Terminal("xterm", 100, 40, 0, 0, b"\0")
    resized = nacre.Terminal("xterm", 120, 50, 0, 0, b"\0")
    assert seen == [terminal, resized, "INT", 500]


async def test_no_command_runs_where_its_terminal_was_refused(
    make_server: Callable[..., Any],
) -> None:
    asked = []

    class Plain(nacre.Users):
        def session_request(self, session: nacre.Session, request: Any) -> bool:
            asked.append(request.NAME)
            return request.NAME == "exec"

    server = await make_server(policy=Plain({"alice": PASSWORD}))
    async with client_for(server) as ssh:
        with pytest.raises(nacre.RequestFailed, match="no terminal"):
            await ssh.run("exit 0", term="xterm")
        assert (await ssh.run("exit 3")).exit_status == 3
    assert asked == ["pty-req", "exec"]


async def test_a_break_without_a_handler_is_refused(ssh: nacre.Connection) -> None:
    async with ssh.process("hang") as process:
        with pytest.raises(nacre.RequestFailed, match="BREAK"):
            await process.send_break()


async def test_a_subsystem_is_refused_unless_the_policy_allows_it(
    ssh: nacre.Connection, make_server: Callable[..., Any]
) -> None:
    with pytest.raises(nacre.RequestFailed, match="subsystem sftp"):
        await ssh.process(subsystem="sftp")

    class Allows(nacre.Users):
        def session_request(self, session: nacre.Session, request: Any) -> bool:
            return True

    async def handler(session: nacre.Session) -> None:
        await session.stdout.write((session.subsystem or "").encode())

    server = await make_server(policy=Allows({"alice": PASSWORD}), handler=handler)
    async with client_for(server) as other, other.process(subsystem="sftp") as process:
        assert await process.stdout.read() == b"sftp"


async def test_fifty_channels_at_once(make_server: Callable[..., Any]) -> None:

    server = await make_server(limits=nacre.Limits(sessions=50))
    async with client_for(server) as ssh:
        data = bytes(200_000)
        results = await asyncio.gather(*(ssh.run("cat", input=data) for _ in range(50)))
        assert {len(result.stdout) for result in results} == {len(data)}
        processes = [await ssh.process("hang") for _ in range(50)]
        with pytest.raises(nacre.ChannelOpenFailed, match="too many sessions"):
            await ssh.process("hang")
        for process in processes:
            process.close()
        await asyncio.gather(*(process.wait_closed() for process in processes))
        assert (await ssh.run("exit 0")).exit_status == 0


async def test_keys_are_exchanged_anew_under_load(make_server: Callable[..., Any]) -> None:

    limits = nacre.Limits(rekey_bytes=300_000)
    server = await make_server(limits=limits)
    async with client_for(server, limits=limits) as ssh:
        data = bytes(range(256)) * 20_000
        tasks = [asyncio.create_task(ssh.run("cat", input=data, encoding=None)) for _ in range(3)]
        while not all(task.done() for task in tasks):
            await ssh.rekey()
        for task in tasks:
            assert (await task).stdout == data


async def test_a_session_in_a_socketpair(server: nacre.Server, client: Callable[..., Any]) -> None:
    ours, theirs = socket.socketpair()
    await server.attach(theirs)
    async with client(sock=ours) as ssh:
        assert (await ssh.run("cat", input="x")).stdout == "x"


async def test_one_byte_at_a_time(
    server: nacre.Server, client: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Driver.get_buffer
    monkeypatch.setattr(Driver, "get_buffer", lambda self, hint: whole(self, hint)[:1])
    async with client() as ssh:
        assert (await ssh.run("cat", input="x" * 5000)).stdout == "x" * 5000


async def test_what_a_login_and_a_command_write(
    make_server: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = nacre.generate("ssh-ed25519")
    server = await make_server(policy=nacre.Users({"alice": key.public}))
    writes: list[Driver] = []
    flush = Driver.flush

    def note(driver: Driver) -> None:
        if driver._engine.output_size and driver.transport is not None:
            writes.append(driver)
        flush(driver)

    monkeypatch.setattr(Driver, "flush", note)
    async with client_for(server, keys=[key]) as ssh:
        # After the line: KEXINIT and the method's first message; NEWKEYS and the signed request.
        assert writes.count(ssh.driver) == 2
        await ssh.run("exit 0")
        # The channel; the command with the end of its input. CLOSE leaves with what comes next.
        assert writes.count(ssh.driver) == 4
