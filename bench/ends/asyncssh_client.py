"""AsyncSSH as a client: does what its argument says, as JSON, and prints the seconds it took."""

import asyncio
import json
import sys
import time

import asyncssh

JOB = json.loads(sys.argv[1])


def connect():
    return asyncssh.connect(
        "127.0.0.1",
        JOB["port"],
        username=JOB["user"],
        client_keys=[JOB["key"]],
        known_hosts=None,
        config=None,
        agent_path=None,
        encryption_algs=[JOB["cipher"]],
    )


async def login(limit: asyncio.Semaphore) -> None:
    async with limit, connect() as connection:
        assert (await connection.run("true")).exit_status == 0


async def stats(sftp, count: int) -> None:
    for _ in range(count):
        await sftp.stat(JOB["path"])


async def main() -> float:
    begin = time.perf_counter()
    if JOB["do"] == "login":
        limit = asyncio.Semaphore(JOB["at_once"])
        await asyncio.gather(*(login(limit) for _ in range(JOB["count"])))
        return time.perf_counter() - begin
    async with connect() as connection:
        match JOB["do"]:
            case "forward":
                listener = await connection.forward_local_port(
                    "127.0.0.1", 0, "127.0.0.1", JOB["target"]
                )
                print(f"listening on {listener.get_port()}", flush=True)
                await connection.wait_closed()
            case "down":
                done = await connection.run(
                    f"cat {JOB['remote']}", stdout=JOB["local"], encoding=None
                )
                assert done.exit_status == 0, (done.exit_status, done.exit_signal, done.stderr)
            case "up":
                command = f"cat > {JOB['remote']}"
                done = await connection.run(command, stdin=JOB["local"], encoding=None)
                assert done.exit_status == 0, (done.exit_status, done.exit_signal, done.stderr)
            case "exec":
                begin = time.perf_counter()
                for _ in range(JOB["count"]):
                    assert (await connection.run("true")).exit_status == 0
            case what:
                async with connection.start_sftp_client() as sftp:
                    if JOB.get("warm"):
                        begin = time.perf_counter()
                    if what == "get":
                        await sftp.get(JOB["remote"], JOB["local"], recurse=JOB.get("tree", False))
                    elif what == "put":
                        await sftp.put(JOB["local"], JOB["remote"], recurse=JOB.get("tree", False))
                    else:
                        begin = time.perf_counter()
                        share = JOB["count"] // JOB["at_once"]
                        await asyncio.gather(*(stats(sftp, share) for _ in range(JOB["at_once"])))
                    if JOB.get("warm") or what == "stat":
                        return time.perf_counter() - begin
    return time.perf_counter() - begin


print(json.dumps(asyncio.run(main())))
