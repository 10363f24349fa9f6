"""Every decision is a question: the questions, their answers, and the ledger that pairs them.

An engine puts an ``Ask`` among its events. Its owner calls ``engine.answer(ask.ask_id, answer)``,
at once or later; ``ANSWERS`` are the classes that the answer may have.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from nacre.errors import LocalProtocolError, NacreError
from nacre.keys import PublicKey
from nacre.protocol.events import Event
from nacre.protocol.requests import Request
from nacre.value import value
from nacre.wire.numbers import OpenFailure

if TYPE_CHECKING:
    from nacre.limits import Limits


class Answer:
    """The base of every answer."""

    __slots__ = ()


@value
class Granted(Answer):
    """Yes."""


@value
class Denied(Answer):
    """No. The reason is for this side's logs; the peer never sees it."""

    reason: str = ""


class Ask(Event):
    """A question. While one that ``BLOCKS`` is open, the engine reads no further packet.

    :ivar ask_id: its number, which ``engine.answer`` needs; set when it is asked.
    """

    __slots__ = ("ask_id",)

    BLOCKS: ClassVar[bool] = True
    ANSWERS: ClassVar[tuple[type[Answer], ...]] = (Granted, Denied)
    ask_id: int


# --- asked of a client ---


@value
class SessionProof:
    """What proves to others which server a session of SSH-2 is with.

    :ivar session_id: the session's identifier (RFC 4253 section 7.2).
    :ivar host_key: the server's key, or certificate, in the first key exchange.
    :ivar signature: the host key's over the identifier, in wire form; empty at the server.
    """

    session_id: bytes
    host_key: PublicKey
    signature: bytes = b""


@value
class HostKeyRefused(Answer):
    """The host key is not trusted; the connection ends with ``error``."""

    error: NacreError


@value(frozen=False, eq=False, kw_only=True)
class AskHostKey(Ask):
    """Is this the key of the wanted host? Its signature is verified already.

    Asked in the first key exchange, and in a later one only if the key has changed.
    """

    ANSWERS = (Granted, HostKeyRefused)
    key: PublicKey
    algorithm: str


@value
class TryNone(Answer):
    """Try ``none``, to learn which methods the server accepts (RFC 4252 section 5.2)."""


@value(repr=False)
class TryPassword(Answer):
    """Send a password (RFC 4252 section 8)."""

    password: str


@value
class TryPublicKey(Answer):
    """Offer a key, and sign if the server would accept it (RFC 4252 section 7).

    :ivar algorithms: signature algorithms allowed for the key, best first. The first is used; for
        an RSA key, the first that is in the server's ``server-sig-algs`` if the server sent them.
    :ivar signed: send the signature at once, which saves the round trip of an offer.
    """

    key: PublicKey
    algorithms: tuple[str, ...]
    signed: bool = False


@value
class TryHostBased(Answer):
    """Have the host vouch for its user (RFC 4252 section 9).

    ``AskSignature`` follows, with the host's key.

    :ivar host: the host, as it is told to the server: its name ends in a dot.
    """

    host: ClientHost


@value
class TryKeyboardInteractive(Answer):
    """Ask for the server's prompts (RFC 4256)."""

    submethods: str = ""


@value
class GiveUp(Answer):
    """Stop trying; the connection ends with ``error``."""

    error: NacreError


@value(frozen=False, eq=False, kw_only=True)
class AskAuthentication(Ask):
    """Which method to try next?

    :ivar can_continue: methods that the server lists; empty before the first attempt.
    :ivar partial: whether the last attempt succeeded and another method is required.
    :ivar server_algorithms: the server's ``server-sig-algs``, or None when it sent none.
    :ivar session: what an agent learns of the session; None in SSH-1.
    """

    ANSWERS = (TryNone, TryPassword, TryPublicKey, TryHostBased, TryKeyboardInteractive, GiveUp)
    can_continue: tuple[str, ...]
    partial: bool
    server_algorithms: tuple[str, ...] | None = None
    session: SessionProof | None = None


@value
class Signature(Answer):
    """A signature blob: string algorithm, string signature."""

    blob: bytes


@value(frozen=False, eq=False, kw_only=True)
class AskSignature(Ask):
    """Sign ``data`` with the private half of ``key``. ``Denied`` leads to the next attempt."""

    ANSWERS = (Signature, Denied, GiveUp)
    key: PublicKey
    algorithm: str
    data: bytes


@value
class Prompt:
    """One prompt of a keyboard-interactive round; the text is made safe to print."""

    text: str
    echo: bool


@value(repr=False)
class Responses(Answer):
    """One response for each prompt, in order."""

    responses: tuple[str, ...]


