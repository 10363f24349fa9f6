"""Two engines of SSH-1 back to back."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from functools import cache

from nacre.crypto.signatures.rsa1 import RSA1Signer
from nacre.keys.families.rsa1 import RSA1PrivateKey
from nacre.limits import DEFAULT_LIMITS, Limits
from nacre.protocol.asks import (
    Answer,
    Ask,
    AskGlobalRequest,
    AskKeyboardInteractive,
    AskPrompts,
    AskPublicKey,
    AskRSAKey,
    AskSignature,
    AskUser,
    Challenge,
    Denied,
    GlobalGranted,
    Granted,
    Prompt,
    Responses,
    RSAKey,
    Signature,
    UserRequirement,
)
from nacre.protocol.options import SOFTWARE, ClientOptions, ServerOptions, algorithms
from nacre.protocol.requirement import Requirement
from nacre.ssh1.engine import SSH1Client, SSH1Server
from nacre.testing import Pair, agreeable, whole

ANY: Requirement = (
    frozenset({"publickey"}),
    frozenset({"password"}),
    frozenset({"keyboard-interactive"}),
)
BOTH: Requirement = (frozenset({"publickey", "password"}),)


@cache
def rsa1(bits: int, seed: int = 0) -> RSA1PrivateKey:
    """Return a key, the same for the same numbers."""
    return RSA1PrivateKey(RSA1Signer.generate(bits, random.Random(bits + seed).randbytes))


HOST, SERVER, USER = 1024, 768, 640


def user_key() -> RSA1PrivateKey:
    return rsa1(USER)


class Taking:
    """Answers a server's questions: what the user must show, and which key is known."""

    def __init__(self, requirement: Requirement = ANY, *, known: bool = True) -> None:
        self.requirement = requirement
        self.known = known
        self.asked: list[Ask] = []

    def __call__(self, ask: Ask) -> Answer | None:
        self.asked.append(ask)
        match ask:
            case AskUser():
                return UserRequirement(self.requirement)
            case AskRSAKey(modulus=modulus):
                ours = user_key().public
                found = self.known and modulus == ours.verifier.n
                return RSAKey(ours) if found else Denied("no such key")
            case AskPublicKey():
                return Granted()
            case AskKeyboardInteractive(responses=None):
                return Challenge("", "a riddle", (Prompt("Answer: ", True),))
            case AskKeyboardInteractive(responses=responses):
                return Granted() if responses == ("forty-two",) else Denied("wrong")
            case AskGlobalRequest():
                return GlobalGranted()
        return agreeable(ask)


def giving(ask: Ask) -> Answer | None:
    """Answer a client's questions, signatures and prompts too."""
    match ask:
        case AskSignature(data=data):
            return Signature(user_key().sign(data, "rsa1"))
        case AskPrompts():
            return Responses(("forty-two",))
    return agreeable(ask)


def pair(
    *,
    client: Callable[[Ask], Answer | None] = giving,
    server: Callable[[Ask], Answer | None] | None = None,
    cipher: str = "3des",
    compress: bool = False,
    split: Callable[[bytes], Iterable[bytes]] = whole,
    limits: Limits = DEFAULT_LIMITS,
    host_bits: int = HOST,
    server_bits: int = SERVER,
    seed: int = 0,
    trace: bool = False,
    software: str = SOFTWARE,
) -> Pair:
    """Return two engines that have not met yet; see :class:`nacre.testing.Pair`."""
    draw = random.Random(seed).randbytes
    offered = algorithms(compression=["zlib", "none"] if compress else None)
    names = (cipher,)
    return Pair(
        answers_client=client,
        answers_server=server or Taking(),
        split=split,
        engines=(
            SSH1Client(
                ClientOptions(
                    user="alice", algorithms=offered, ssh1_ciphers=names, limits=limits, trace=trace
                ),
                random=draw,
            ),
            SSH1Server(
                ServerOptions(
                    host_keys=(rsa1(host_bits),),
                    ssh1_ciphers=("3des", "blowfish", "des"),
                    announce="1.5",
                    software=software,
                    limits=limits,
                    trace=trace,
                ),
                server_key=rsa1(server_bits),
                random=draw,
            ),
        ),
    )


def logged_in(**how: object) -> Pair:
    """Return two engines past authentication."""
    made = pair(**how)  # type: ignore[arg-type]
    made.run()
    return made
