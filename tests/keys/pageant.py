"""What PuTTY's agent answers to SSH-1's requests, kept in ``pageant.json``.

``python tests/keys/pageant.py`` (with ``src`` and ``tests`` in PYTHONPATH) records it anew, with
the agent that ``scripts/uppity`` builds.
"""

from __future__ import annotations

import json
import random
import socket
import subprocess
import tempfile
from base64 import b64encode
from pathlib import Path

from nacre.keys import dump_private
from nacre.keys.agents.messages import Frames, request_rsa_identities, request_rsa_response
from nacre.keys.families.rsa1 import CHALLENGE

FILE = Path(__file__).with_name("pageant.json")
PAGEANT = Path(__file__).parents[2] / "build" / "putty" / "pageant"


def ask(path: str, request: bytes) -> str:
    """Return an agent's answer, in hex."""
    frames = Frames()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(path)
        sock.sendall(request)
        while not (answers := frames.receive(sock.recv(65536))):
            pass
    return answers[0].hex()


def main() -> None:
    """Record it."""
    from ssh1.pair1 import rsa1

    key = rsa1(1024, 31)
    key.comment = "an old key"
    draw = random.Random(31).randbytes
    session = draw(16)
    challenge = key.public.verifier.encrypt(draw(CHALLENGE), draw)
    data = session + challenge.to_bytes(key.public.verifier.size, "big")
    with tempfile.NamedTemporaryFile() as file:
        file.write(dump_private(key))
        file.flush()
        command: list[str | Path] = [
            PAGEANT,
            file.name,
            "--exec",
            "sh",
            "-c",
            "echo $SSH_AUTH_SOCK; read line",
        ]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as agent:
            assert agent.stdout is not None
            path = agent.stdout.readline().decode().strip()
            made = {
                "key": b64encode(dump_private(key)).decode(),
                "data": data.hex(),
                "identities": ask(path, request_rsa_identities()),
                "response": ask(path, request_rsa_response(key.public.blob, data)),
                "unknown": ask(path, request_rsa_response(rsa1(1024, 32).public.blob, data)),
            }
    FILE.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
