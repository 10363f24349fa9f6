"""Authentication in both roles: RSA, password, and TIS for keyboard-interactive.

FAILURE after USER, or after an attempt, asks the client to try another method. A user's requirement
is the same set of alternatives as in SSH-2. If a method succeeds and another is required, the
answer is FAILURE too: SSH-1 has no partial success.
"""

from __future__ import annotations

from collections.abc import Callable
from hmac import compare_digest
from typing import Literal

from nacre.crypto.legacy import challenge_response
from nacre.crypto.packets.seal import Random
from nacre.errors import DisconnectCode, NacreError, PacketTooLarge, RemoteProtocolError
from nacre.keys import PublicKey
from nacre.keys.families.rsa1 import CHALLENGE, RSA1PublicKey
from nacre.keys.rsa1_text import RSA1
from nacre.protocol.asks import (
    Answer,
    AskAuthentication,
    AskKeyboardInteractive,
    AskPassword,
    AskPrompts,
    AskPublicKey,
    AskRSAKey,
    Asks,
    AskSignature,
    AskUser,
    Challenge,
    Denied,
    GiveUp,
    Granted,
    KeyTerms,
    PasswordExpired,
    Prompt,
    Responses,
    RSAKey,
    Signature,
    TryKeyboardInteractive,
    TryNone,
    TryPassword,
    TryPublicKey,
    UserRequirement,
)
from nacre.protocol.events import Authenticated, AuthResult, Event
from nacre.protocol.options import ClientOptions, ServerOptions
from nacre.protocol.requirement import Requirement, satisfied, useful
from nacre.ssh1 import messages as msg
from nacre.ssh1.framing import SSH1Outbox
from nacre.ssh1.messages import SSH1Msg
from nacre.ssh1.routes import Stage
from nacre.wire.codec import Buffer, WireReader
from nacre.wire.text import safe

Outcome = Literal["success", "partial", "failure"]


def _until_nul(secret: bytes) -> str:
    """Return a secret without its padding, which begins at the first NUL."""
    return secret.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _describe(key: PublicKey) -> str:
    return f"{key.type} {key.fingerprint()}"


