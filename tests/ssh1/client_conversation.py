"""A client of SSH-1 that always says the same, and how its talk with a real server is written down.

``python tests/ssh1/client_conversation.py`` (with ``src`` and ``tests`` in PYTHONPATH) records the
transcripts anew, with PuTTY's server for tests, which ``scripts/uppity`` builds.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import tempfile
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import Any

from nacre.errors import AuthenticationFailed, DisconnectCode, HostKeyUnknown
from nacre.keys import dump_private
from nacre.keys.families.rsa1 import RSA1PrivateKey
from nacre.protocol.asks import (
    AskAuthentication,
    AskHostKey,
    AskPrompts,
    AskSignature,
    GiveUp,
    Granted,
    HostKeyRefused,
    Responses,
    Signature,
    TryKeyboardInteractive,
    TryPassword,
    TryPublicKey,
)
from nacre.protocol.events import (
    Authenticated,
    AuthResult,
    ConnectionEnded,
    Data,
    Event,
    RequestAnswered,
    RequestReceived,
)
from nacre.protocol.options import ClientOptions, algorithms
from nacre.protocol.requests import Exec, ExitStatus, PtyRequest, WindowChange
from nacre.ssh1.engine import SSH1Client

DIRECTORY = Path(__file__).parent / "transcripts" / "servers"
UPPITY = Path(__file__).parents[2] / "build" / "putty" / "uppity"
PASSWORDS = {"password": "weasel", "TIS": "otter"}
"""What this server wants to hear."""

COMMAND = b"cat; echo wrong >&2; sleep 0.2; exit 7"
AT_A_TERMINAL = b"stty size; read line; stty size; exit 7"


class ClientConversation:
    """The engine, and what answers it: it runs a command that ends with 7.

    :param how: ``ways`` to log in, one after the other; ``cipher``, ``compress``, ``terminal``.
    :ivar said: what happened, in words, for comparison.
    """

    def __init__(self, keys: dict[str, RSA1PrivateKey], seed: int, how: dict[str, Any]) -> None:
        self.said: list[str] = []
        self.ended = False
        self._keys = keys
        self._ways = list(how["ways"])
        self._terminal = how.get("terminal", False)
        self._output = {0: b"", 1: b""}
        self._session = -1
        offered = algorithms(compression=["zlib", "none"] if how.get("compress") else None)
        options = ClientOptions(
            user="alice",
            software="nacre",
            algorithms=offered,
            ssh1_ciphers=(how.get("cipher", "3des"),),
        )
        self.engine = SSH1Client(options, random=random.Random(seed).randbytes)
        self.engine.start(0.0)

    def receive(self, data: bytes) -> bytes:
        """Take bytes; returns what the client sends then."""
        if data:
            self.engine.receive(data, 0.0)
        while events := self.engine.take_events():
            for event in events:
                self._act(event)
        return bytes(self.engine.take_output())

    def _act(self, event: Event) -> None:
        match event:
            case AskHostKey(key=key):
                known = key == self._keys["host"].public
                no = HostKeyRefused(HostKeyUnknown("another host key"))
                self.engine.answer(event.ask_id, Granted() if known else no)
            case AskAuthentication():
                self.engine.answer(event.ask_id, self._try())
            case AskSignature(data=data):
                made = self._keys["user"].sign(data, "rsa1")
                self.engine.answer(event.ask_id, Signature(made))
            case AskPrompts(prompts=prompts):
                self.said.append(prompts[0].text)
                self.engine.answer(event.ask_id, Responses((PASSWORDS["TIS"],)))
            case AuthResult(method=method, outcome=outcome):
                self.said.append(f"{method}: {outcome}")
            case Authenticated():
                self._start()
            case RequestAnswered(success=success):
                self.said.append(f"answered: {success}")
            case Data():
                self._take(event)
            case RequestReceived(request=ExitStatus(status=status)):
                self.said += [part.decode() for part in self._output.values()]
                self.said.append(f"exit status {status}")
                self.engine.disconnect(DisconnectCode.BY_APPLICATION, "closed")
            case ConnectionEnded(error=error):
                self.said.append(f"ended: {error}")
                self.ended = True

    def _try(self) -> Any:
        way = self._ways.pop(0) if self._ways else ""
        match way:
            case "key":
                return TryPublicKey(self._keys["user"].public, ("rsa1",))
            case "TIS":
                return TryKeyboardInteractive()
            case "":
                return GiveUp(AuthenticationFailed("no way is left"))
        return TryPassword(PASSWORDS.get(way, way))

    def _start(self) -> None:
        connection = self.engine.connection
        self._session = connection.open_channel("session")
        if self._terminal:
            modes = b"\x35\0\0\0\0\0"  # ECHO off, and the end
            connection.send_request(self._session, PtyRequest("xterm", 80, 24, 0, 0, modes))
            connection.send_request(self._session, Exec(AT_A_TERMINAL))
        else:
            connection.send_request(self._session, Exec(COMMAND))
            connection.send_data(self._session, b"what was said\n")
            connection.send_eof(self._session)

    def _take(self, data: Data) -> None:
        connection = self.engine.connection
        self._output[data.stream] += data.data
        connection.adjust_window(data.channel, len(data.data))
        if self._output[0] == b"24 80\r\n":
            connection.send_request(self._session, WindowChange(101, 33, 0, 0), want_reply=False)
            connection.send_data(self._session, b"\n")


SCENARIOS: dict[str, dict[str, Any]] = {
    "password": {"ways": ["wrong", "password"]},
    "key": {"ways": ["key"]},
    "tis": {"ways": ["TIS"]},
    "refused": {"ways": ["wrong"]},
    "compressed": {"ways": ["key"], "compress": True},
    "blowfish": {"ways": ["password"], "cipher": "blowfish"},
    "blowfish-compressed": {"ways": ["password"], "cipher": "blowfish", "compress": True},
    "des": {"ways": ["password"], "cipher": "des"},
    "terminal": {"ways": ["key"], "terminal": True},
}


# --- recording ---


def talk(port: int, conversation: ClientConversation) -> list[list[str]]:
    """Return the steps: what came in, and what went out then."""
    steps = []
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.settimeout(20)
        sock.sendall(first := conversation.receive(b""))
        steps.append(["", first.hex()])
        while not conversation.ended and (data := sock.recv(65536)):
            out = conversation.receive(data)
            steps.append([data.hex(), out.hex()])
            with suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(out)
    return steps


def start(place: Path, keys: dict[str, RSA1PrivateKey]) -> tuple[subprocess.Popen[bytes], int]:
    """Start PuTTY's server; returns the process and its port."""
    (place / "host").write_bytes(dump_private(keys["host"]))
    (place / "user.pub").write_text(f"{keys['user'].public} user\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [UPPITY, "--listen", str(port), "--hostkey", place / "host"]
    command += ["--userkey", place / "user.pub", "--sessiondir", place]
    command += ["--ssh1-ciphers", "3des,blowfish,des"]
    process = subprocess.Popen(
        [str(word) for word in command], stderr=subprocess.PIPE, env={**os.environ, "LC_ALL": "C"}
    )
    assert process.stderr is not None
    while b"listening" not in (line := process.stderr.readline()):
        assert line, "it did not start"
    return process, port


def record(name: str, port: int, keys: dict[str, RSA1PrivateKey], seed: int) -> None:
    """Write a transcript."""
    for _ in range(20):
        conversation = ClientConversation(keys, seed, SCENARIOS[name])
        steps = talk(port, conversation)
        # This server forgets a status now and then: it reports 0 then, to PuTTY's client too.
        if name == "refused" or "exit status 7" in conversation.said:
            break
    else:
        raise AssertionError(conversation.said)
    text = {name: b64encode(dump_private(key)).decode() for name, key in keys.items()}
    made = {"keys": text, "seed": seed, "how": SCENARIOS[name], "steps": steps}
    made["said"] = conversation.said
    (DIRECTORY / f"uppity-{name}.json").write_text(json.dumps(made, indent=1) + "\n")


def main() -> None:
    """Record each scenario."""
    from ssh1.pair1 import rsa1

    # Its server key has 512 bits where the host key has these.
    keys = {"host": rsa1(2048, 21), "user": rsa1(1024, 22)}
    DIRECTORY.mkdir(exist_ok=True, parents=True)
    with tempfile.TemporaryDirectory() as directory:
        process, port = start(Path(directory), keys)
        try:
            for seed, name in enumerate(SCENARIOS):
                record(name, port, keys, seed)
                print(name, file=sys.stderr)
        finally:
            process.kill()
            process.communicate()


if __name__ == "__main__":
    main()