@value(frozen=False, eq=False, kw_only=True)
class AskPrompts(Ask):
    """Answer the server's prompts; there may be none (RFC 4256 section 3.2)."""

    ANSWERS = (Responses, GiveUp)
    name: str
    instruction: str
    prompts: tuple[Prompt, ...]


@value(repr=False)
class NewPassword(Answer):
    """The old password again, and the new one."""

    old: str
    new: str


@value(frozen=False, eq=False, kw_only=True)
class AskNewPassword(Ask):
    """The password has expired: which new one to set? ``Denied`` leads to the next attempt."""

    ANSWERS = (NewPassword, Denied)
    prompt: str


# --- asked of a server ---


@value(frozen=False, eq=False, kw_only=True)
class AskHostSignature(Ask):
    """Sign the exchange hash ``data`` with a host key that another program holds.

    ``Denied`` ends the connection.
    """

    ANSWERS = (Signature, Denied)
    key: PublicKey
    algorithm: str
    data: bytes


Alternative: TypeAlias = frozenset[str] | tuple[str, ...]
"""Methods that must all succeed: of a set in any order, of a tuple in its order. A tuple may hold
a method twice, which must then succeed twice."""

Requirement: TypeAlias = tuple[Alternative, ...]
"""Alternatives: a user is in as soon as one of them is complete."""

METHODS = ("publickey", "password", "keyboard-interactive", "hostbased")
"""The authentication methods of a server, in the order in which it lists them."""

_METHODS = frozenset(METHODS)


def satisfied(requirement: Requirement, succeeded: Collection[str]) -> bool:
    """Return whether one alternative is complete.

    :param succeeded: the methods that have succeeded, in order.
    """
    return any(not _left(alternative, succeeded) for alternative in requirement)


def useful(requirement: Requirement, succeeded: Collection[str]) -> tuple[str, ...]:
    """Return the methods whose success would bring an alternative nearer to completion.

    An alternative with a method that is not in ``METHODS`` can't be completed and is ignored.

    :param succeeded: the methods that have succeeded, in order.
    """
    wanted: set[str] = set()
    for alternative in requirement:
        if _METHODS.issuperset(alternative):
            left = _left(alternative, succeeded)
            wanted.update(left[:1] if isinstance(left, tuple) else left)
    return tuple([method for method in METHODS if method in wanted])


def _left(alternative: Alternative, succeeded: Collection[str]) -> Alternative:
    """Return what of the alternative has not succeeded yet."""
    if isinstance(alternative, frozenset):
        return alternative.difference(succeeded) if succeeded else alternative
    for method in succeeded:
        if alternative[:1] == (method,):
            alternative = alternative[1:]
    return alternative


@value
class UserRequirement(Answer):
    """The methods that a user must succeed with. An unknown user gets one that looks the same.

    :ivar requirement: never empty; an empty set in it lets the user in with ``none``.
    :ivar banner: text to show before login; "" for none, and None for the server's.
    :ivar limits: the bounds of this user's connection from now on: attempts to log in, sessions,
        sizes of keys, key exchanges; None for the server's.
    :ivar signatures: the signature algorithms of this user's keys; None for the server's, among
        which they must be.
    :ivar ca_signatures: the algorithms with which this user's certificates may be signed; None for
        the server's.
    """

    requirement: Requirement
    banner: str | None = None
    limits: Limits | None = None
    signatures: tuple[str, ...] | None = None
    ca_signatures: tuple[str, ...] | None = None


@value(frozen=False, eq=False, kw_only=True)
class AskUser(Ask):
    """Which methods must this user, known or unknown, succeed with?"""

    ANSWERS = (UserRequirement,)
    user: str


@value
class PasswordExpired(Answer):
    """The password is right but must be changed; show ``prompt`` (RFC 4252 section 8)."""

    prompt: str


@value(frozen=False, eq=False, kw_only=True, repr=False)
class AskPassword(Ask):
    """Is this the user's password? With ``new_password``: change it, if the old one is right."""

    ANSWERS = (Granted, Denied, PasswordExpired)
    user: str
    password: str
    new_password: str | None = None


@value(kw_only=True)
class KeyTerms(Answer):
    """Yes, and what a security key must attest; with ``Granted`` it must attest a touch.

    :ivar touch_required: the key was touched.
    :ivar verify_required: its user was verified, by a PIN or a fingerprint.
    """

    touch_required: bool = True
    verify_required: bool = False


@value(frozen=False, eq=False, kw_only=True)
class AskPublicKey(Ask):
    """May the user log in with this key?

    :ivar key: a key, or a certificate whose signature is verified already. A certificate must not
        be taken for its key: whether its authority is trusted, its times, principals and critical
        options are for the answer to judge.
    :ivar signed: False for a query; True when the signature is already verified.
    """

    ANSWERS = (Granted, KeyTerms, Denied)
    user: str
    key: PublicKey
    algorithm: str
    signed: bool