class SSH1ServerAuth:
    """Accepts a user once the methods that the policy requires have succeeded.

    :ivar stage: the present stage; see routes.py.
    :ivar user: the user name.
    :ivar methods: the methods that succeeded, in order.
    :ivar succeeded: True once the user is authenticated.
    """

    def __init__(
        self,
        outbox: SSH1Outbox,
        events: list[Event],
        asks: Asks,
        options: ServerOptions,
        session_id: bytes,
        *,
        random: Random,
    ) -> None:
        self.stage = Stage.USER
        self.user = ""
        self.methods: tuple[str, ...] = ()
        self.succeeded = False
        self._outbox = outbox
        self._events = events
        self._asks = asks
        self.limits = options.limits
        self._session_id = session_id
        self._random = random
        self._requirement: Requirement = ()
        self._method = "none"
        self._detail = ""
        self._failures = 0
        self._expected = b""
        self._key: PublicKey | None = None
        self._rounds = 0

    def handlers(self) -> dict[int, Callable[[Buffer], None]]:
        """Return the handler of each message."""
        return {
            SSH1Msg.CMSG_USER: self._on_user,
            SSH1Msg.CMSG_AUTH_RSA: self._on_rsa,
            SSH1Msg.CMSG_AUTH_RSA_RESPONSE: self._on_rsa_response,
            SSH1Msg.CMSG_AUTH_PASSWORD: self._on_password,
            SSH1Msg.CMSG_AUTH_TIS: self._on_tis,
            SSH1Msg.CMSG_AUTH_TIS_RESPONSE: self._on_tis_response,
        }

    def refuse(self) -> None:
        """Answer a method that this server does not have."""
        self._begin("unknown")
        self._fail()

    # --- the user ---

    def _on_user(self, payload: Buffer) -> None:
        user = msg.User.decode(payload).user
        self._check_length("a user name", user, self.limits.user_name)
        self.user = user
        self._asks.ask(AskUser(user=user), self._required)

    def _required(self, answer: UserRequirement) -> None:
        self._requirement = answer.requirement
        self.limits = answer.limits or self.limits
        if frozenset() in answer.requirement:
            self._succeed()
            return
        self.stage = Stage.SERVER_AUTH
        self._report("failure")
        self._outbox.send(msg.Failure())

    # --- methods ---

    def _begin(self, method: str) -> bool:
        """Start an attempt; return False if success with the method would not help the user."""
        if self.stage is Stage.SERVER_TIS:
            # An unanswered challenge counts as an attempt, so that their number is bounded.
            self._count_failure(Denied("abandoned"))
        self.stage = Stage.SERVER_AUTH
        self._method, self._detail = method, ""
        return method in useful(self._requirement, self.methods)

    def _on_password(self, payload: Buffer) -> None:
        password = _until_nul(msg.AuthPassword.decode(payload).password)
        self._check_length("a password", password, self.limits.password)
        if self._begin("password"):
            self._asks.ask(AskPassword(user=self.user, password=password), self._judge)
        else:
            self._fail()

    def _on_rsa(self, payload: Buffer) -> None:
        modulus = msg.AuthRSA.decode(payload).modulus
        if self._begin("publickey"):
            self._asks.ask(AskRSAKey(user=self.user, modulus=modulus), self._challenge)
        else:
            self._fail()

    def _challenge(self, answer: Answer) -> None:
        if not isinstance(answer, RSAKey) or not isinstance(answer.key, RSA1PublicKey):
            self._fail(answer)
            return
        self._key = key = answer.key
        self._detail = _describe(key)
        challenge = self._random(CHALLENGE)
        self._expected = challenge_response(challenge, self._session_id)
        self._outbox.send(msg.AuthRSAChallenge(key.verifier.encrypt(challenge, self._random)))
        self.stage = Stage.SERVER_RSA

    def _on_rsa_response(self, payload: Buffer) -> None:
        response = msg.AuthRSAResponse.decode(payload).response
        self.stage = Stage.SERVER_AUTH
        assert self._key is not None
        if not compare_digest(response, self._expected):
            self._fail(Denied("the response to the challenge is wrong"))
            return
        ask = AskPublicKey(user=self.user, key=self._key, algorithm=RSA1, signed=True)
        self._asks.ask(ask, self._judge)

    def _on_tis(self, payload: Buffer) -> None:
        msg.AuthTIS.decode(payload)
        self._rounds = 0
        if self._begin("keyboard-interactive"):
            self._ask_interactive(None)
        else:
            self._fail()

    def _on_tis_response(self, payload: Buffer) -> None:
        response = _until_nul(msg.AuthTISResponse.decode(payload).response)
        self._check_length("a response", response, self.limits.password)
        self.stage = Stage.SERVER_AUTH
        self._ask_interactive((response,))

    def _ask_interactive(self, responses: tuple[str, ...] | None) -> None:
        ask = AskKeyboardInteractive(user=self.user, submethods="", responses=responses)
        self._asks.ask(ask, self._judge_interactive)

    def _judge_interactive(self, answer: Answer) -> None:
        """Send a challenge of one prompt: TIS can't carry several prompts, or a second round."""
        if not isinstance(answer, Challenge):
            self._judge(answer)
            return
        self._rounds += 1
        if not answer.prompts and self._rounds <= self.limits.auth_rounds:
            self._ask_interactive(())
        elif len(answer.prompts) != 1 or self.stage is Stage.SERVER_TIS or self._rounds > 1:
            self._fail(Denied("SSH-1 can show one prompt in one round only"))
        else:
            texts = (answer.name, answer.instruction, answer.prompts[0].text)
            self._outbox.send(msg.AuthTISChallenge("\n".join(filter(None, texts))))
            self.stage = Stage.SERVER_TIS

    # --- verdicts ---

    def _judge(self, answer: Answer) -> None:
        if not isinstance(answer, (Granted, KeyTerms)):
            self._fail(answer)
            return
        self.methods = (*self.methods, self._method)
        if satisfied(self._requirement, self.methods):
            self._succeed()
        else:
            self._report("partial")
            self._outbox.send(msg.Failure())

    def _succeed(self) -> None:
        self._outbox.send(msg.Success())
        self.succeeded = True
        self._report("success")
        self._events.append(Authenticated(self.user, self.methods))

    def _fail(self, answer: Answer | None = None) -> None:
        self._count_failure(answer)
        self._outbox.send(msg.Failure())

    def _count_failure(self, answer: Answer | None) -> None:
        reason = ""
        if isinstance(answer, Denied):
            reason = safe(answer.reason)
        elif isinstance(answer, PasswordExpired):
            reason = "the password has expired, and can't be changed over SSH-1"
        if reason:
            self._detail = f"{self._detail} ({reason})".lstrip()
        self._failures += 1
        self._report("failure")
        if self._failures >= self.limits.auth_attempts:
            raise RemoteProtocolError(
                "too many authentication failures", DisconnectCode.NO_MORE_AUTH_METHODS_AVAILABLE
            )

    def _report(self, outcome: Outcome) -> None:
        rest = () if outcome == "success" else useful(self._requirement, self.methods)
        self._events.append(
            AuthResult(self.user, self._method, self._detail, outcome, rest, self._failures)
        )

    def _check_length(self, what: str, text: str, limit: int) -> None:
        if len(text.encode("utf-8", "surrogateescape")) > limit:
            raise PacketTooLarge(f"{what} has more than {limit} bytes")


