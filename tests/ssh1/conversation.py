"""A server of SSH-1 that always says the same, and how its talk with a real client is written down.

``python tests/ssh1/conversation.py [NAME...]`` (with ``src`` and ``tests`` in PYTHONPATH) records
the transcripts anew, with the clients that are installed.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import tempfile
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from nacre.keys import dump_private, load_private
from nacre.keys.families.rsa1 import RSA1PrivateKey
from nacre.protocol.asks import (
    AskKeyboardInteractive,
    AskOpen,
    AskPassword,
    AskPublicKey,
    AskRequest,
    AskRSAKey,
    AskUser,
    Challenge,
    Denied,
    Granted,
    Prompt,
    RSAKey,
    UserRequirement,
)
from nacre.protocol.events import ConnectionEnded, Data, EofReceived, Event, RequestReceived
from nacre.protocol.options import ServerOptions, algorithms
from nacre.protocol.requests import ExitStatus, PtyRequest
from nacre.ssh1.engine import SSH1Server

DIRECTORY = Path(__file__).parent / "transcripts"
PASSWORD = "secret"


class Conversation:
    """The engine, and what answers it: a session echoes its input, then exits with 7.

    :ivar said: what happened, in words, for comparison.
    """

    def __init__(self, keys: dict[str, RSA1PrivateKey], seed: int) -> None:
        self.said: list[str] = []
        self._user = keys["user"].public
        options = ServerOptions(
            host_keys=(keys["host"],),
            announce="1.99",
            software="nacre",
            ssh1_ciphers=("3des", "blowfish", "des"),
            algorithms=algorithms(compression=["none", "zlib"]),
        )
        draw = random.Random(seed).randbytes
        self.engine = SSH1Server(options, server_key=keys["server"], random=draw)
        self.ended = False
        self.engine.start(0.0)

    def receive(self, data: bytes) -> bytes:
        """Take bytes; returns what the server sends then."""
        if data:
            self.engine.receive(data, 0.0)
        while events := self.engine.take_events():
            for event in events:
                self._act(event)
        return bytes(self.engine.take_output())

    def _act(self, event: Event) -> None:
        answer: Any = None
        match event:
            case AskUser():
                methods = ("publickey", "password", "keyboard-interactive")
                answer = UserRequirement(tuple(frozenset({method}) for method in methods))
            case AskPassword(password=password):
                self.said.append("password")
                answer = Granted() if password == PASSWORD else Denied()
            case AskRSAKey(modulus=modulus):
                self.said.append("key")
                known = modulus == self._user.verifier.n
                answer = RSAKey(self._user) if known else Denied()
            case AskKeyboardInteractive(responses=None):
                answer = Challenge("", "", (Prompt("Password: ", False),))
            case AskKeyboardInteractive(responses=responses):
                self.said.append("TIS")
                answer = Granted() if responses == (PASSWORD,) else Denied()
            case AskPublicKey() | AskOpen():
                answer = Granted()
            case AskRequest(request=PtyRequest() as terminal):
                self.said.append(f"{terminal.term} {terminal.columns}x{terminal.rows}")
                answer = Granted()
            case AskRequest(request=request):
                self.said.append(request.NAME)
                answer = Granted()
            case RequestReceived(request=request):
                self.said.append(request.NAME)
            case Data(channel=channel, data=data):
                self.engine.connection.send_data(channel, data)
                self.engine.connection.adjust_window(channel, len(data))
            case EofReceived(channel=channel):
                self.engine.connection.send_data(channel, b"that was it\n", 1)
                self.engine.connection.send_request(channel, ExitStatus(7))
                self.engine.connection.close_channel(channel)
            case ConnectionEnded(error=error):
                self.said.append(f"ended: {error}")
                self.ended = True
        if answer is not None:
            self.engine.answer(event.ask_id, answer)  # type: ignore[attr-defined]


def load_keys(text: dict[str, str]) -> dict[str, RSA1PrivateKey]:
    """Return the keys of a transcript."""
    keys = {name: load_private(b64decode(data)) for name, data in text.items()}
    return {name: key for name, key in keys.items() if isinstance(key, RSA1PrivateKey)}


# --- recording ---


def _serve(listener: socket.socket, conversation: Conversation) -> list[list[str]]:
    """Return the steps: what came in, and what went out then."""
    sock, _ = listener.accept()
    steps = []
    with sock:
        sock.settimeout(20)
        sock.sendall(first := conversation.receive(b""))
        steps.append(["", first.hex()])
        while not conversation.ended and (data := sock.recv(65536)):
            out = conversation.receive(data)
            steps.append([data.hex(), out.hex()])
            sock.sendall(out)
    return steps


def _record(name: str, command: list[str], keys: dict[str, RSA1PrivateKey], seed: int) -> None:
    from interop.programs import environment

    with socket.create_server(("127.0.0.1", 0)) as listener, tempfile.TemporaryDirectory() as home:
        place = Path(home)
        port = str(listener.getsockname()[1])
        (place / "key").write_bytes(dump_private(keys["user"]))
        (place / "key").chmod(0o600)
        (place / "askpass").write_text(f"#!/bin/sh\necho {PASSWORD}\n")
        (place / "askpass").chmod(0o700)
        ciphers = place / ".putty" / "sessions"
        ciphers.mkdir(parents=True)
        for cipher in ("blowfish", "des"):
            (ciphers / cipher).write_text(f"Cipher={cipher},WARN\nHostName=127.0.0.1\n")
        words = [word.format(port=port, home=home) for word in command]
        found = environment(
            HOME=home,
            SSH_ASKPASS=f"{home}/askpass",
            DISPLAY=":0",
            OPENSSL_CONF=os.environ.get("OPENSSL_CONF", ""),
        )
        process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=found, start_new_session=True
        )
        assert process.stdin is not None
        process.stdin.write(b"what was said\n")
        process.stdin.close()
        conversation = Conversation(keys, seed)
        steps = _serve(listener, conversation)
        assert process.wait(20) == 7, conversation.said
    text = {name: b64encode(dump_private(key)).decode() for name, key in keys.items()}
    made = {"keys": text, "seed": seed, "steps": steps, "said": conversation.said}
    (DIRECTORY / f"{name}.json").write_text(json.dumps(made, indent=1) + "\n")


def main() -> None:
    """Record each client, or those that are named."""
    from ssh1.pair1 import rsa1

    keys = {"host": rsa1(1024, 11), "server": rsa1(768, 12), "user": rsa1(1024, 13)}
    mark = keys["host"].public.fingerprint("md5").removeprefix("MD5:")
    ssh1 = ["ssh1", "-F", "none", "-1", "-p", "{port}", "-l", "alice", "-q"]
    for word in ("StrictHostKeyChecking=no", "UserKnownHostsFile={home}/known"):
        ssh1 += ["-o", word]
    no_key = ["-o", "RSAAuthentication=no"]
    plink = ["plink", "-1", "-batch", "-noagent", "-P", "{port}", "-l", "alice", "-hostkey", mark]
    here = "127.0.0.1"
    commands = {
        "ssh1-key": [*ssh1, "-i", "{home}/key", here, "cat"],
        "ssh1-password": [*ssh1, *no_key, "-o", "ChallengeResponseAuthentication=no", here, "cat"],
        "ssh1-tis": [*ssh1, *no_key, "-o", "PasswordAuthentication=no", here, "cat"],
        "ssh1-compressed": [*ssh1, "-C", "-i", "{home}/key", here, "cat"],
        "ssh1-des": [*ssh1, "-c", "des", "-i", "{home}/key", here, "cat"],
        "ssh1-terminal": [*ssh1, "-tt", "-i", "{home}/key", here],
        "plink-password": [*plink, "-pw", PASSWORD, here, "cat"],
        "plink-key": [*plink, "-i", "{home}/key", here, "cat"],
        "plink-compressed": [*plink, "-C", "-pw", PASSWORD, here, "cat"],
        "plink-blowfish": [*plink, "-load", "blowfish", "-T", "-pw", PASSWORD, "cat"],
        "plink-des": [*plink, "-load", "des", "-T", "-pw", PASSWORD, "cat"],
        "plink-terminal": [*plink, "-t", "-pw", PASSWORD, here],
    }
    DIRECTORY.mkdir(exist_ok=True)
    for seed, (name, command) in enumerate(commands.items()):
        if name not in (sys.argv[1:] or commands):
            continue
        _record(name, command, keys, seed)
        print(name, file=sys.stderr)


if __name__ == "__main__":
    main()