@value
class ClientHost:
    """The host that a client runs on, which vouches for its user (RFC 4252 section 9).

    :ivar name: what the client calls it, without a dot at the end. Nothing proves it.
    :ivar user: the user's name there.
    :ivar key: its key, or a certificate: whether it is this host's is for the answer to judge.
    :ivar algorithm: that of its signature.
    """

    name: str
    user: str
    key: PublicKey
    algorithm: str


@value(frozen=False, eq=False, kw_only=True)
class AskHostBased(Ask):
    """May a user log in for whom this host vouches? Its signature is verified already."""

    ANSWERS = (Granted, Denied)
    user: str
    host: ClientHost


@value
class RSAKey(Answer):
    """The key with that modulus."""

    key: PublicKey


@value(frozen=False, eq=False, kw_only=True)
class AskRSAKey(Ask):
    """Which of the user's RSA1 keys has this modulus? SSH-1 identifies keys by it.

    ``AskPublicKey`` follows once the client has proved that it holds the private half.
    """

    ANSWERS = (RSAKey, Denied)
    user: str
    modulus: int


@value
class Challenge(Answer):
    """Prompts for the user."""

    name: str
    instruction: str
    prompts: tuple[Prompt, ...]


@value(frozen=False, eq=False, kw_only=True, repr=False)
class AskKeyboardInteractive(Ask):
    """Start keyboard-interactive (``responses`` is None) or continue it (RFC 4256)."""

    ANSWERS = (Granted, Denied, Challenge)
    user: str
    submethods: str
    responses: tuple[str, ...] | None = None


# --- asked of both ---


@value
class OpenRefused(Answer):
    """No, with a reason code and a text for the peer (RFC 4254 section 5.1)."""

    code: OpenFailure = OpenFailure.ADMINISTRATIVELY_PROHIBITED
    description: str = "refused"


@value(frozen=False, eq=False, kw_only=True)
class AskOpen(Ask):
    """May the peer open this channel? ``data`` is the type-specific data."""

    BLOCKS = False
    ANSWERS = (Granted, OpenRefused)
    channel: int
    channel_type: str
    data: bytes


@value(frozen=False, eq=False, kw_only=True)
class AskRequest(Ask):
    """Grant this request on a channel?"""

    BLOCKS = False
    channel: int
    request: Request


@value
class GlobalGranted(Answer):
    """Yes; ``data`` goes into the reply."""

    data: bytes = b""


@value(frozen=False, eq=False, kw_only=True)
class AskGlobalRequest(Ask):
    """Grant this global request?"""

    BLOCKS = False
    ANSWERS = (GlobalGranted, Denied)
    name: str
    data: bytes


class Asks:
    """The ledger of one engine's open questions.

    Each question is answered at most once. A second answer, or one to a withdrawn question, has no
    effect.

    :ivar blocking: how many open questions stop the packet loop.
    """

    def __init__(self, events: list[Event]) -> None:
        self._events = events
        self._last = 0
        self._open: dict[int, tuple[Ask, Callable[[Any], None]]] = {}
        self.blocking = 0

    def ask(self, ask: Ask, then: Callable[[Any], None]) -> int:
        """Put ``ask`` among the events, and return its number; ``then`` gets the answer."""
        self._last += 1
        ask.ask_id = self._last
        self._open[ask.ask_id] = (ask, then)
        self.blocking += ask.BLOCKS
        self._events.append(ask)
        return ask.ask_id

    def answer(self, ask_id: int, answer: Answer) -> bool:
        """Pass ``answer`` to the callback. Returns False if the question is no longer open.

        :raises LocalProtocolError: no question had this number, or it takes no such answer.
        """
        if not 0 < ask_id <= self._last:
            raise LocalProtocolError(f"no question has the number {ask_id}")
        if ask_id not in self._open:
            return False
        ask, then = self._open[ask_id]
        if not isinstance(answer, ask.ANSWERS):
            allowed = ", ".join(kind.__name__ for kind in ask.ANSWERS)
            raise LocalProtocolError(
                f"{type(ask).__name__} takes {allowed}, not {type(answer).__name__}"
            )
        self.withdraw(ask_id)
        then(answer)
        return True

    def withdraw(self, ask_id: int) -> None:
        """Drop a question that needs no answer any more."""
        if (entry := self._open.pop(ask_id, None)) is not None:
            self.blocking -= entry[0].BLOCKS

    def withdraw_all(self) -> None:
        """Drop every question: the connection has ended."""
        self._open.clear()
        self.blocking = 0