class SSH1ClientAuth:
    """Asks its owner which method to try, and tries it, until the server accepts the user.

    :param software: the software version in the server's identification.
    :ivar stage: the present stage; see routes.py.
    :ivar succeeded: True once the user is authenticated.
    :ivar gave_up: the error to end the connection with, once the owner gave up.
    """

    def __init__(
        self,
        outbox: SSH1Outbox,
        events: list[Event],
        asks: Asks,
        options: ClientOptions,
        session_id: bytes,
        methods: tuple[str, ...],
        *,
        software: str,
    ) -> None:
        self.stage = Stage.CLIENT_IDLE
        self.succeeded = False
        self.gave_up: NacreError | None = None
        self.user = options.user
        self._outbox = outbox
        self._events = events
        self._asks = asks
        self._limits = options.limits
        self._session_id = session_id
        self._can_continue = methods
        self._pads = not software.startswith(_PADDING_SPOILS)
        self._method = "none"
        self._detail = ""
        self._failures = 0
        self._key: RSA1PublicKey | None = None

    def handlers(self) -> dict[int, Callable[[Buffer], None]]:
        """Return the handler of each message."""
        return {
            SSH1Msg.SMSG_SUCCESS: self._on_success,
            SSH1Msg.SMSG_FAILURE: self._on_failure,
            SSH1Msg.SMSG_AUTH_RSA_CHALLENGE: self._on_rsa_challenge,
            SSH1Msg.SMSG_AUTH_TIS_CHALLENGE: self._on_tis_challenge,
        }

    def start(self) -> None:
        """Send the user name, which is enough for some servers."""
        self._outbox.send(msg.User(self.user))
        self.stage = Stage.CLIENT_RESULT

    def _ask(self) -> None:
        self.stage = Stage.CLIENT_IDLE
        question = AskAuthentication(
            can_continue=self._can_continue, partial=False, server_algorithms=(RSA1,)
        )
        self._asks.ask(question, self._try)

    def _try(self, chosen: Answer) -> None:
        self._detail = ""
        if isinstance(chosen, GiveUp):
            self.gave_up = chosen.error
        elif isinstance(chosen, TryNone):
            # The answer to the user name was the answer to this method.
            self._method = "none"
            self._report("failure")
            self._ask()
        elif isinstance(chosen, TryPassword):
            self._method = "password"
            secret = chosen.password.encode("utf-8", "surrogateescape")
            self._outbox.send(msg.AuthPassword(_padded(secret) if self._pads else secret))
            self.stage = Stage.CLIENT_RESULT
        elif isinstance(chosen, TryPublicKey):
            self._method = "publickey"
            self._try_key(chosen.key)
        elif isinstance(chosen, TryKeyboardInteractive):
            self._method = "keyboard-interactive"
            self._outbox.send(msg.AuthTIS())
            self.stage = Stage.CLIENT_TIS

    def _try_key(self, key: PublicKey) -> None:
        self._detail = _describe(key)
        if not isinstance(key, RSA1PublicKey):
            self._detail += " (SSH-1 accepts RSA1 keys only)"
            self._report("failure")
            self._ask()
            return
        self._key = key
        self._outbox.send(msg.AuthRSA(key.verifier.n))
        self.stage = Stage.CLIENT_RSA

    def _on_rsa_challenge(self, payload: Buffer) -> None:
        challenge = msg.AuthRSAChallenge.decode(payload).challenge
        key = self._key
        assert key is not None
        if challenge >= key.verifier.n:
            raise RemoteProtocolError("the challenge is larger than the key's modulus")
        data = self._session_id + challenge.to_bytes(key.verifier.size, "big")
        self._asks.ask(AskSignature(key=key, algorithm=RSA1, data=data), self._respond)

    def _respond(self, answer: Answer) -> None:
        response = bytes(16)
        if isinstance(answer, GiveUp):
            self.gave_up = answer.error
            return
        if isinstance(answer, Signature):
            reader = WireReader(answer.blob)
            reader.string()
            response = reader.string()
        elif isinstance(answer, Denied):
            # The server waits for a response, so a wrong one is sent.
            self._detail += f" ({answer.reason or 'not signed'})"
        self._outbox.send(msg.AuthRSAResponse(response))
        self.stage = Stage.CLIENT_RESULT

    def _on_tis_challenge(self, payload: Buffer) -> None:
        text = msg.AuthTISChallenge.decode(payload).challenge
        if len(text) > self._limits.banner:
            raise PacketTooLarge("the server's challenge is too long")
        prompts = (Prompt(safe(text, self._limits.banner, keep="\n\t"), False),)
        self._asks.ask(AskPrompts(name="", instruction="", prompts=prompts), self._answer_prompts)

    def _answer_prompts(self, answer: Answer) -> None:
        if isinstance(answer, Responses):
            response = "".join(answer.responses[:1]).encode("utf-8", "surrogateescape")
            # Without padding, which some servers do not remove here, though all do for passwords.
            self._outbox.send(msg.AuthTISResponse(response))
            self.stage = Stage.CLIENT_RESULT
        elif isinstance(answer, GiveUp):
            self.gave_up = answer.error

    def _on_success(self, payload: Buffer) -> None:
        msg.Success.decode(payload)
        self._can_continue = ()
        self.succeeded = True
        self._report("success")

    def _on_failure(self, payload: Buffer) -> None:
        msg.Failure.decode(payload)
        if self._method != "none":
            self._failures += 1
            self._report("failure")
        self._ask()

    @property
    def methods(self) -> tuple[str, ...]:
        """The method that succeeded."""
        return (self._method,)

    def _report(self, outcome: Outcome) -> None:
        self._events.append(
            AuthResult(
                self.user,
                self._method,
                self._detail,
                outcome,
                self._can_continue,
                self._failures,
            )
        )


_STEP = 32
_PADDING_SPOILS = ("Cisco-1.", "OSU_")
"""Servers that do not remove the padding of a password."""


def _padded(secret: bytes) -> bytes:
    """Return a secret with NULs appended, to hide its length. Servers remove them."""
    if b"\0" in secret:
        return secret
    return secret + bytes(-len(secret) % _STEP)
