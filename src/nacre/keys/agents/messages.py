"""The SSH agent protocol, the client's side (draft-ietf-sshm-ssh-agent).

The ``request_*`` functions return bytes to send. :class:`Frames` splits received bytes into
answers, and the ``decode_*`` functions read them. An answer belongs to the oldest request without
one. The agent's side is in agent_requests.py.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from nacre.crypto.signatures.certified import plain
from nacre.errors import MalformedMessage, UnusableKey
from nacre.value import value
from nacre.wire.codec import Buffer, WireReader, boolean, mpint, mpint1, string, text, u8, u32
from nacre.wire.text import safe

MAXIMUM_MESSAGE = 256 * 1024
"""Bytes of one message; OpenSSH's agent has the same bound."""

MAXIMUM_IDENTITIES = 2048
"""Keys that one answer may list; OpenSSH's clients have the same bound."""


class AgentMessage(IntEnum):
    """Message numbers (section 6.1 of the draft); 1 to 4 are for keys of SSH-1."""

    REQUEST_RSA_IDENTITIES = 1
    RSA_IDENTITIES_ANSWER = 2
    RSA_CHALLENGE = 3
    RSA_RESPONSE = 4
    FAILURE = 5
    SUCCESS = 6
    REQUEST_IDENTITIES = 11
    IDENTITIES_ANSWER = 12
    SIGN_REQUEST = 13
    SIGN_RESPONSE = 14
    ADD_IDENTITY = 17
    REMOVE_IDENTITY = 18
    REMOVE_ALL_IDENTITIES = 19
    ADD_SMARTCARD_KEY = 20
    REMOVE_SMARTCARD_KEY = 21
    LOCK = 22
    UNLOCK = 23
    ADD_ID_CONSTRAINED = 25
    ADD_SMARTCARD_KEY_CONSTRAINED = 26
    EXTENSION = 27
    EXTENSION_FAILURE = 28
    EXTENSION_RESPONSE = 29


SIGN_FLAGS = {"rsa-sha2-256": 2, "rsa-sha2-512": 4}
"""The flags of a request for a signature; RSA keys without one sign with SHA-1."""

QUERY = "query"
SESSION_BIND = "session-bind@openssh.com"


@value
class Identity:
    """A key that the agent holds.

    :ivar blob: its public half; :func:`nacre.keys.decode_public` returns the key, if nacre supports
        its type.
    :ivar comment: the agent's comment as received: make it safe before printing it.
    """

    blob: bytes
    comment: str


def request_identities() -> bytes:
    """Return the request to list the agent's keys."""
    return string(u8(AgentMessage.REQUEST_IDENTITIES))


def request_signature(blob: bytes, data: bytes, algorithm: str) -> bytes:
    """Return the request to sign ``data`` with the key ``blob``.

    :param algorithm: the signature's algorithm; for RSA keys a flag selects one of several.
    """
    flags = SIGN_FLAGS.get(plain(algorithm), 0)
    return string(u8(AgentMessage.SIGN_REQUEST) + string(blob) + string(data) + u32(flags))


def request_extension(name: str, data: bytes = b"") -> bytes:
    """Return the request of an extension (section 3.8 of the draft)."""
    return string(u8(AgentMessage.EXTENSION) + text(name) + data)


def request_session_bind(
    host_key: bytes, session_id: bytes, signature: bytes, *, forwarding: bool
) -> bytes:
    """Return the request to bind the connection to an SSH session (``PROTOCOL.agent``).

    :param host_key: the blob of the server's key, or of its certificate.
    :param session_id: the session's identifier, RFC 4253 section 7.2.
    :param signature: the host key's over it, from the first key exchange, in wire form.
    :param forwarding: whether the agent is forwarded through the session; otherwise the
        connection is for its login.
    """
    fields = string(host_key) + string(session_id) + string(signature) + boolean(forwarding)
    return request_extension(SESSION_BIND, fields)


# --- SSH-1 ---

_RSA1 = b"rsa1"
_RESPONSE_TYPE = 1
_SESSION_ID = 16
_DIGEST = 16


def request_rsa_identities() -> bytes:
    """Return the request to list the agent's RSA1 keys."""
    return string(u8(AgentMessage.REQUEST_RSA_IDENTITIES))


def request_rsa_response(blob: bytes, data: bytes) -> bytes:
    """Return the request to answer a challenge with the RSA1 key ``blob``.

    :param data: the session id of 16 bytes, and the challenge as it was sent.
    """
    reader = WireReader(blob)
    reader.string()
    e, n = reader.mpint(), reader.mpint()
    challenge = int.from_bytes(data[_SESSION_ID:], "big")
    return string(
        u8(AgentMessage.RSA_CHALLENGE)
        + u32(n.bit_length())
        + mpint1(e)
        + mpint1(n)
        + mpint1(challenge)
        + data[:_SESSION_ID]
        + u32(_RESPONSE_TYPE)
    )


