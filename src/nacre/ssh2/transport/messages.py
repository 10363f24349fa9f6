"""Messages 1-49 and the transport's extensions, by their RFC names."""

from __future__ import annotations

from typing import Self

from nacre.errors import MalformedMessage
from nacre.wire import codec
from nacre.wire.codec import Buffer, WireReader
from nacre.wire.message import (
    U32,
    Bool,
    Cookie,
    Message,
    MPInt,
    NameList,
    SecretRest,
    SecretString,
    String,
    Text,
    message,
)


@message(1)
class Disconnect(Message):
    """SSH_MSG_DISCONNECT (RFC 4253 section 11.1)."""

    code: U32
    description: Text
    language: Text


@message(2)
class Ignore(Message):
    """SSH_MSG_IGNORE (RFC 4253 section 11.2)."""

    data: String


@message(3)
class Unimplemented(Message):
    """SSH_MSG_UNIMPLEMENTED, for the packet of this sequence number (RFC 4253 section 11.4)."""

    sequence: U32


@message(4)
class Debug(Message):
    """SSH_MSG_DEBUG (RFC 4253 section 11.3)."""

    always_display: Bool
    text: Text
    language: Text


@message(5)
class ServiceRequest(Message):
    """SSH_MSG_SERVICE_REQUEST (RFC 4253 section 10)."""

    service: Text


@message(6)
class ServiceAccept(Message):
    """SSH_MSG_SERVICE_ACCEPT (RFC 4253 section 10)."""

    service: Text


class ExtInfo(Message):
    """SSH_MSG_EXT_INFO (RFC 8308 section 2.3): names and values, in the order received."""

    NUMBER = 7

    def __init__(self, extensions: dict[str, bytes]) -> None:
        self.extensions = extensions

    def encode(self) -> bytes:
        """Return the message."""
        pairs = (codec.text(n) + codec.string(v) for n, v in self.extensions.items())
        return bytes((7,)) + codec.u32(len(self.extensions)) + b"".join(pairs)

    @classmethod
    def decode(cls, data: Buffer, most: int = 64) -> Self:
        """Return the message in ``data``; ``most`` bounds the number of extensions.

        :raises MalformedMessage: it does not decode, or has more extensions.
        """
        reader = WireReader(data, 1)
        count = reader.u32()
        if count > most:
            raise MalformedMessage(
                f"{count} extensions in one EXT_INFO; at most {most} are accepted"
            )
        extensions = {reader.text(): reader.string() for _ in range(count)}
        reader.end()
        return cls(extensions)

    def __repr__(self) -> str:
        return f"ExtInfo({self.extensions!r})"


@message(20)
class KexInit(Message):
    """SSH_MSG_KEXINIT (RFC 4253 section 7.1)."""

    cookie: Cookie
    kex: NameList
    host_key: NameList
    ciphers_c2s: NameList
    ciphers_s2c: NameList
    macs_c2s: NameList
    macs_s2c: NameList
    compression_c2s: NameList
    compression_s2c: NameList
    languages_c2s: NameList
    languages_s2c: NameList
    first_kex_packet_follows: Bool
    reserved: U32


@message(21)
class NewKeys(Message):
    """SSH_MSG_NEWKEYS (RFC 4253 section 7.3)."""


@message(30)
class KexInitiate(Message):
    """KEXDH_INIT and KEX_ECDH_INIT (RFC 4253 section 8, RFC 5656 section 4).

    The public value is an mpint in one and a string in the other. On the wire both are a length
    and bytes, and the exchange hash takes those bytes unchanged.
    """

    public: String


@message(31)
class KexReply(Message):
    """KEXDH_REPLY and KEX_ECDH_REPLY (RFC 4253 section 8, RFC 5656 section 4)."""

    host_key: String
    public: String
    signature: String


@message(34)
class GexRequest(Message):
    """KEX_DH_GEX_REQUEST: sizes of the group in bits (RFC 4419 section 3)."""

    minimum: U32
    preferred: U32
    maximum: U32


@message(31)
class GexGroup(Message):
    """KEX_DH_GEX_GROUP (RFC 4419 section 3)."""

    prime: MPInt
    generator: MPInt


@message(32)
class GexInit(Message):
    """KEX_DH_GEX_INIT (RFC 4419 section 3)."""

    public: String


@message(33)
class GexReply(Message):
    """KEX_DH_GEX_REPLY (RFC 4419 section 3)."""

    host_key: String
    public: String
    signature: String


@message(30)
class GssInitiate(Message):
    """SSH_MSG_KEXGSS_INIT (RFC 4462 section 2.1)."""

    token: SecretString
    public: String


@message(31)
class GssContinue(Message):
    """SSH_MSG_KEXGSS_CONTINUE (RFC 4462 section 2.1)."""

    token: SecretString


@message(32)
class GssComplete(Message):
    """SSH_MSG_KEXGSS_COMPLETE (RFC 4462 section 2.1)."""

    public: String
    mic: String
    has_token: Bool
    rest: SecretRest

    @classmethod
    def of(cls, public: bytes, mic: bytes, token: bytes) -> Self:
        """Return the message; an empty token is left out."""
        return cls(public, mic, bool(token), codec.string(token) if token else b"")

    def token(self) -> bytes:
        """Return the server's last token; empty for none.

        :raises MalformedMessage: it does not decode.
        """
        reader = WireReader(self.rest)
        token = reader.string() if self.has_token else b""
        reader.end()
        return token


@message(33)
class GssHostKey(Message):
    """SSH_MSG_KEXGSS_HOSTKEY (RFC 4462 section 2.1)."""

    host_key: String


@message(34)
class GssError(Message):
    """SSH_MSG_KEXGSS_ERROR (RFC 4462 section 2.1)."""

    major: U32
    minor: U32
    text: Text
    language: Text


@message(192)
class Ping(Message):
    """SSH2_MSG_PING of ``ping@openssh.com`` (OpenSSH's PROTOCOL): a PONG has the same data."""

    data: String


@message(193)
class Pong(Message):
    """SSH2_MSG_PONG: the answer to a PING (OpenSSH's PROTOCOL)."""

    data: String
