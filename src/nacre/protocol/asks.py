"""Every decision is a question: the questions, their answers, and the ledger that pairs them.

An engine puts an ``Ask`` among its events. Its owner calls ``engine.answer(ask.ask_id, answer)``,
at once or later; ``ANSWERS`` are the classes that the answer may have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from nacre.errors import LocalProtocolError, NacreError
from nacre.keys import PublicKey
from nacre.protocol.events import Event
from nacre.protocol.gssapi import ContextAcceptor, SecurityContext
from nacre.protocol.requests import Request
from nacre.protocol.requirement import Requirement
from nacre.value import value
from nacre.wire.numbers import OpenFailure

if TYPE_CHECKING:
    from nacre.limits import Limits
    from nacre.protocol.frozen import FrozenServer


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
    :ivar host_key: the server's key, or certificate, in the first key exchange; None if by GSSAPI.
    :ivar signature: the host key's over the identifier, in wire form; empty at the server.
    :ivar context: the security context of a first key exchange by GSSAPI (RFC 4462 section 2).
    """

    session_id: bytes
    host_key: PublicKey | None
    signature: bytes = b""
    context: SecurityContext | None = None


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
class TryGSSAPIWithMIC(Answer):
    """Log in by a new security context (RFC 4462 section 3); ``AskSecurityStep`` follows.

    :ivar context: the context, after its first step, which returned ``token``.
    """

    context: SecurityContext
    token: bytes


@value
class TryGSSAPIKeyex(Answer):
    """Log in by the security context of the key exchange (RFC 4462 section 4)."""


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

    ANSWERS = (
        *(TryNone, TryPassword, TryPublicKey, TryHostBased, TryKeyboardInteractive),
        *(TryGSSAPIWithMIC, TryGSSAPIKeyex, GiveUp),
    )
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
    :ivar fields: the fields of a signed request, signature included, for whoever verifies it again.
    :ivar host_bound: whether they name the server's host key.
    """

    ANSWERS = (Granted, KeyTerms, Denied)
    user: str
    key: PublicKey
    algorithm: str
    signed: bool
    fields: bytes = b""
    host_bound: bool = False


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
    """May a user log in for whom this host vouches? Its signature is verified already.

    :ivar fields: the fields of the request, for whoever verifies the signature again.
    """

    ANSWERS = (Granted, Denied)
    user: str
    host: ClientHost
    fields: bytes = b""


@value(frozen=False, eq=False, kw_only=True)
class AskPrincipal(Ask):
    """May a user log in whose client has proved ``context.principal``? Its MIC is verified."""

    ANSWERS = (Granted, Denied)
    user: str
    context: ContextAcceptor


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


@value(frozen=False, eq=False, kw_only=True, repr=False)
class AskHandover(Ask):
    """Does another process go on with the connection of this user, who is in now (SSH-2 only)?

    Asked if ``handover`` of the options is set, before the client learns that it is in. ``Denied``:
    this process goes on, and the client is told. Otherwise call ``freeze``, which ends this engine
    without a word to the client; :class:`~nacre.ssh2.thawed.ThawedServer` goes on with the value.

    :ivar methods: the authentication methods that succeeded, in order.
    :ivar freeze: returns the state of the connection; raises LocalProtocolError when the question
        is no longer open.
    """

    ANSWERS = (Denied,)
    user: str
    methods: tuple[str, ...]
    freeze: Callable[[], FrozenServer]


# --- asked of both ---


@value(repr=False)
class SecurityStep(Answer):
    """The context after the step, and the token for the peer; empty for none."""

    context: SecurityContext
    token: bytes


@value(frozen=False, eq=False, kw_only=True, repr=False)
class AskSecurityStep(Ask):
    """Take a step of a security context (RFC 2743 sections 2.2.1 and 2.2.2).

    ``Denied`` ends the attempt to log in, or the key exchange and with it the connection.

    :ivar context: the context; None for a new one.
    :ivar token: the peer's token; empty at a client's first step.
    """

    ANSWERS = (SecurityStep, Denied)
    context: SecurityContext | None
    token: bytes


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


@value(repr=False)
class Computed(Answer):
    """The result of a computation, or the error that ended it."""

    result: object
    error: NacreError | None = None


@value(frozen=False, eq=False, kw_only=True, repr=False)
class AskArithmetic(Ask):
    """Do the arithmetic of a key exchange, which may take a second: not on an event loop.

    Answer with what :meth:`compute` returns, which any thread may call, once.
    """

    ANSWERS = (Computed,)
    work: Callable[[], object]

    def compute(self) -> Computed:
        """Compute, and return the answer."""
        try:
            return Computed(self.work())
        except NacreError as error:
            return Computed(None, error)


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

    @property
    def none_open(self) -> bool:
        """Whether all questions have their answers."""
        return not self._open

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
