"""Paramiko as a client: does what its argument says, as JSON, and prints the seconds it took."""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import paramiko

JOB = json.loads(sys.argv[1])
KEY = paramiko.Ed25519Key.from_private_key_file(JOB["key"])


def connect() -> paramiko.Transport:
    transport = paramiko.Transport(("127.0.0.1", JOB["port"]))
    transport.get_security_options().ciphers = (JOB["cipher"],)
    transport.connect(username=JOB["user"], pkey=KEY)
    return transport


def command(transport: paramiko.Transport, words: str) -> paramiko.Channel:
    channel = transport.open_session()
    channel.exec_command(words)
    return channel


def login(_: int) -> None:
    transport = connect()
    assert command(transport, "true").recv_exit_status() == 0
    transport.close()


def main() -> float:
    begin = time.perf_counter()
    if JOB["do"] == "login":
        with ThreadPoolExecutor(JOB["at_once"]) as pool:
            list(pool.map(login, range(JOB["count"])))
        return time.perf_counter() - begin
    transport = connect()
    match JOB["do"]:
        case "down":
            channel = command(transport, f"cat {JOB['remote']}")
            with open(JOB["local"], "wb") as sink:
                while block := channel.recv(1 << 20):
                    sink.write(block)
            assert channel.recv_exit_status() == 0
        case "up":
            channel = command(transport, f"cat > {JOB['remote']}")
            with open(JOB["local"], "rb") as source:
                while block := source.read(1 << 18):
                    channel.sendall(block)
            channel.shutdown_write()
            assert channel.recv_exit_status() == 0
        case "exec":
            begin = time.perf_counter()
            for _ in range(JOB["count"]):
                assert command(transport, "true").recv_exit_status() == 0
        case what:
            sftp = paramiko.SFTPClient.from_transport(transport)
            assert sftp is not None
            if what == "get":
                sftp.get(JOB["remote"], JOB["local"])
            elif what == "put":
                sftp.put(JOB["local"], JOB["remote"])
            else:
                begin = time.perf_counter()
                for _ in range(JOB["count"]):
                    sftp.stat(JOB["path"])
    seconds = time.perf_counter() - begin
    transport.close()
    return seconds


print(json.dumps(main()))
