"""The layouts of messages 50-79 (RFC 4252, RFC 4256, RFC 4462).

The meaning of 60 to 66 depends on the current method: four classes here have the number 60.
"""

from __future__ import annotations

from nacre.wire.codec import WireReader
from nacre.wire.message import (
    U32,
    Bool,
    Message,
    NameList,
    Record,
    Rest,
    SecretRest,
    SecretString,
    SecretText,
    String,
    Text,
    message,
    record,
)

HOST_BOUND = "publickey-hostbound-v00@openssh.com"
"""The name of ``publickey`` in requests with the server's host key (``PROTOCOL`` of OpenSSH, 3.1).
"""


@message(50)
class UserauthRequest(Message):
    """SSH_MSG_USERAUTH_REQUEST (RFC 4252 section 5); ``fields`` are the method's own."""

    user: Text
    service: Text
    method: Text
    fields: SecretRest


@message(51)
class UserauthFailure(Message):
    """SSH_MSG_USERAUTH_FAILURE (RFC 4252 section 5.1)."""

    can_continue: NameList
    partial_success: Bool


@message(52)
class UserauthSuccess(Message):
    """SSH_MSG_USERAUTH_SUCCESS (RFC 4252 section 5.1)."""


@message(53)
class UserauthBanner(Message):
    """SSH_MSG_USERAUTH_BANNER (RFC 4252 section 5.4)."""

    text: Text
    language: Text


# --- publickey (RFC 4252 section 7) ---


@record
class PublicKeyQuery(Record):
    """The fields of a request without signature (RFC 4252 section 7); ``signed`` is False.

    With ``signed`` True they are the part of a request that its signature covers.
    """

    signed: Bool
    algorithm: Text
    blob: String


@record
class PublicKeyRequest(Record):
    """The fields of a request with signature (RFC 4252 section 7); ``signed`` is True."""

    signed: Bool
    algorithm: Text
    blob: String
    signature: String


@record
class HostBoundQuery(Record):
    """:class:`PublicKeyQuery` with the server's host key (``PROTOCOL`` of OpenSSH, 3.1)."""

    signed: Bool
    algorithm: Text
    blob: String
    host_key: String


@record
class HostBoundRequest(Record):
    """:class:`PublicKeyRequest` with the server's host key (``PROTOCOL`` of OpenSSH, 3.1)."""

    signed: Bool
    algorithm: Text
    blob: String
    host_key: String
    signature: String


@message(60)
class PublicKeyOk(Message):
    """SSH_MSG_USERAUTH_PK_OK: a signature by this key would be accepted (RFC 4252 section 7)."""

    algorithm: Text
    blob: String


# --- hostbased (RFC 4252 section 9) ---


@record
class HostBasedRequest(Record):
    """The fields of a request that a host signs for its user (RFC 4252 section 9).

    ``host`` and ``host_user`` are what the client calls itself; ``algorithm`` and ``blob`` are of
    the host's key.
    """

    algorithm: Text
    blob: String
    host: Text
    host_user: Text
    signature: String


# --- password (RFC 4252 section 8) ---


@record
class PasswordRequest(Record):
    """The fields of a request with a password (RFC 4252 section 8); ``change`` is False."""

    change: Bool
    password: SecretText


@record
class PasswordChange(Record):
    """The fields of a request to change the password (section 8); ``change`` is True."""

    change: Bool
    old: SecretText
    new: SecretText


@message(60)
class PasswordChangeRequest(Message):
    """SSH_MSG_USERAUTH_PASSWD_CHANGEREQ (RFC 4252 section 8)."""

    prompt: Text
    language: Text


# --- keyboard-interactive (RFC 4256) ---


@record
class InteractiveRequest(Record):
    """The fields of a request (RFC 4256 section 3.1); ``submethods`` are joined by commas."""

    language: Text
    submethods: Text


@record
class InfoPrompt(Record):
    """One prompt of an :class:`InfoRequest` (RFC 4256 section 3.2)."""

    text: Text
    echo: Bool


@message(60)
class InfoRequest(Message):
    """SSH_MSG_USERAUTH_INFO_REQUEST (RFC 4256 section 3.2); ``encoded`` holds ``count`` prompts."""

    name: Text
    instruction: Text
    language: Text
    count: U32
    encoded: Rest

    def prompts(self) -> tuple[InfoPrompt, ...]:
        """Return the prompts. Check ``count`` against its bound first.

        :raises MalformedMessage: there are not exactly ``count``.
        """
        reader = WireReader(self.encoded)
        prompts = tuple(InfoPrompt(reader.text(), reader.boolean()) for _ in range(self.count))
        reader.end()
        return prompts


@message(61)
class InfoResponse(Message):
    """SSH_MSG_USERAUTH_INFO_RESPONSE (RFC 4256 section 3.4); ``encoded`` holds ``count`` texts."""

    count: U32
    encoded: SecretRest

    def responses(self) -> tuple[str, ...]:
        """Return the responses. Check ``count`` against its bound first.

        :raises MalformedMessage: there are not exactly ``count``.
        """
        reader = WireReader(self.encoded)
        responses = tuple(reader.text() for _ in range(self.count))
        reader.end()
        return responses


# --- gssapi-with-mic and gssapi-keyex (RFC 4462 sections 3 and 4) ---


@record
class MechanismsRequest(Record):
    """The fields of a request for ``gssapi-with-mic``; ``encoded`` holds ``count`` mechanisms."""

    count: U32
    encoded: Rest

    def mechanisms(self) -> tuple[bytes, ...]:
        """Return the mechanisms, in DER. Check ``count`` against its bound first.

        :raises MalformedMessage: there are not exactly ``count``.
        """
        reader = WireReader(self.encoded)
        mechanisms = tuple(reader.string() for _ in range(self.count))
        reader.end()
        return mechanisms


@record
class KeyexRequest(Record):
    """The fields of a request for ``gssapi-keyex`` (RFC 4462 section 4)."""

    mic: String


@message(60)
class MechanismChosen(Message):
    """SSH_MSG_USERAUTH_GSSAPI_RESPONSE (RFC 4462 section 3.3)."""

    mechanism: String


@message(61)
class SecurityToken(Message):
    """SSH_MSG_USERAUTH_GSSAPI_TOKEN (RFC 4462 section 3.4)."""

    token: SecretString


@message(64)
class SecurityError(Message):
    """SSH_MSG_USERAUTH_GSSAPI_ERROR (RFC 4462 section 3.8)."""

    major: U32
    minor: U32
    text: Text
    language: Text


@message(65)
class SecurityErrorToken(Message):
    """SSH_MSG_USERAUTH_GSSAPI_ERRTOK: the last token of a side that gives up (section 3.9)."""

    token: SecretString


@message(66)
class SecurityMIC(Message):
    """SSH_MSG_USERAUTH_GSSAPI_MIC (RFC 4462 section 3.5)."""

    mic: String
