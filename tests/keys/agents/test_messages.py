from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import tempfile
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.pageant import FILE
from nacre.errors import UnusableKey
from nacre.keys import decode_public, dump_private, load_private
from nacre.keys.agents import messages as agent
from nacre.keys.key import KEY_TYPES
from nacre.wire.codec import string, u32


def test_answers_are_cut_out_of_any_chunks() -> None:
    stream = string(b"\x05") + string(b"\x0c" + u32(0)) + string(b"x" * 300)
    for size in (1, 3, 7, len(stream)):
        frames = agent.Frames()
        answers = []
        for i in range(0, len(stream), size):
            answers += frames.receive(stream[i : i + size])
        assert answers == [b"\x05", b"\x0c" + u32(0), b"x" * 300]


@pytest.mark.parametrize("size", [0, agent.MAXIMUM_MESSAGE + 1, (1 << 32) - 1])
def test_a_length_out_of_bounds_is_refused_before_its_bytes_come(size: int) -> None:
    with pytest.raises(UnusableKey, match=f"{size} bytes"):
        agent.Frames().receive(u32(size))


def test_the_largest_message_is_taken() -> None:
    message = b"\x06" * agent.MAXIMUM_MESSAGE
    assert agent.Frames().receive(string(message)) == [message]


def test_the_algorithm_chooses_the_flag() -> None:
    def flags(algorithm: str) -> bytes:
        return agent.request_signature(b"blob", b"data", algorithm)[-4:]

    assert flags("rsa-sha2-256") == u32(2)
    assert flags("rsa-sha2-512") == u32(4)
    assert flags("ssh-rsa") == flags("ssh-ed25519") == u32(0)


@pytest.mark.parametrize("decode", [agent.decode_identities, agent.decode_signature])
@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"\x05", "refuses"),
        (b"", "no bytes"),
        (b"\x06", "message 06"),
        (b"\x0c", "malformed|message 0c"),
        (b"\x0e", "malformed|message 0e"),
        (b"\x0c" + u32(1), "malformed|message 0c"),
        (b"\x0c" + u32(0) + b"x", "malformed|message 0c"),
        (b"\x0e" + string(b"") + b"x", "malformed|message 0e"),
    ],
)
def test_refusals_and_malformed_answers(decode, answer: bytes, says: str) -> None:
    with pytest.raises(UnusableKey, match=says):
        decode(answer)


def test_more_keys_than_the_bound() -> None:
    with pytest.raises(UnusableKey, match="lists 2049 keys"):
        agent.decode_identities(b"\x0c" + u32(2049) + bytes(8 * 2049))


@given(st.binary(max_size=60))
def test_no_answer_makes_it_raise_anything_else(answer: bytes) -> None:
    for number in (b"\x0c", b"\x0e"):
        for decode in (agent.decode_identities, agent.decode_signature):
            with contextlib.suppress(UnusableKey):
                decode(number + answer)


@pytest.fixture(scope="module")
def agent_socket() -> Iterator[Path]:
    """Start a real ssh-agent; its socket's path has to be short."""
    program = shutil.which("ssh-agent")
    if program is None:
        pytest.skip("ssh-agent is not installed")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "agent")
        process = subprocess.Popen(
            [program, "-D", "-a", str(path)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        try:
            assert process.stdout is not None
            assert b"SSH_AUTH_SOCK" in process.stdout.readline()
            yield path
        finally:
            process.terminate()
            process.wait(30)
            if process.stdout is not None:
                process.stdout.close()


class Conversation:
    """A raw socket to an agent, one request and one answer at a time."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(str(path))
        self.frames = agent.Frames()

    def ask(self, request: bytes) -> bytes:
        self.socket.sendall(request)
        while True:
            answers = self.frames.receive(self.socket.recv(65536))
            if answers:
                (answer,) = answers
                return answer


@pytest.fixture
def conversation(agent_socket: Path) -> Iterator[Conversation]:
    made = Conversation(agent_socket)
    yield made
    made.socket.close()


def add(path: Path, file: Path) -> None:
    subprocess.run(
        ["ssh-add", "-q", str(file)],
        env={"SSH_AUTH_SOCK": str(path), "PATH": "/usr/bin:/bin"},
        check=True,
        timeout=20,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )


def test_a_real_agent_lists_keys_and_signs_with_them(
    agent_socket: Path,
    conversation: Conversation,
    key_of,
    openssh_types: frozenset[str],
    tmp_path: Path,
) -> None:
    assert agent.decode_identities(conversation.ask(agent.request_identities())) == []
    keys = [key_of(type) for type in KEY_TYPES if type in openssh_types]
    assert (
        len(keys) >= len(KEY_TYPES) - 3
    )  # no Ed448, since version 10 no DSA, before 10.4 no ML-DSA
    for i, key in enumerate(keys):
        file = tmp_path / str(i)
        file.write_bytes(dump_private(key))
        file.chmod(0o600)
        add(agent_socket, file)

    identities = agent.decode_identities(conversation.ask(agent.request_identities()))
    assert {(i.blob, i.comment) for i in identities} == {(k.public.blob, k.comment) for k in keys}
    for identity in identities:
        public = decode_public(identity.blob)
        for algorithm in public.signature_algorithms:
            answer = conversation.ask(agent.request_signature(identity.blob, b"data", algorithm))
            assert public.verify(agent.decode_signature(answer), b"data", algorithm)


def test_a_real_agent_refuses_a_key_it_has_not(conversation: Conversation, key_of) -> None:
    request = agent.request_signature(b"no such key", b"data", "ssh-ed25519")
    with pytest.raises(UnusableKey, match="refuses to sign"):
        agent.decode_signature(conversation.ask(request))


def test_what_pageant_said() -> None:
    """Made by ``pageant.py``: SSH-1's requests, to PuTTY's agent."""
    said = json.loads(FILE.read_text())
    key, data = load_private(b64decode(said["key"])), bytes.fromhex(said["data"])
    (identity,) = agent.decode_rsa_identities(bytes.fromhex(said["identities"]))
    assert decode_public(identity.blob) == key.public
    assert identity.comment == key.comment == "an old key"
    response = agent.decode_rsa_response(bytes.fromhex(said["response"]))
    assert response == key.sign(data, "rsa1")
    with pytest.raises(UnusableKey):
        agent.decode_rsa_response(bytes.fromhex(said["unknown"]))