def decode_rsa_identities(answer: bytes) -> list[Identity]:
    """Return the keys that the answer to :func:`request_rsa_identities` lists.

    :raises UnusableKey: the agent refuses, or its answer is malformed.
    """
    reader = _open(answer, AgentMessage.RSA_IDENTITIES_ANSWER, "list its RSA1 keys")
    return _listed(reader, _rsa_identity)


def _rsa_identity(reader: WireReader) -> Identity:
    reader.u32()  # bits
    e, n = reader.mpint1(), reader.mpint1()
    return Identity(string(_RSA1) + mpint(e) + mpint(n), reader.text())


def decode_rsa_response(answer: bytes) -> bytes:
    """Return the response to a challenge, in the form of :meth:`nacre.keys.PrivateKey.sign`.

    :raises UnusableKey: the agent refuses, or its answer is malformed.
    """
    reader = _open(answer, AgentMessage.RSA_RESPONSE, "answer the challenge")
    try:
        response = reader.fixed(_DIGEST)
        reader.end()
    except MalformedMessage as error:
        raise UnusableKey(f"the agent's answer is malformed: {error}") from error
    return string(_RSA1) + string(response)


class Frames:
    """Splits the bytes that an agent sends into answers."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = bytearray()

    def receive(self, data: Buffer) -> list[bytes]:
        """Take received bytes; return the answers that are now complete.

        :raises UnusableKey: the agent announces an answer that is empty or longer than
            :data:`MAXIMUM_MESSAGE`. The connection can't be used any further.
        """
        self._held += data
        answers = []
        while len(self._held) >= 4:
            size = int.from_bytes(self._held[:4], "big")
            if not 1 <= size <= MAXIMUM_MESSAGE:
                raise UnusableKey(f"the agent announces a message of {size} bytes")
            if len(self._held) < 4 + size:
                break
            answers.append(bytes(self._held[4 : 4 + size]))
            del self._held[: 4 + size]
        return answers


def decode_identities(answer: bytes) -> list[Identity]:
    """Return the keys that the answer to :func:`request_identities` lists.

    :raises UnusableKey: the agent refuses, or its answer is malformed.
    """
    reader = _open(answer, AgentMessage.IDENTITIES_ANSWER, "list its keys")
    return _listed(reader, lambda one: Identity(one.string(), one.text()))


def _listed(reader: WireReader, take: Callable[[WireReader], Identity]) -> list[Identity]:
    try:
        count = reader.u32()
        if count > MAXIMUM_IDENTITIES:
            raise UnusableKey(
                f"the agent lists {count} keys: at most {MAXIMUM_IDENTITIES} are accepted"
            )
        identities = [take(reader) for _ in range(count)]
        reader.end()
    except MalformedMessage as error:
        raise UnusableKey(f"the agent's answer is malformed: {error}") from error
    return identities


def decode_signature(answer: bytes) -> bytes:
    """Return the signature, in wire form, in the answer to :func:`request_signature`.

    An agent may use another algorithm than requested: compare the signature's name, or verify it.

    :raises UnusableKey: the agent refuses, or its answer is malformed.
    """
    reader = _open(answer, AgentMessage.SIGN_RESPONSE, "sign")
    try:
        signature = reader.string()
        reader.end()
    except MalformedMessage as error:
        raise UnusableKey(f"the agent's answer is malformed: {error}") from error
    return signature


def decode_success(answer: bytes, deed: str) -> None:
    """Check an answer that has no content.

    :param deed: what was asked for, such as ``lock itself``.
    :raises UnusableKey: the agent refuses, or its answer is not the one that is expected.
    """
    _open(answer, AgentMessage.SUCCESS, deed)


def decode_extension(answer: bytes, name: str) -> bytes:
    """Return the content of the answer to :func:`request_extension`; often it is empty.

    :raises UnusableKey: the agent does not have the extension, refuses, or its answer is malformed.
    """
    if answer[:1] == u8(AgentMessage.EXTENSION_FAILURE):
        raise UnusableKey(f"the agent's extension {safe(name, 64)} failed")
    if answer[:1] == u8(AgentMessage.SUCCESS):
        return answer[1:]
    reader = _open(answer, AgentMessage.EXTENSION_RESPONSE, f"do {safe(name, 64)}")
    try:
        if reader.text() != name:
            raise UnusableKey("the agent answers with another extension than asked for")
        return reader.rest()
    except MalformedMessage as error:
        raise UnusableKey(f"the agent's answer is malformed: {error}") from error


def decode_query(content: bytes) -> tuple[str, ...]:
    """Return the names of extensions in the content of the answer to ``query``.

    :raises UnusableKey: it is malformed.
    """
    reader, names = WireReader(content), list[str]()
    try:
        while reader.remaining:
            names.append(reader.text())
    except MalformedMessage as error:
        raise UnusableKey(f"the agent's answer is malformed: {error}") from error
    return tuple(names)


def _open(answer: bytes, expected: AgentMessage, deed: str) -> WireReader:
    if answer[:1] == u8(AgentMessage.FAILURE):
        raise UnusableKey(f"the agent refuses to {deed}")
    if answer[:1] != u8(expected):
        raise UnusableKey(f"the agent answers with the message {answer[:1].hex() or 'of no bytes'}")
    return WireReader(answer, 1)
