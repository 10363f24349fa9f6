from __future__ import annotations

import asyncio

import pytest

from keys.soft_key import SoftKey
from nacre.agent import memory
from nacre.agent.keyring import AgentClient
from nacre.agent.memory import ClientKeyring, MemoryKeyring
from nacre.agent.security_keys import SecurityKeys
from nacre.errors import MalformedMessage, UnusableKey
from nacre.keys import Certificate, CertifiedKey, PrivateKey, PublicKey, generate
from nacre.keys.agents.constraints import UNCONSTRAINED, Constraints
from nacre.keys.agents.destinations import DestinationConstraint, DestinationEnd, DestinationKey
from nacre.keys.agents.messages import MAXIMUM_IDENTITIES, SESSION_BIND
from nacre.wire.codec import boolean, string, text, u8

KEY, OTHER, A, B = (generate("ssh-ed25519", comment=name) for name in "koab")
RSA = generate("ssh-rsa", bits=1024)
ED = "ssh-ed25519"
HOSTBOUND = "publickey-hostbound-v00@openssh.com"


class Clock:
    """A clock to set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def client(keyring: MemoryKeyring) -> ClientKeyring:
    return keyring.for_client(AgentClient())


def names(keyring: MemoryKeyring | ClientKeyring) -> list[str]:
    listed = keyring.keys()
    return [comment for _, comment in listed]


async def test_keys_are_held_listed_used_and_forgotten() -> None:
    keyring = MemoryKeyring()
    mine = client(keyring)
    certified = CertifiedKey(Certificate.issue(KEY.public, OTHER), KEY)
    for key in (KEY, certified, RSA):
        mine.add(key, UNCONSTRAINED)
    listed = mine.keys()
    assert [key for key, _ in listed] == [KEY.public, certified.public, RSA.public]
    for key in (KEY, certified, RSA):
        for algorithm in key.public.signature_algorithms:
            signature = await mine.sign(key.public, b"data", algorithm)
            assert key.public.verify(signature, b"data", algorithm)
    with pytest.raises(UnusableKey, match="does not hold"):
        await mine.sign(OTHER.public, b"data", ED)
    mine.remove(KEY.public)
    with pytest.raises(UnusableKey, match="does not hold"):
        mine.remove(KEY.public)
    assert len(keyring.keys()) == 2
    mine.remove_all()
    assert keyring.keys() == []


async def test_a_key_that_is_added_again_gets_the_new_constraints() -> None:
    keyring = MemoryKeyring()
    keyring.add(KEY, Constraints(confirm=True))
    keyring.add(KEY, UNCONSTRAINED)
    assert len(keyring.keys()) == 1
    await keyring.sign(KEY.public, b"data", ED)


@pytest.mark.parametrize(
    ("default", "own", "lives"), [(None, 5, 5), (5, None, 5), (7, 5, 5), (5, 7, 7)]
)
async def test_lifetimes_by_the_clock(default: int | None, own: int | None, lives: int) -> None:
    clock = Clock()
    keyring = MemoryKeyring(lifetime=default, clock=clock)
    keyring.add(KEY, Constraints(lifetime=own))
    clock.now += lives - 0.1
    assert names(keyring) == ["k"]
    clock.now += 0.2
    with pytest.raises(UnusableKey):
        await keyring.sign(KEY.public, b"data", ED)
    assert names(keyring) == []


async def test_a_timer_forgets_a_key_that_nobody_asks_for() -> None:
    keyring = MemoryKeyring()
    keyring.add(KEY, Constraints(lifetime=0))
    await asyncio.sleep(0.01)
    assert keyring._held == {}


async def test_a_new_lifetime_replaces_the_old_one() -> None:
    keyring = MemoryKeyring()
    keyring.add(KEY, Constraints(lifetime=0))
    keyring.add(KEY, UNCONSTRAINED)
    await asyncio.sleep(0.01)
    assert names(keyring) == ["k"]


async def test_confirmation() -> None:
    asked: list[str] = []
    answer = False

    async def confirm(question: str) -> bool:
        asked.append(question)
        return answer

    keyring = MemoryKeyring(confirm=confirm)
    keyring.add(KEY, Constraints(confirm=True))
    keyring.add(OTHER, UNCONSTRAINED)
    await keyring.sign(OTHER.public, b"data", ED)
    with pytest.raises(UnusableKey, match="not confirmed"):
        await keyring.sign(KEY.public, b"data", ED)
    answer = True
    await keyring.sign(KEY.public, b"data", ED)
    question = f"Allow use of key k?\nKey fingerprint {KEY.public.fingerprint()}."
    assert asked == [question, question]
    silent = MemoryKeyring()
    silent.add(KEY, Constraints(confirm=True))
    with pytest.raises(UnusableKey, match="not confirmed"):
        await silent.sign(KEY.public, b"data", ED)


async def test_questions_come_one_after_another() -> None:
    at_once = most = 0

    async def confirm(question: str) -> bool:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return True

    keyring = MemoryKeyring(confirm=confirm)
    keyring.add(KEY, Constraints(confirm=True))
    await asyncio.gather(*(keyring.sign(KEY.public, b"data", ED) for _ in range(3)))
    assert most == 1


async def test_a_locked_agent_does_nothing() -> None:
    keyring = MemoryKeyring()
    mine, others = client(keyring), client(keyring)
    mine.add(KEY, UNCONSTRAINED)
    await mine.lock(b"secret")
    assert names(others) == []
    for refused in (
        lambda: others.add(OTHER, UNCONSTRAINED),
        lambda: others.remove(KEY.public),
        others.remove_all,
        lambda: others.extension(SESSION_BIND, bind(A, b"session")),
    ):
        with pytest.raises(UnusableKey, match="is locked"):
            refused()
    with pytest.raises(UnusableKey, match="is locked"):
        await others.sign(KEY.public, b"data", ED)
    await others.unlock(b"secret")
    assert names(mine) == ["k"]


async def test_keys_that_could_not_be_listed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = MemoryKeyring()
    keyring.add(KEY, UNCONSTRAINED)
    monkeypatch.setattr(memory, "MAXIMUM_IDENTITIES", 1)
    with pytest.raises(UnusableKey, match="holds 1 keys"):
        keyring.add(OTHER, UNCONSTRAINED)
    keyring.add(KEY, UNCONSTRAINED)
    monkeypatch.setattr(memory, "MAXIMUM_IDENTITIES", MAXIMUM_IDENTITIES)
    long = generate(ED, comment="x" * (256 * 1024 - 100))
    with pytest.raises(UnusableKey, match="could not list more"):
        keyring.add(long, UNCONSTRAINED)


def test_keys_of_ssh_1_are_refused() -> None:
    with pytest.raises(UnusableKey, match="keys of SSH-1 are not held"):
        client(MemoryKeyring()).add(generate("rsa1", bits=1024), UNCONSTRAINED)


def test_a_forwarded_agent_loads_no_library_by_default() -> None:
    for remote, says in ((False, "must not name a library"), (True, "not among those")):
        mine = client(MemoryKeyring(security_keys=SecurityKeys(remote_libraries=remote)))
        mine.extension(SESSION_BIND, bind(A, b"session", forwarding=True))
        with pytest.raises(UnusableKey, match=says):
            mine.add(SoftKey().private, Constraints(provider="/lib/sk.so"))


# --- restricted destinations ---


def bind(host: PrivateKey, session: bytes, *, forwarding: bool = False) -> bytes:
    signature = host.sign(session, host.public.signature_algorithms[0])
    fields = string(host.public.blob) + string(session) + string(signature)
    return fields + boolean(forwarding)


def login(session: bytes, host: PublicKey | None, user: str = "bob") -> bytes:
    front = string(session) + u8(50) + text(user) + text("ssh-connection")
    front += text("publickey" if host is None else HOSTBOUND) + b"\1" + text(ED)
    return front + string(KEY.public.blob) + (b"" if host is None else string(host.blob))


TO_A = DestinationConstraint(DestinationEnd(), DestinationEnd("a", (DestinationKey(A.public),)))
A_TO_B = DestinationConstraint(
    TO_A.end, DestinationEnd("b", (DestinationKey(B.public),), user="bob")
)


def restricted(*destinations: DestinationConstraint) -> ClientKeyring:
    keyring = MemoryKeyring()
    keyring.add(KEY, Constraints(destinations=destinations))
    return client(keyring)


async def allowed(keyring: ClientKeyring, data: bytes) -> bool:
    try:
        await keyring.sign(KEY.public, data, ED)
    except UnusableKey:
        return False
    return True


@pytest.mark.parametrize("host", [None, A.public])
async def test_a_login_to_the_host_of_a_key(host: PublicKey | None) -> None:
    mine = restricted(TO_A)
    assert not await allowed(mine, login(b"session", host))
    mine.extension(SESSION_BIND, bind(A, b"session"))
    assert names(mine) == ["k"]
    assert await allowed(mine, login(b"session", host))
    assert not await allowed(mine, login(b"other", host))
    assert not await allowed(mine, login(b"session", B.public))
    assert not await allowed(mine, b"anything")


async def test_another_host_gets_nothing() -> None:
    mine = restricted(TO_A)
    mine.extension(SESSION_BIND, bind(B, b"session"))
    assert names(mine) == []
    assert not await allowed(mine, login(b"session", B.public))
    for refused in (
        lambda: mine.add(KEY, UNCONSTRAINED),
        lambda: mine.remove(KEY.public),
    ):
        with pytest.raises(UnusableKey, match="not for this host"):
            refused()


async def test_a_forwarded_login() -> None:
    mine = restricted(TO_A, A_TO_B)
    mine.extension(SESSION_BIND, bind(A, b"first", forwarding=True))
    assert names(mine) == ["k"]
    assert not await allowed(mine, login(b"first", A.public))
    mine.extension(SESSION_BIND, bind(B, b"second"))
    assert await allowed(mine, login(b"second", B.public))
    assert not await allowed(mine, login(b"second", B.public, user="root"))
    # A hop that lies: without the host's key, the login could be for another session.
    assert not await allowed(mine, login(b"second", None))
    assert not await allowed(mine, login(b"second", A.public))
    assert not await allowed(mine, login(b"first", B.public))


async def test_a_hop_can_not_bind_a_host_whose_key_it_lacks() -> None:
    mine = restricted(TO_A, A_TO_B)
    mine.extension(SESSION_BIND, bind(A, b"first", forwarding=True))
    signature = A.sign(b"second", ED)
    forged = string(B.public.blob) + string(b"second") + string(signature) + boolean(False)
    with pytest.raises(UnusableKey, match="does not verify"):
        mine.extension(SESSION_BIND, forged)
    assert not await allowed(mine, login(b"second", B.public))


@pytest.mark.parametrize("data", [b"", bind(A, b"x")[:-1], string(b"no key") * 3 + b"\1"])
async def test_a_binding_that_fails_is_no_local_use(data: bytes) -> None:
    mine = restricted(TO_A)
    with pytest.raises((UnusableKey, MalformedMessage)):
        mine.extension(SESSION_BIND, data)
    assert names(mine) == []


async def test_a_binding_of_a_locked_agent_is_no_local_use_later() -> None:
    mine = restricted(TO_A)
    await mine.lock(b"")
    with pytest.raises(UnusableKey):
        mine.extension(SESSION_BIND, bind(B, b"session", forwarding=True))
    await mine.unlock(b"")
    assert names(mine) == []


def test_bindings_that_are_refused() -> None:
    mine = restricted(TO_A)
    mine.extension(SESSION_BIND, bind(A, b"first", forwarding=True))
    mine.extension(SESSION_BIND, bind(A, b"first", forwarding=True))  # again: no change
    with pytest.raises(UnusableKey, match="bound to this session"):
        mine.extension(SESSION_BIND, bind(B, b"first", forwarding=True))
    mine.extension(SESSION_BIND, bind(B, b"second"))
    with pytest.raises(UnusableKey, match="session of a login"):
        mine.extension(SESSION_BIND, bind(A, b"third"))


def test_bindings_are_bounded() -> None:
    mine = restricted(TO_A)
    for i in range(memory.MAXIMUM_BINDINGS):
        mine.extension(SESSION_BIND, bind(A, b"%d" % i, forwarding=True))
    with pytest.raises(UnusableKey, match="at most"):
        mine.extension(SESSION_BIND, bind(A, b"one more", forwarding=True))


async def test_a_host_with_a_certificate() -> None:
    certificate = Certificate.issue(A.public, B, kind="host", principals=["a"])
    to_certified = DestinationConstraint(
        DestinationEnd(), DestinationEnd("a", (DestinationKey(B.public, True),))
    )
    mine = restricted(to_certified)
    signature = A.sign(b"session", ED)
    fields = string(certificate.blob) + string(b"session") + string(signature) + boolean(False)
    mine.extension(SESSION_BIND, fields)
    assert await allowed(mine, login(b"session", certificate))
    assert not await allowed(mine, login(b"session", A.public))
